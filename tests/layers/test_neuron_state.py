import copy

import numpy as np
import pytest
import torch
from torch import nn

from spikevox.layers import (
    ILIF,
    LIF,
    NeuronStateError,
    ReLU,
    SparseTensor,
    SubmanifoldConv3d,
    detach_states,
    reset_states,
)


def tensor(rows, value=0.4):
    coordinates = torch.tensor(rows).reshape(-1, 4)
    return SparseTensor(torch.full((len(rows), 2), value, dtype=torch.float64), coordinates, batch_size=2)


@pytest.mark.parametrize("neuron", [LIF(decay=1.0, stateful=True), ILIF(stateful=True, decay=1.0)])
def test_calls_one_after_another_equal_one_call_over_time(neuron):
    rows = [[0, 0, 0, 0], [1, 0, 0, 1]]
    stepwise = torch.stack([neuron(tensor(rows)).features for _ in range(6)])
    whole = copy.deepcopy(neuron)
    whole.memory, whole.time_steps = None, 6
    assert torch.equal(stepwise, whole(torch.full((6, 2, 2), 0.4, dtype=torch.float64)))


def test_other_sites_without_reset_name_the_layer():
    network = nn.Sequential(SubmanifoldConv3d(2, 2), LIF(stateful=True)).double()
    reset_states(network)
    network(tensor([[0, 0, 0, 0]]))
    with pytest.raises(NeuronStateError, match=r"1 \(LIF\): its membrane belongs to other sites .* reset_states"):
        network(tensor([[0, 0, 0, 5]]))
    reset_states(network)
    network(tensor([[0, 0, 0, 5]]))


def test_a_plain_batch_of_another_size_without_reset_is_refused():
    neuron = LIF(stateful=True)
    neuron(torch.ones(4, 3))
    with pytest.raises(NeuronStateError, match=r"other sites \(\(4, 3\)\) than this input \(\(2, 3\)\)"):
        neuron(torch.ones(2, 3))


@pytest.mark.minkowski
def test_a_minkowski_tensor_at_other_sites_without_reset_is_refused():
    neuron = LIF(stateful=True, decay=1.0)
    rows = [[0, 0, 0, 0], [0, 1, 0, 0]]
    neuron(tensor(rows).to_minkowski())
    neuron(tensor(rows).to_minkowski())
    with pytest.raises(NeuronStateError, match="its membrane belongs to other sites"):
        neuron(tensor([[0, 5, 0, 0], [0, 9, 0, 0]]).to_minkowski())


@pytest.mark.minkowski
def test_matched_state_of_a_minkowski_tensor_moves_with_its_voxel():
    neuron = LIF(stateful=True, decay=1.0, carry="match")
    neuron(tensor([[0, 0, 0, 0], [0, 5, 0, 0]], 0.7).to_minkowski())
    spikes = neuron(tensor([[0, 5, 0, 0], [0, 9, 0, 0]], 0.7).to_minkowski())
    fired = {tuple(row): value for row, value in zip(spikes.C.tolist(), spikes.F[:, 0].tolist(), strict=True)}
    assert fired == {(0, 5, 0, 0): 1.0, (0, 9, 0, 0): 0.0}
    assert neuron.memory.carried == (1, 1, 1)


@pytest.mark.parametrize("carry", ["error", "match"])
def test_other_channels_resolution_or_kind_of_tensor_are_refused_under_either_rule(carry):
    neuron = LIF(stateful=True, carry=carry)
    x = tensor([[0, 0, 0, 0], [0, 4, 0, 0]])
    neuron(x)
    coarse = SparseTensor(x.features, x.coordinates, batch_size=2, tensor_stride=4)
    with pytest.raises(NeuronStateError, match=r"\(2, 2\) at tensor stride \(1, 1, 1\).*\(4, 4, 4\)"):
        neuron(coarse)
    with pytest.raises(NeuronStateError, match=r"than this input \(\(2, 1\) at .* start of a sample\.$"):
        neuron(x.replace(x.features[:, :1]))
    with pytest.raises(NeuronStateError, match=r"than this input \(\(2, 2\)\)\. Call reset_states"):
        neuron(x.features)


