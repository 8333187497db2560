import numpy as np
import pytest
import torch
from torch import nn

from spikevox.encoding import VoxelGrid
from spikevox.layers import ILIF, LIF, BatchNorm, ReLU, SparseConv3d, SparseTensor, SubmanifoldConv3d
from spikevox.tasks.errors import ViewError
from spikevox.tasks.view import SpikeRecorder, VoxelLayer, site_centres


def network(neuron=ILIF):
    torch.manual_seed(1)
    return nn.Sequential(
        SubmanifoldConv3d(2, 5, kernel_size=3),
        BatchNorm(5),
        neuron(),
        SparseConv3d(5, 7, kernel_size=2, stride=2),
        neuron(),
    ).eval()


def tensor(steps=None, samples=1):
    generator = np.random.default_rng(0)
    cells = np.unique(generator.integers(0, 6, (40, 3)), axis=0)
    rows = np.concatenate([np.insert(cells, 0, sample, axis=1) for sample in range(samples)])
    shape = (len(rows), 2) if steps is None else (steps, len(rows), 2)
    features = torch.tensor(3 * generator.normal(size=shape), dtype=torch.float32)
    return SparseTensor(features, torch.tensor(rows), batch_size=samples, time_steps=steps)


@pytest.mark.parametrize("steps", [None, 3])
@pytest.mark.parametrize(("kind", "levels"), [(ILIF, 4), (LIF, 1)])
@torch.no_grad()
def test_recorded_spikes_are_those_of_the_neurons_one_by_one(steps, kind, levels):
    model, x, seen = network(kind), tensor(steps), []
    for module in model:
        if isinstance(module, kind):
            module.register_forward_hook(lambda _m, _i, output: seen.append(output))
    with SpikeRecorder(model) as recorder:
        model(x)
    layers = recorder.layers((-1, 0, 1), (0.5, 0.5, 0.25))
    assert [layer.name for layer in layers] == ["2", "4"]
    assert recorder.dense == ()
    for layer, output, stride in zip(layers, seen, (1, 2), strict=True):
        assert layer.counts.shape == (
            steps or 1,
            levels,
            len(output.features.reshape(-1, *output.features.shape[-2:])[0]),
        )
        spikes = output.features.reshape(-1, *output.features.shape[-2:]).tolist()
        for t, step in enumerate(spikes):
            for n, site in enumerate(step):
                for d in range(levels):
                    assert layer.counts[t, d, n] == sum(spike > d for spike in site)
        # All levels of all channels together are all spikes.
        assert layer.counts.sum() == output.features.sum()
        for centre, (_, i, j, k) in zip(layer.centres, output.coordinates.tolist(), strict=True):
            assert centre.tolist() == [-1 + 0.5 * (i + stride / 2), 0.5 * (j + stride / 2), 1 + 0.25 * (k + stride / 2)]
        assert layer.size == (0.5 * stride, 0.5 * stride, 0.25 * stride)
        assert layer.channels == output.features.shape[-1]
    # Nothing is left behind.
    model(x)
    assert len(recorder.layers((0, 0, 0), (1, 1, 1))) == 2


@torch.no_grad()
def test_layers_without_sites_or_spikes_and_second_calls_are_told_apart():
    neuron = ILIF()
    model = nn.ModuleDict({"conv": SubmanifoldConv3d(2, 3), "spike": neuron, "real": ReLU()})
    with SpikeRecorder(model) as recorder:
        x = model["conv"](tensor())
        model["spike"](x)
        model["spike"](x)
        model["real"](x)
        model["spike"](torch.zeros(1, 3, 8, 8))
    layers = recorder.layers((0, 0, 0), (1, 1, 1))
    assert [layer.name for layer in layers] == ["spike", "spike (call 2)", "real"]
    assert recorder.dense == ("spike",)
    assert isinstance(layers[2], VoxelLayer)
    np.testing.assert_allclose(
        layers[2].fields["mean over channels"].data, x.features.clamp(min=0).mean(dim=1).numpy(), rtol=1e-6
    )
    with pytest.raises(ViewError, match="spike ran on 2 samples"), SpikeRecorder(model):
        model["spike"](model["conv"](tensor(samples=2)))


def test_centres_of_voxels_are_the_middles_of_the_grid_that_points_fall_into():
    grid = VoxelGrid(0.25, lower=(-2, -2, 0), upper=(2, 2, 2))
    xyz = np.random.default_rng(0).uniform((-2, -2, 0), (2, 2, 2), (100, 3))
    cells = np.floor(grid.locate(xyz)).astype(int)
    centres = site_centres(cells, grid.corner(xyz), grid.voxel_size)
    assert np.abs(centres - xyz).max() <= 0.125 + 1e-12
    from_minimum = VoxelGrid(0.25, origin="minimum")
    cells = np.floor(from_minimum.locate(xyz)).astype(int)
    centres = site_centres(cells, from_minimum.corner(xyz), from_minimum.voxel_size)
    assert np.abs(centres - xyz).max() <= 0.125 + 1e-12
