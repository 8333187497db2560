"""Targets, losses and boxes of centres on sparse sites: by hand, against loops, there and back."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from oracles import centre_loops
from spikevox.layers import SparseTensor
from spikevox.tasks.datasets import Boxes
from spikevox.tasks.detection import (
    NUSCENES_GROUPS,
    CentreHead,
    CentreOutput,
    CentreTargets,
    CentreWeights,
    GroupOutput,
    Map,
    assign_centres,
    centre_losses,
    code_loss,
    gaussian_radius,
    heat_loss,
)
from spikevox.tasks.errors import BoxError, ConfigError

PLACE = Map((-8.0, -4.0), (0.8, 0.5))
GROUPS = (("car",), ("truck", "bus"))


def objects(generator, count, *, velocities=True):
    names = tuple(("car", "truck", "bus")[row] for row in generator.integers(0, 3, count))
    speeds = generator.normal(size=(count, 2)) if velocities else None
    centers = generator.uniform((-8, -4, -2), (8, 4, 1), (count, 3))
    return Boxes(centers, generator.uniform(0.4, 12, (count, 3)), generator.uniform(-3.1, 3.1, count), names,
                 velocities=speeds)  # fmt: skip


def sites(generator, count):
    return torch.from_numpy(np.unique(generator.integers(0, (20, 16), (count, 2)), axis=0))


def test_a_scene_by_hand():
    """Cells of 1 m from (-2, -1) on. The car's middle (1.25, 0.5) lies at cell (3.25, 1.5); the nearest site is (3, 2)."""
    places = torch.tensor([[0, 0], [3, 2], [4, 3], [9, 9]])
    car = Boxes(np.array([[1.25, 0.5, -0.5]]), np.array([[4.0, 2.0, math.e]]), np.array([math.pi / 2]), ("car",),
                velocities=np.array([[3.0, np.nan]]))  # fmt: skip
    found = assign_centres(places, car, ("bus", "car"), Map((-2.0, -1.0), (1.0, 1.0)))
    assert found.rows.tolist() == [1]
    assert found.codes[0, :8].tolist() == pytest.approx([0.25, -0.5, -0.5, math.log(4), math.log(2), 1, 0, 1], abs=1e-6)
    assert found.codes[0, 8] == 3
    assert bool(found.codes[0, 9].isnan())
    # Radius 2, sigma 5/6; (4, 3) is nearer to the site, by 2, than to the middle, by 2.8125.
    sigma = 2 * (5 / 6) ** 2
    expected = [math.exp(-12.8125 / sigma), 1, math.exp(-2 / sigma), math.exp(-85 / sigma)]
    assert found.heat[:, 1].tolist() == pytest.approx(expected, rel=1e-5)
    assert found.heat[:, 0].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("seed", range(20))
def test_targets_equal_loops(seed):
    generator = np.random.default_rng(seed)
    places, boxes = sites(generator, 60), objects(generator, int(generator.integers(0, 7)))
    names = ("bus", "car")
    found = assign_centres(places, boxes, names, PLACE, overlap=0.3, min_radius=1)
    mine = boxes.take(np.array([name in names for name in boxes.names], dtype=bool))
    cells = (mine.centers[:, :2] - PLACE.lower) / PLACE.cell
    rows = [
        (names.index(name), *cell, *(size / PLACE.cell))
        for name, cell, size in zip(mine.names, cells, mine.sizes[:, :2], strict=True)
    ]
    heat, expected = centre_loops.heat(places.tolist(), rows, 2, 0.3, 1)
    assert found.rows.tolist() == expected
    assert np.allclose(found.heat.numpy(), heat, atol=1e-6)


@given(st.floats(0.3, 40), st.floats(0.3, 40), st.floats(0.05, 0.9))
def test_the_radius_leaves_just_the_overlap(length, width, overlap):
    found = float(gaussian_radius(np.array([length]), np.array([width]), overlap)[0])
    assert found == pytest.approx(centre_loops.radius(length, width, overlap), rel=1e-6, abs=1e-9)


def test_sites_or_objects_may_be_absent(generator):
    none = torch.zeros(0, 2, dtype=torch.int64)
    found = assign_centres(none, objects(generator, 3), ("car", "bus"), PLACE)
    assert found.heat.shape == (0, 2)
    assert len(found.rows) == len(found.codes) == 0
    assert float(assign_centres(sites(generator, 9), objects(generator, 0), ("car",), PLACE).heat.max()) == 0


def said(places, samples, boxes, head):
    """An output that says of every object what its target is, surest of the first ones."""
    count = int(samples.max()) + 1
    groups = []
    for names in head.groups:
        heat, codes = torch.full((len(places), len(names)), -9.0), torch.full((len(places), 10), 0.3)
        for sample in range(count):
            rows = (samples == sample).nonzero().squeeze(1)
            target = assign_centres(places[rows], boxes[sample], names, head.place)
            mine = [name for name in boxes[sample].names if name in names]
            for number, (row, code) in enumerate(zip(target.rows, target.codes, strict=True)):
                heat[rows[row], names.index(mine[number])] = 4.0 - number / 10
                codes[rows[row]] = code
        groups.append(GroupOutput(heat, codes))
    return CentreOutput(samples, places, count, tuple(groups))


