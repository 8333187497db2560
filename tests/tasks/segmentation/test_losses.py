import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from oracles.segmentation_numpy import mean_jaccard_loss
from spikevox.tasks.errors import ConfigError
from spikevox.tasks.segmentation import class_weights, lovasz_softmax


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=25))
def test_lovasz_of_hard_predictions_is_the_jaccard_loss(pairs):
    predicted, labels = torch.tensor(pairs).T
    found = lovasz_softmax(functional.one_hot(predicted, 4).double(), labels)
    assert float(found) == pytest.approx(mean_jaccard_loss(predicted.numpy(), labels.numpy()))


@given(st.integers(0, 100))
def test_lovasz_is_convex_along_lines_and_between_0_and_1(seed):
    # The Lovasz extension of a submodular loss is convex in the errors, hence in the probabilities of fixed labels.
    torch.manual_seed(seed)
    labels = torch.randint(0, 3, (12,))
    a, b = (torch.randn(12, 3).double().softmax(1) for _ in range(2))
    ends = lovasz_softmax(a, labels), lovasz_softmax(b, labels)
    assert lovasz_softmax((a + b) / 2, labels) <= sum(ends) / 2 + 1e-12
    assert 0 <= min(ends) <= max(ends) <= 1


def test_lovasz_has_the_gradient_of_finite_differences():
    logits = torch.randn(10, 3, dtype=torch.float64, requires_grad=True)
    labels = torch.arange(10) % 3
    assert torch.autograd.gradcheck(lambda x: lovasz_softmax(x.softmax(1), labels), logits)


def test_lovasz_of_nothing_is_0_with_a_gradient():
    empty = torch.zeros(0, 3, requires_grad=True)
    loss = lovasz_softmax(empty.softmax(1), torch.zeros(0, dtype=torch.int64))
    loss.backward()
    assert loss == 0


def test_weights_are_inverse_roots_of_frequencies_with_mean_1():
    weights = class_weights([900, 100, 0])
    assert weights.mean() == pytest.approx(1)
    assert weights[1] / weights[0] == pytest.approx(3)
    assert weights[2] / weights[1] == pytest.approx(10)
    assert np.array_equal(class_weights([5, 7], power=0), [1, 1])
    for counts, power in (([], 0.5), ([0, 0], 0.5), ([-1, 2], 0.5), ([1, 2], 2)):
        with pytest.raises(ConfigError, match="class_weights takes"):
            class_weights(counts, power)
