import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from oracles import neuron_gradient_numpy as gradient
from oracles import neuron_numpy as oracle
from spikevox.layers import (
    IF,
    ILIF,
    LIF,
    NEURONS,
    PLIF,
    PSN,
    AdaptiveLIF,
    LayerError,
    ReLU,
    SparseTensor,
    build_neuron,
    integer_spike,
)
from spikevox.layers.neurons import SURROGATES, heaviside

STEPS = 16
# Multiples of 1/64 and decays of 1/4 and 1/2 keep sums exact for some steps; ties are then really met.
INPUT = np.random.default_rng(0).integers(-64, 160, (STEPS, 50, 3)) / 64


def run(neuron):
    return neuron.double()(torch.from_numpy(INPUT)).detach().numpy()


@pytest.mark.parametrize("levels", [1, 4, 255])
@pytest.mark.parametrize("decay", [0.0, 0.25, 1.0])
def test_ilif_equals_numpy_over_sixteen_steps(levels, decay):
    spikes = run(ILIF(levels, decay=decay, time_steps=STEPS))
    assert np.array_equal(spikes, oracle.ilif(INPUT, levels, decay))
    assert 0 < spikes.mean() < levels


@pytest.mark.parametrize("reset", ["soft", "hard"])
@pytest.mark.parametrize("threshold", [0.5, 1.0])
def test_if_lif_and_plif_equal_numpy_over_sixteen_steps(reset, threshold):
    options = {"reset": reset, "threshold": threshold, "time_steps": STEPS}
    assert np.array_equal(run(IF(**options)), oracle.lif(INPUT, 1.0, threshold, reset))
    expected = oracle.lif(INPUT, 0.5, threshold, reset)
    assert np.array_equal(run(LIF(decay=0.5, **options)), expected)
    assert np.array_equal(run(PLIF(decay=0.5, **options)), expected)
    assert 0.05 < expected.mean() < 0.95


def test_adaptive_lif_equals_numpy_and_fires_less():
    adaptive = run(AdaptiveLIF(adaptation=0.25, recovery=0.5, time_steps=STEPS))
    assert np.array_equal(adaptive, oracle.adaptive_lif(INPUT, 0.5, 1.0, 0.25, 0.5))
    assert adaptive.mean() < run(LIF(time_steps=STEPS)).mean()


def test_psn_equals_numpy():
    neuron = PSN(STEPS, decay=None).double()
    weight, bias = neuron.weight.detach().numpy(), neuron.bias.detach().numpy()
    assert np.array_equal(run(neuron), oracle.parallel(INPUT, weight, bias))


UPPER = np.random.default_rng(1).normal(size=INPUT.shape)


def gradients(neuron):
    """Of the input and of the parameters, for UPPER as the gradient of the spikes."""
    x = torch.from_numpy(INPUT).requires_grad_()
    neuron.double()(x).backward(torch.from_numpy(UPPER))
    return [x.grad.numpy(), *[p.grad.numpy() for p in neuron.parameters()]]


def close(found, expected):
    # float64 sums over 16 steps and 2,400 values, in another order.
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("decay", [0.0, 0.25, 1.0])
def test_gradients_of_ilif_equal_back_propagation_by_hand(decay):
    close(gradients(ILIF(4, decay=decay, time_steps=STEPS))[0], gradient.ilif(INPUT, UPPER, 4, decay))


@pytest.mark.parametrize("reset", ["soft", "hard"])
def test_gradients_of_lif_and_plif_equal_back_propagation_by_hand(reset):
    options = {"threshold": 0.75, "reset": reset, "surrogate": "sigmoid", "time_steps": STEPS}
    of_input, of_decay = gradient.lif(INPUT, UPPER, 0.5, 0.75, reset)
    close(gradients(LIF(decay=0.5, **options))[0], of_input)
    found = gradients(PLIF(decay=0.5, **options))
    close(found[0], of_input)
    close(found[1], of_decay * 0.25)  # the derivative of sigmoid where it is 1/2


def test_gradients_of_adaptive_lif_equal_back_propagation_by_hand():
    neuron = AdaptiveLIF(adaptation=0.25, recovery=0.5, surrogate="sigmoid", time_steps=STEPS)
    close(gradients(neuron)[0], gradient.adaptive_lif(INPUT, UPPER, 0.5, 1.0, 0.25, 0.5))


def test_gradients_of_psn_equal_those_by_hand():
    neuron = PSN(STEPS, decay=None, surrogate="sigmoid").double()
    weight, bias = neuron.weight.detach().numpy(), neuron.bias.detach().numpy()
    for found, expected in zip(gradients(neuron), gradient.parallel(INPUT, UPPER, weight, bias), strict=True):
        close(found, expected)


def test_relu_is_the_control():
    assert np.array_equal(run(ReLU(time_steps=STEPS)), np.maximum(INPUT, 0))


@given(st.lists(st.floats(-10, 10, width=32), min_size=1), st.integers(1, 8))
def test_integer_spikes_are_the_sum_of_binary_spikes(membrane, levels):
    spikes = integer_spike(torch.tensor(membrane), levels)
    assert torch.equal(sum((spikes >= d).float() for d in range(1, levels + 1)), spikes)