@pytest.mark.parametrize("velocity", [True, False])
def test_what_targets_say_is_decoded_to_the_objects(velocity):
    generator = np.random.default_rng(4)
    head = CentreHead(8, GROUPS, lower=PLACE.lower, cell=PLACE.cell, velocity=velocity)
    # Objects that are apart, so that none gives way and each has a site of its own.
    centers = np.array([[x, y, z] for x, z in ((-6.0, -1.0), (0.0, 0.5), (6.0, 0.1)) for y in (-2.3, 2.1)])
    boxes = [
        Boxes(centers[rows], generator.uniform(0.5, 2, (len(rows), 3)), generator.uniform(-3.1, 3.1, len(rows)), names,
              velocities=generator.normal(size=(len(rows), 2)))
        for rows, names in (([0, 3, 4], ("car", "bus", "truck")), ([1, 2, 5], ("bus", "car", "car")))
    ]  # fmt: skip
    places = [sites(generator, 200) for _ in boxes]
    samples = torch.repeat_interleave(torch.arange(2), torch.tensor([len(p) for p in places]))
    output = said(torch.cat(places), samples, boxes, head)
    if not velocity:
        output = output._replace(groups=tuple(g._replace(codes=g.codes[:, :8]) for g in output.groups))
    found = head.boxes(output)
    assert len(found) == 2
    for one, expected in zip(found, boxes, strict=True):
        assert sorted(one.names) == sorted(expected.names)
        assert (np.diff(one.scores) <= 0).all()
        nearest = np.linalg.norm(one.centers[:, None] - expected.centers, axis=2).argmin(axis=1)
        assert [expected.names[row] for row in nearest] == list(one.names)
        assert np.allclose(one.array(), expected.array()[nearest], atol=1e-5)
        assert np.allclose(one.velocities, expected.velocities[nearest], atol=1e-6) if velocity else not one.velocities


def test_a_box_gives_way_to_a_better_one_of_its_group_alone():
    head = CentreHead(8, GROUPS, lower=PLACE.lower, cell=PLACE.cell)
    code = torch.tensor([[0, 0, 0, 1, 1, 0, 1, 0, 0, 0.0], [0.1, 0, 0, 1, 1, 0, 1, 0, 0, 0]])
    places = torch.tensor([[5, 5], [5, 6]])
    groups = (
        GroupOutput(torch.tensor([[0.0], [-9]]), code),
        GroupOutput(torch.tensor([[1.0, -1], [-9, 2]]), code),
    )
    output = CentreOutput(torch.zeros(2, dtype=torch.int64), places, 1, groups)
    (found,) = head.boxes(output)
    # The truck and the second guess at its site give way to the bus beside it; the car is of another group.
    assert found.names == ("bus", "car")
    (every,) = head.boxes(output, head_choice(overlap=1.0))
    assert every.names == ("bus", "truck", "car", "bus")
    assert len(head.boxes(output, head_choice(overlap=1.0, most=1))[0]) == 2
    assert head.boxes(output, head_choice(overlap=1.0, candidates=2))[0].names == ("bus", "truck", "car")
    assert len(head.boxes(output, head_choice(score=0.9))[0]) == 0
    broken = groups[0]._replace(heat=torch.tensor([[math.nan], [0.0]]))
    with pytest.raises(BoxError):
        head.boxes(output._replace(groups=(broken, groups[1])))


def head_choice(**options):
    from spikevox.tasks.detection import CENTRE_CHOICE

    return CENTRE_CHOICE._replace(**options)


@given(st.lists(st.tuples(st.floats(-12, 12), st.floats(0, 1)), min_size=1, max_size=6))
def test_heat_loss_is_its_equation(values):
    total = 0.0
    for logit, heat in values:
        p = 1 / (1 + math.exp(-logit))
        total -= (1 - p) ** 2 * math.log(p) if heat == 1 else (1 - heat) ** 4 * p**2 * math.log(1 - p)
    logits, heats = torch.tensor(values, dtype=torch.float64).unbind(1)
    assert float(heat_loss(logits, heats)) == pytest.approx(total, rel=1e-9, abs=1e-12)


