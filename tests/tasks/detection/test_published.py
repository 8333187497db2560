"""Whole detectors against the published ones in spconv's modules, under the published names.

Equality of a whole network with thresholds: float64 on both sides, spikes compared first and equal; every spike layer fires at
5-50 %, so that silence cannot pass.
"""

from pathlib import Path

import numpy as np
import pytest
import torch

from oracles import detectors_spconv
from oracles.published_detectors import GRID, PARAMETERS, RADII, VOXEL, cloud, drawn, regions
from oracles.published_spconv import reason_absent
from spikevox.layers import ILIF, SparseTensor, native
from spikevox.layers.backbones import BevBackbone, Voxel8x, VoxelNeXtBackbone
from spikevox.layers.backends import minkowski
from spikevox.layers.convert import from_published
from spikevox.tasks.detection import NUSCENES_GROUPS, AnchorHead, CentreHead, RoiHead, TwoStageDetector, VoxelNeXt
from spikevox.tasks.detection.anchors import KITTI_CAR

EXTENT = (0.0, 0.0, 9.6, 8.0)
THERE = {"minkowski": minkowski.available(), "compiled": native.available(), "torch_ops": True}
CASES = [("narrow", "torch_ops"), ("narrow", "minkowski"), ("narrow", "compiled"), ("published", "compiled")]
with_spconv = pytest.mark.skipif(bool(reason_absent()), reason=reason_absent())


def two_stage(size, backend=None):
    own = "small" if size == "narrow" else "base"
    return TwoStageDetector(
        Voxel8x(4, size=own, grid=GRID),
        BevBackbone(128 if size == "narrow" else 256, size=own),
        AnchorHead(128 if size == "narrow" else 256, [KITTI_CAR], EXTENT),
        RoiHead((32, 32, 64) if size == "narrow" else (32, 64, 64), VOXEL, (0, 0, 0), size=own, radii=RADII),
        backend=backend,
    )


def centres(size, backend=None):
    own = "small" if size == "narrow" else "base"
    backbone = VoxelNeXtBackbone(5, size=own, grid=GRID)
    head = CentreHead(backbone.out_channels, NUSCENES_GROUPS, lower=(0, 0), cell=(1.6, 2.0))
    return VoxelNeXt(backbone, head, backend=backend)


def converted(network, tensors, name):
    network.load_state_dict(from_published(tensors, network.state_dict(), name).tensors)
    return network.double().eval()


def watched(network):
    """Spikes of ours from now on, with their sites (sample, x, y, z) in steps where they have any."""
    spikes = []

    def keep(_module, _inputs, output):
        sites = None
        if isinstance(output, SparseTensor):
            sites = output.coordinates // torch.tensor([1, *output.tensor_stride], dtype=torch.int32)
            output = output.features
        spikes.append((sites, output.to(torch.uint8)))

    for module in network.modules():
        if isinstance(module, ILIF):
            module.register_forward_hook(keep)
    return spikes


def ascending(sites, values):
    order = np.lexsort(sites.numpy().T[::-1])
    return sites[order], values[order]


def assert_firing(spikes):
    for number, (_, one) in enumerate(spikes):
        rate = float((one > 0).double().mean())
        assert 0.05 < rate < 0.5, f"neuron {number}: {rate:.3f}"


def assert_equal_spikes(ours, theirs):
    assert_firing(theirs)
    assert len(ours) == len(theirs)
    for number, ((sites, spikes), (places, expected)) in enumerate(zip(ours, theirs, strict=True)):
        if sites is None:
            assert torch.equal(spikes, expected), number
            continue
        found = ascending(sites[:, : places.shape[1]], spikes)
        assert all(map(torch.equal, found, ascending(places, expected))), number


def assert_close(found, expected):
    # float64, and spikes that are equal: what is left is the order of sums.
    assert found.shape == expected.shape
    assert expected.abs().max() > 0.1
    assert (found - expected).abs().max() < 1e-11 * expected.abs().max()


def of_two_stages(network, features, sites):
    """What ours says at anchors and of regions, flat."""
    output, membranes = network.look(SparseTensor(features, sites, batch_size=2, backend=network.backend))
    found = network.roi_head(membranes, regions())
    return [*(part.flatten(3) for part in output), found.scores, found.deltas]