@given(st.lists(st.floats(-10, 10, width=32), min_size=1), st.integers(1, 8))
def test_an_if_neuron_charged_once_emits_the_integer_over_virtual_steps(membrane, levels):
    clipped = torch.tensor(membrane, dtype=torch.float64).clamp(0, levels)
    charge = torch.stack([clipped + 0.5, *[torch.zeros_like(clipped)] * (levels - 1)])
    emitted = IF(time_steps=levels)(charge).sum(dim=0)
    assert torch.equal(emitted, integer_spike(clipped, levels))


def test_ties_round_up_not_to_even():
    assert integer_spike(torch.tensor([0.5, 1.5, 2.5, 3.5])).tolist() == [1, 2, 3, 4]


def test_the_window_of_the_integer_gradient_is_open():
    membrane = torch.tensor([-0.1, 0.0, 0.1, 3.9, 4.0, 4.1], requires_grad=True)
    integer_spike(membrane, 4).sum().backward()
    assert membrane.grad.tolist() == [0, 0, 1, 1, 0, 0]


@pytest.mark.parametrize(
    ("name", "smooth"),
    [
        ("sigmoid", lambda u, a: torch.sigmoid(a * u)),
        ("arctan", lambda u, a: torch.atan(np.pi / 2 * a * u) / np.pi),
        ("rectangular", lambda u, a: (a * u).clamp(-0.5, 0.5)),
        ("triangle", lambda u, a: torch.sign(u) * ((a * u).abs() - (a * u) ** 2 / 2).where((a * u).abs() < 1, 0.5)),
    ],
)
@pytest.mark.parametrize("sharpness", [0.7, 2.0])
def test_surrogates_are_derivatives_of_their_smooth_steps(name, smooth, sharpness):
    distance = torch.tensor([-1.31, -0.42, -0.11, 0.07, 0.33, 1.27], dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(smooth(distance, sharpness).sum(), distance)
    (found,) = torch.autograd.grad(heaviside(distance, name, sharpness).sum(), distance)
    assert torch.allclose(found, expected, atol=1e-12)
    assert set(SURROGATES) == {"sigmoid", "arctan", "rectangular", "triangle"}


def test_decay_of_plif_is_learned():
    neuron = PLIF(time_steps=STEPS, surrogate="sigmoid").double()
    neuron(torch.from_numpy(INPUT)).sum().backward()
    assert neuron.decay_logit.grad.abs() > 0


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ILIF(0), "levels must be a whole number from 1 to 255"),
        (lambda: ILIF(2.5), "levels must be a whole number"),
        (lambda: ILIF(4, decay=1.5), r"decay must lie in \[0, 1\], got 1.5"),
        (lambda: LIF(decay=-0.1), r"decay must lie in \[0, 1\]"),
        (lambda: LIF(threshold=-1), "threshold must be positive and finite, got -1"),
        (lambda: LIF(threshold=float("nan")), "threshold must be positive"),
        (lambda: LIF(reset="none"), "reset must be 'soft' or 'hard'"),
        (lambda: LIF(surrogate="step"), "unknown surrogate 'step'"),
        (lambda: LIF(sharpness=0), "sharpness must be positive"),
        (lambda: LIF(decay=None), r"decay must lie in \[0, 1\], got None"),
        (lambda: LIF(time_steps=2.0), "time_steps must be at least 1 and whole, got 2.0"),
        (lambda: LIF(time_steps=0), "time_steps must be at least 1 and whole, got 0"),
        (lambda: IF(decay=0.5), "an IF neuron has no decay"),
        (lambda: PLIF(decay=1.0), r"decay must lie in \(0, 1\)"),
        (lambda: AdaptiveLIF(adaptation=-1), "adaptation must be at least 0"),
        (lambda: AdaptiveLIF(recovery=2), "recovery must lie in"),
        (lambda: PSN(0), "time_steps must be at least 1"),
        (lambda: PSN(4, decay=1.5), r"decay must lie in \[0, 1\], got 1.5"),
        (lambda: PSN(4, stateful=True), "keeps no state between calls"),
        (lambda: LIF(stateful=True, carry="copy"), "carry must be 'error' or 'match'"),
        (lambda: build_neuron("lift"), "unknown neuron 'lift'; there are ilif"),
        (lambda: build_neuron("lif", levels=3), "LIF cannot be built with"),
    ],
)
def test_parameters_out_of_their_range_are_refused(build, message):
    with pytest.raises(LayerError, match=message):
        build()


def test_time_is_declared_and_never_guessed():
    x = SparseTensor(torch.ones(4, 1, 3), torch.tensor([[0, 0, 0, 0]]), time_steps=4)
    assert LIF()(x).features.shape == (4, 1, 3)
    with pytest.raises(LayerError, match=r"built for time_steps=2, got SparseTensor\(.*time_steps=4"):
        LIF(time_steps=2)(x)
    with pytest.raises(LayerError, match=r"expected a tensor \(4, ...\), got \(3, 5\)"):
        LIF(time_steps=4)(torch.ones(3, 5))
    with pytest.raises(TypeError, match="got list"):
        LIF()([1.0])


@pytest.mark.parametrize("name", NEURONS)
def test_every_named_neuron_is_built_and_keeps_the_shape(name):
    neuron = build_neuron(name, time_steps=4)
    assert neuron(torch.randn(4, 6, 2)).shape == (4, 6, 2)


@pytest.mark.parametrize("steps", [2, 4])
def test_a_plain_tensor_has_exactly_the_declared_steps(steps):
    with pytest.raises(LayerError, match="3"):
        LIF(time_steps=3)(torch.ones(steps, 5))
