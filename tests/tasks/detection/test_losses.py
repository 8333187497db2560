"""Losses of a detector: by hand, and against loops in numpy."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikevox.tasks.detection import AnchorOutput, AnchorTargets, LossWeights, anchor_losses, box_loss, focal_loss


def focal_by_hand(logit, target, alpha=0.25, gamma=2.0):
    p = 1 / (1 + math.exp(-logit))
    if target:
        return -alpha * (1 - p) ** gamma * math.log(p)
    return -(1 - alpha) * p**gamma * math.log(1 - p)


def box_by_hand(deltas, targets, beta=1 / 9):
    total = 0.0
    for place, (a, b) in enumerate(zip(deltas, targets, strict=True)):
        d = abs(math.sin(a - b) if place == 6 else a - b)
        total += d * d / (2 * beta) if d < beta else d - beta / 2
    return total


@given(st.floats(-12, 12), st.booleans())
def test_focal_loss_is_its_equation(logit, target):
    found = focal_loss(torch.tensor([logit], dtype=torch.float64), torch.tensor([target]))
    assert float(found) == pytest.approx(focal_by_hand(logit, target), rel=1e-9, abs=1e-15)


def test_focal_loss_without_focus_is_half_the_cross_entropy():
    logits, targets = torch.randn(50), torch.randint(0, 2, (50,))
    expected = 0.5 * torch.nn.functional.binary_cross_entropy_with_logits(logits, targets.float())
    assert torch.allclose(focal_loss(logits, targets, alpha=0.5, gamma=0.0).mean(), expected)


def test_focal_loss_of_extreme_logits_is_finite():
    logits = torch.tensor([-200.0, 200.0, -200.0, 200.0], requires_grad=True)
    loss = focal_loss(logits, torch.tensor([0, 0, 1, 1]))
    loss.sum().backward()
    assert bool(loss.isfinite().all())
    assert bool(logits.grad.isfinite().all())


@given(st.lists(st.floats(-4, 4), min_size=14, max_size=14))
def test_box_loss_is_its_equation(values):
    deltas, targets = values[:7], values[7:]
    found = box_loss(torch.tensor(deltas, dtype=torch.float64), torch.tensor(targets, dtype=torch.float64))
    assert float(found) == pytest.approx(box_by_hand(deltas, targets), rel=1e-9, abs=1e-12)


def test_a_box_turned_by_half_a_circle_costs_nothing():
    targets = torch.zeros(7, dtype=torch.float64)
    turned = torch.tensor([0, 0, 0, 0, 0, 0, math.pi], dtype=torch.float64)
    assert float(box_loss(turned, targets)) < 1e-12
    assert float(box_loss(turned / 2, targets)) == pytest.approx(1 - 1 / 18)


def losses_by_loops(output, targets, weights):
    """Sums over the anchors of each sample, one by one."""
    totals = np.zeros(3)
    for sample, target in enumerate(targets):
        sums, count = np.zeros(3), 0
        for place in np.ndindex(*target.classes.shape):
            state = int(target.classes[place])
            at = (sample, *place)
            if state >= 0:
                sums[0] += focal_by_hand(float(output.scores[at]), state > 0)
            if state > 0:
                count += 1
                sums[1] += box_by_hand(output.deltas[at].tolist(), target.deltas[place].tolist())
                logits = output.halves[at].tolist()
                sums[2] += math.log(sum(math.exp(v) for v in logits)) - logits[int(target.halves[place])]
        totals += sums / max(count, 1)
    return totals / len(targets) * np.array(weights)


@pytest.mark.parametrize("seed", range(4))
def test_losses_of_a_batch_are_those_of_loops(seed):
    generator = torch.Generator().manual_seed(seed)
    shape = (3, 4, 2, 2)

    def normal(*size):
        return torch.randn(*size, generator=generator, dtype=torch.float64)

    output = AnchorOutput(normal(2, *shape), normal(2, *shape, 7), normal(2, *shape, 2))
    targets = [
        AnchorTargets(
            # The second sample of the last case has no object.
            torch.randint(-1, 1 if sample and seed == 3 else 3, shape, generator=generator),
            normal(*shape, 7),
            torch.randint(0, 2, shape, generator=generator),
        )
        for sample in range(2)
    ]
    weights = LossWeights(1.5, 0.5, 0.3)
    found = anchor_losses(output, targets, weights)
    expected = losses_by_loops(output, targets, weights)
    assert list(found) == ["score_loss", "box_loss", "direction_loss"]
    np.testing.assert_allclose([float(v) for v in found.values()], expected, rtol=1e-9)


def test_what_is_left_out_has_no_gradient_whatever_it_is():
    """An anchor that counts for nothing may say infinity."""
    output = AnchorOutput(
        torch.tensor([[[[[0.0, float("inf")]]]]], requires_grad=True),
        torch.zeros(1, 1, 1, 1, 2, 7, requires_grad=True),
        torch.zeros(1, 1, 1, 1, 2, 2, requires_grad=True),
    )
    classes = torch.tensor([[[[1, -1]]]])
    target = AnchorTargets(classes, torch.ones(1, 1, 1, 2, 7), torch.zeros(1, 1, 1, 2, dtype=torch.int64))
    losses = anchor_losses(output, [target])
    assert all(bool(value.isfinite()) for value in losses.values())
    assert float(losses["direction_loss"].detach()) == pytest.approx(0.2 * math.log(2))
    sum(losses.values()).backward()
    assert bool((output.deltas.grad[..., 1, :] == 0).all())
    assert bool((output.deltas.grad[..., 0, :] != 0).all())