def test_losses_of_a_batch_by_hand_and_their_gradient():
    generator = torch.Generator().manual_seed(0)
    heats = [torch.randn(5, 1, generator=generator).double(), torch.randn(5, 2, generator=generator).double()]
    codes = [torch.randn(5, 10, generator=generator).double() for _ in range(2)]
    for tensor in (*heats, *codes):
        tensor.requires_grad_()
    first = torch.tensor([[1.0], [0.5], [0], [1], [0]])
    told = torch.randn(3, 10, generator=generator)
    told[0, 8:] = math.nan
    targets = [
        CentreTargets(first, torch.tensor([0, 3, 3]), told),
        CentreTargets(torch.zeros(5, 2), torch.zeros(0, dtype=torch.int64), torch.zeros(0, 10)),
    ]

    def losses(*tensors):
        groups = tuple(GroupOutput(*pair) for pair in zip(tensors[:2], tensors[2:], strict=True))
        output = CentreOutput(torch.zeros(5, dtype=torch.int64), torch.zeros(5, 2), 1, groups)
        return centre_losses(output, targets, CentreWeights(1.0, 0.25, 0.2))

    found = losses(*heats, *codes)
    # Two peaks, three objects; of the group without objects all is background.
    expected = heat_loss(heats[0], first.double()) / 2 + heat_loss(heats[1], torch.zeros(5, 2).double())
    assert float(found["heat_loss"].detach()) == pytest.approx(float(expected.detach()))
    total = 0.0
    for row, target in zip((0, 3, 3), told.double(), strict=True):
        for column, value in enumerate(target.tolist()):
            if not math.isnan(value):
                total += abs(float(codes[0][row, column].detach()) - value) * (0.2 if column >= 8 else 1)
    assert float(found["box_loss"].detach()) == pytest.approx(0.25 * total / 3)
    assert torch.autograd.gradcheck(lambda *t: sum(losses(*t).values()), (*heats, *codes))
    sum(found.values()).backward()
    assert bool(codes[0].grad.isfinite().all())
    assert float(codes[0].grad[0, 8:].abs().sum()) == 0
    assert codes[1].grad is None or float(codes[1].grad.abs().sum()) == 0


def test_codes_without_velocities_are_compared_without_them():
    targets = torch.arange(20.0).view(2, 10)
    assert float(code_loss(targets[:, :8] + 1, targets, 0.2)) == 16
    assert float(code_loss(targets + 1, targets, 0.2)) == pytest.approx(16 + 4 * 0.2)


def test_published_parameter_count_and_start():
    head = CentreHead(128, NUSCENES_GROUPS, lower=(-54, -54), cell=(0.6, 0.6))
    assert sum(p.numel() for p in head.parameters()) == 612_678
    assert len(head.class_names) == 10
    rows = torch.tensor([[0, 8, 16, 0], [2, 800, 0, 0]])
    output = head.eval()(SparseTensor(torch.zeros(2, 128), rows, batch_size=3, tensor_stride=8))
    assert output.sites.tolist() == [[1, 2], [100, 0]]
    assert output.samples.tolist() == [0, 2]
    assert [tuple(g.heat.shape) for g in output.groups] == [(2, len(group)) for group in NUSCENES_GROUPS]
    assert float(output.groups[0].heat[0, 0].detach()) == pytest.approx(-2.19, abs=1e-5)
    assert [len(one) for one in head.boxes(output._replace(groups=tuple(
        g._replace(heat=g.heat - 1) for g in output.groups)))] == [0, 0, 0]  # fmt: skip


def test_targets_of_a_batch_count_sites_over_its_samples(generator):
    head = CentreHead(8, GROUPS, lower=PLACE.lower, cell=PLACE.cell)
    places = [sites(generator, 50), torch.zeros(0, 2, dtype=torch.int64), sites(generator, 30)]
    boxes = [objects(generator, 4), objects(generator, 2), objects(generator, 5)]
    samples = torch.repeat_interleave(torch.arange(3), torch.tensor([len(p) for p in places]))
    output = CentreOutput(samples, torch.cat(places), 3, ())
    for names, found in zip(GROUPS, head.targets(output, boxes), strict=True):
        parts = [assign_centres(p, one, names, PLACE) for p, one in zip(places, boxes, strict=True)]
        assert torch.equal(found.heat, torch.cat([part.heat for part in parts]))
        assert torch.equal(found.codes, torch.cat([part.codes for part in parts]))
        assert found.rows.tolist() == [*parts[0].rows.tolist(), *(parts[2].rows + len(places[0])).tolist()]
    with pytest.raises(ConfigError, match="boxes of class 'bus'; the head knows car"):
        CentreHead(8, [["car"]], lower=PLACE.lower, cell=PLACE.cell).targets(
            output, [Boxes(np.zeros((1, 3)), np.ones((1, 3)), np.zeros(1), ("bus",))] * 3
        )


def test_options_that_do_not_fit_are_named():
    for groups in ([], [[]], [["car"], ["car"]]):
        with pytest.raises(ConfigError, match="each class stands in one group"):
            CentreHead(8, groups, lower=(0, 0), cell=(1, 1))
    with pytest.raises(ConfigError, match="cells are positive"):
        CentreHead(8, GROUPS, lower=(0, 0), cell=(0, 1))