def test_only_what_carrying_would_mend_is_told_of_it():
    neuron = LIF(stateful=True)
    neuron(tensor([[0, 0, 0, 0]]))
    with pytest.raises(NeuronStateError, match="carry='match' to move the state with its voxels"):
        neuron(tensor([[0, 1, 0, 0]]))


def test_a_late_backward_through_a_sample_before_the_reset_is_harmless():
    neuron = LIF(stateful=True, surrogate="sigmoid")
    for forget in (reset_states, detach_states):
        reset_states(neuron)
        x = torch.full((2, 2), 0.4, requires_grad=True)
        before = neuron(x).sum()
        forget(neuron)
        neuron(x)
        before.backward()
        neuron(x).sum().backward()
        assert x.grad.abs().min() > 0


def test_the_control_has_nothing_to_remember():
    neuron = ReLU(stateful=True)
    assert torch.equal(neuron(torch.ones(2, 2)), neuron(torch.ones(2, 2)))
    assert neuron(torch.ones(3, 2)).shape == (3, 2)


def test_a_second_backward_through_a_used_graph_names_the_layer():
    network = nn.Sequential(SubmanifoldConv3d(2, 2), LIF(stateful=True, surrogate="sigmoid")).double()
    reset_states(network)
    network(tensor([[0, 0, 0, 0]])).features.sum().backward()
    with pytest.raises(NeuronStateError, match=r"1 \(LIF\): its membrane belongs to a graph that backward"):
        network(tensor([[0, 0, 0, 0]]))
    detach_states(network)
    network(tensor([[0, 0, 0, 0]])).features.sum().backward()


def test_matched_state_moves_with_its_voxel_as_in_a_dictionary(generator):
    neuron = LIF(decay=0.5, threshold=10.0, stateful=True, carry="match")
    membrane = {}
    for _ in range(5):
        rows = np.unique(generator.integers(0, 3, (20, 4)) % [2, 3, 3, 3], axis=0)
        values = generator.normal(size=(len(rows), 2))
        x = SparseTensor(torch.from_numpy(values), torch.from_numpy(rows), batch_size=2)
        neuron(x)
        before, membrane = membrane, {}
        for row, value in zip(rows.tolist(), values, strict=True):
            membrane[tuple(row)] = 0.5 * before.get(tuple(row), 0.0) + value
        kept = neuron.memory._state[0].numpy()
        for row, value in zip(x.coordinates.tolist(), kept, strict=True):
            np.testing.assert_allclose(value, membrane[tuple(row)], atol=1e-12)
        if before:
            shared = len(before.keys() & membrane.keys())
            assert neuron.memory.carried == (shared, len(membrane) - shared, len(before) - shared)


@pytest.mark.data
def test_membranes_follow_their_voxels_over_pandaset_frames(data):
    """Frames four apart, moved into the first one's frame by the pose; state equals a dictionary's."""
    neuron = LIF(decay=0.5, threshold=1e9, stateful=True, carry="match")
    expected = {}
    for name in ("00", "04", "08"):
        frame = np.load(data(f"pandaset/002/{name}.npz"), allow_pickle=False)
        world = frame["xyz_cm"].astype(np.float64) / 100 @ frame["ego_rot"].T + frame["ego_pos"]
        voxels = np.unique(np.floor(world / 0.5).astype(np.int64), axis=0)
        rows = torch.from_numpy(np.insert(voxels, 0, 0, axis=1))
        x = SparseTensor(torch.ones(len(rows), 1, dtype=torch.float64), rows, batch_size=1)
        neuron(x)
        expected = {tuple(v): 1 + 0.5 * expected.get(tuple(v), 0) for v in voxels.tolist()}
    found = neuron.memory._state[0][:, 0].tolist()
    assert [expected[tuple(c[1:])] for c in x.coordinates.tolist()] == found
    carried = neuron.memory.carried
    share = carried.moved / (carried.moved + carried.new)
    print(f"share of voxels whose state moved: {share:.3f}")
    assert 0.2 < share < 1


def test_a_copied_neuron_starts_at_rest():
    neuron = LIF(stateful=True)
    neuron(torch.full((1, 1), 0.9))
    assert copy.deepcopy(neuron)(torch.full((1, 1), 0.2)).item() == 0