def of_centres(output):
    """Sites in ascending order, and what ours says there, group after group."""
    places = torch.cat([output.samples[:, None], output.sites], dim=1)
    parts = [part for group in output.groups for part in (group.codes, group.heat)]
    return ascending(places, torch.cat(parts, dim=1))


def reference(name, size, features, sites):
    """The published detector with statistics of this cloud, its arguments, and its spikes from now on."""
    if name == "voxel_rcnn":
        made = detectors_spconv.VoxelRcnn(GRID[::-1], VOXEL, RADII, size=size)
        inputs = (features, sites[:, [0, 3, 2, 1]].contiguous(), 2, regions())
    else:
        made = detectors_spconv.VoxelNext(GRID[::-1], size=size)
        inputs = (features, sites[:, [0, 3, 2, 1]].contiguous(), 2)
    made = detectors_spconv.settle(detectors_spconv.draw(made.double()), *inputs)
    return made, inputs, detectors_spconv.Watch(made).spikes


@with_spconv
@pytest.mark.parametrize(("size", "backend"), CASES)
def test_voxel_rcnn_is_the_published_one(size, backend):
    """Backbone, map from above, anchors, pooling and second stage."""
    if not THERE[backend]:
        pytest.skip(f"the backend {backend!r} is not there")
    features, sites = cloud(4)
    made, inputs, theirs = reference("voxel_rcnn", size, features, sites)
    network = converted(two_stage(size, backend).double(), made.state_dict(), "voxel_rcnn")
    ours = watched(network)
    with torch.no_grad():
        found = of_two_stages(network, features, sites)
        anchors, of_regions = made(*inputs)
    assert_equal_spikes(ours, theirs)
    for one, other in zip(found, [*(part.movedim(1, -1) for part in anchors), *of_regions], strict=True):
        assert_close(one, other)
    if size == "published":
        assert sum(p.numel() for p in made.parameters()) == PARAMETERS["voxel_rcnn"]


@with_spconv
@pytest.mark.parametrize(("size", "backend"), CASES)
def test_voxelnext_is_the_published_one(size, backend):
    """Backbone, sum over heights, plane and all heads."""
    if not THERE[backend]:
        pytest.skip(f"the backend {backend!r} is not there")
    features, sites = cloud(5)
    made, inputs, theirs = reference("voxelnext", size, features, sites)
    network = converted(centres(size, backend).double(), made.state_dict(), "voxelnext_detector")
    ours = watched(network)
    with torch.no_grad():
        output = network(sites, features, batch_size=2)
        indices, heads = made(*inputs)
    assert_equal_spikes(ours, theirs)
    expected = torch.cat([part for head in heads for part in head.values()], dim=1)
    there, expected = ascending(indices[:, [0, 2, 1]].long(), expected)
    here, said = of_centres(output)
    assert torch.equal(here, there)
    assert_close(said, expected)
    if size == "published":
        assert sum(p.numel() for p in made.parameters()) == PARAMETERS["voxelnext_detector"]


STORED = Path(__file__).parent / "published" / "spconv_2.3.8.npz"


@pytest.mark.parametrize("name", ["voxel_rcnn", "voxelnext_detector"])
def test_drawn_weights_give_what_spconv_gave(name):
    """Results of spconv 2.3.8 on a batch whose statistics stand beside them: runs where spconv is not there."""
    stored = {key: torch.from_numpy(array) for key, array in np.load(STORED).items()}
    part = f"{name}/"
    statistics = {key[len(part) :]: tensor for key, tensor in stored.items() if key.startswith(part)}
    weights = {**drawn(name), **statistics}
    make, columns = (two_stage, 4) if name == "voxel_rcnn" else (centres, 5)
    network = converted(make("narrow").double(), weights, name)
    spikes = watched(network)
    features, sites = cloud(columns)
    with torch.no_grad():
        if name == "voxel_rcnn":
            found = of_two_stages(network, features, sites)
        else:
            here, said = of_centres(network(sites, features, batch_size=2))
            found = [here, said]
    assert_firing(spikes)
    for number, one in enumerate(found):
        assert_close(one, stored[f"{name} {number}"])
