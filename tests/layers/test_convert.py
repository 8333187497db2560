"""Published weights against ours: names, order of kernels, the forward pass of spconv through our own voxeliser."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from oracles import published_keys, published_spconv
from spikevox.encoding import VoxelGrid, collate, voxelize
from spikevox.layers import BatchNorm, GlobalMeanPool, LayerError, Linear, SparseTensor, SubmanifoldConv3d
from spikevox.layers.backbones import Encoder, UNet, Voxel8x
from spikevox.layers.convert import (
    PUBLISHED,
    ConversionError,
    Entry,
    Published,
    from_published,
    kernel_from_spconv,
    kernel_to_spconv,
    recognise,
    strip_wrappers,
    to_published,
)

NAMES = tuple(published_keys.NETWORKS)
spconv = pytest.mark.skipif(bool(published_spconv.reason_absent()), reason=published_spconv.reason_absent())
NARROW, GRID = published_keys.NARROW, published_keys.GRID


def ours(name, size="published", **grid):
    """Our network under the names that the tasks give its parts."""
    if name == "classifier":
        return nn.ModuleDict({"encoder": Encoder("T", in_channels=6), "head": Linear(128, 40)})
    if name == "segmenter":
        backbone = UNet(4, size="base" if size == "published" else "small", **grid)
        return nn.ModuleDict({"backbone": backbone, "head": Linear(backbone.out_channels, 19)})
    return Voxel8x(4, size="base" if size == "published" else "small", **grid)


def same(one, other):
    return list(one) == list(other) and all(
        torch.equal(one[k], other[k]) and one[k].dtype == other[k].dtype and one[k].is_contiguous() for k in one
    )


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("name", NAMES)
def test_there_and_back_is_the_same_bits_in_the_same_order(name, version):
    own = ours(name).state_dict()
    published = published_keys.tensors(name, spconv=version)
    there = from_published(published, own, name)
    assert there.report.spconv == version
    assert len(there.report.matched) == there.report.total == len(own) == len(published)
    assert sorted(there.tensors) == sorted(own)
    ours(name).load_state_dict(there.tensors)
    back = to_published(there.tensors, name, spconv=version)
    assert sorted(back.tensors) == sorted(published)
    assert same({k: back.tensors[k] for k in published}, published)


@pytest.mark.parametrize("name", NAMES)
def test_versions_of_spconv_hold_the_same_network(name):
    """spconv 1 has the axis of the outputs last; one site's kernel is the same buffer in both."""
    second = published_keys.tensors(name)
    shapes = published_keys.NETWORKS[name](spconv=1)
    first = {
        key: tensor.reshape(shapes[key])
        if key == "final.weight" or tensor.ndim != 5
        else tensor.permute(1, 2, 3, 4, 0).contiguous()
        for key, tensor in second.items()
    }
    own = ours(name).state_dict()
    assert same(from_published(first, own, name).tensors, from_published(second, own, name).tensors)


@pytest.mark.parametrize(("axes", "order"), [("xyz", (0, 1, 2)), ("zyx", (2, 1, 0))])
@pytest.mark.parametrize("version", [1, 2])
def test_every_number_of_a_kernel_is_where_its_offset_says(version, axes, order):
    """Sides 2, 3, 4 along x, y, z and a number of its own for each place."""
    sides = [(2, 3, 4)[i] for i in order]
    shape = (5, *sides, 6) if version == 2 else (*sides, 6, 5)
    weight = torch.arange(np.prod(shape)).reshape(shape).float()
    kernel = kernel_from_spconv(weight, spconv=version, axes=axes)
    for x, y, z in np.ndindex(2, 3, 4):
        place = tuple((x, y, z)[i] for i in order)
        expected = weight[(slice(None), *place)].T if version == 2 else weight[place]
        assert torch.equal(kernel[x + 2 * (y + 3 * z)], expected)
    assert torch.equal(kernel_to_spconv(kernel, (2, 3, 4), spconv=version, axes=axes), weight)


def test_a_kernel_of_one_site_is_the_buffer_read_anew():
    weight = torch.arange(6.0).reshape(2, 1, 1, 1, 3)
    assert kernel_from_spconv(weight).tolist() == [[[0, 1], [2, 3], [4, 5]]]
    assert torch.equal(kernel_to_spconv(kernel_from_spconv(weight), (1, 1, 1)), weight)
    with pytest.raises(LayerError, match="five axes"):
        kernel_from_spconv(torch.zeros(3, 3))
    with pytest.raises(LayerError, match="no kernel of size"):
        kernel_to_spconv(torch.zeros(8, 2, 2), (3, 3, 3))


def converted(name, weights, size="narrow", **grid):
    network = ours(name, size, **grid)
    network.load_state_dict(from_published(weights, network.state_dict(), name).tensors)
    return network.double().eval()


def grid_of(name):
    return {"classifier": {}, "segmenter": {"grid": "input"}, "voxel8x": {"grid": GRID}}[name]


def logits_of(name, network, x):
    if name == "classifier":
        return GlobalMeanPool()(network["head"](network["encoder"](x)))
    return network["head"](network["backbone"](x)).features[x.input_rows]


@pytest.mark.parametrize("name", NAMES)
def test_drawn_weights_give_what_spconv_gave(name):
    """Every eleventh row of spconv 2.3.8's results, stored: runs where spconv is not there."""
    stored = np.load(Path(__file__).parent / "published" / "spconv_2.3.8.npz")
    features, rows = published_keys.sites(6 if name == "classifier" else 4)
    network = converted(name, published_keys.firing_tensors(name, **NARROW[name]), **grid_of(name))
    x = SparseTensor(features, rows, batch_size=2)
    with torch.no_grad():
        if name != "voxel8x":
            found = logits_of(name, network, x)
            assert_equal(found if name == "classifier" else found[::11], torch.from_numpy(stored[name]))
            return
        result = network(x)
    for number, found in enumerate([*result.membranes, result.spikes]):
        stride = torch.tensor([1, *found.tensor_stride])
        row_of = {tuple(site): row for row, site in enumerate((found.coordinates // stride).tolist())}
        chosen = [row_of[tuple(site)] for site in stored[f"voxel8x_sites_{number}"].tolist()]
        assert (len(found) + 10) // 11 == len(chosen)
        assert_equal(found.features[chosen], torch.from_numpy(stored[f"voxel8x_{number}"]))


@spconv
@pytest.mark.parametrize("size", ["published", "narrow"])
@pytest.mark.parametrize("name", NAMES)
def test_the_table_of_names_is_that_of_spconvs_modules(name, size):
    made = published_spconv.network(name, size=size).state_dict()
    part = "backbone_3d." if name == "voxel8x" else ""
    sizes = NARROW[name] if size == "narrow" else {}
    assert {part + k: tuple(v.shape) for k, v in made.items()} == published_keys.NETWORKS[name](**sizes)


def voxels(columns):
    """Two clouds in voxels of three different sides, an odd number along each: no axis can be taken for another."""
    generator = np.random.default_rng(0)
    clouds = [
        np.hstack([generator.uniform(0, (1.11, 1.0, 1.14), (1500, 3)), generator.normal(size=(1500, columns - 3))])
        for _ in range(2)
    ]
    names = ("x", "y", "z", *(f"c{i}" for i in range(columns - 3)))
    grid = VoxelGrid((0.03, 0.04, 0.06), lower=(0, 0, 0), upper=(1.11, 1.0, 1.14))
    assert grid.shape == GRID
    return collate([voxelize(c.astype(np.float32), grid, columns=names, features=("xyz", *names[3:])) for c in clouds])


def published_network(name, batch, size="narrow"):
    """spconv's network in float64, where no neuron meets a tie by rounding, with its input."""
    torch.manual_seed(0)
    made = published_spconv.network(name, size=size, grid=GRID[::-1])
    indices = batch.coordinates if name != "voxel8x" else batch.coordinates[:, [0, 3, 2, 1]].contiguous()
    inputs = (batch.features, indices, 2)
    made = published_spconv.set_statistics(made, *inputs)
    weights = {("backbone_3d." if name == "voxel8x" else "") + k: v.clone() for k, v in made.state_dict().items()}
    return made.double(), weights, (batch.features.double(), indices, 2)


@spconv
@pytest.mark.parametrize(
    ("size", "backend"),
    [("narrow", "torch_ops"), ("narrow", "compiled"), ("narrow", "minkowski"), ("published", "torch_ops")],
)
@pytest.mark.parametrize("name", NAMES)
def test_the_forward_pass_is_spconvs_through_our_voxels(name, size, backend):
    batch = voxels(6 if name == "classifier" else 4)
    made, weights, inputs = published_network(name, batch, size)
    network = converted(name, weights, size, **grid_of(name))
    x = SparseTensor(inputs[0], batch.coordinates, batch_size=2, backend=backend)
    with torch.no_grad():
        expected = made(*inputs)
        if name != "voxel8x":
            assert_equal(logits_of(name, network, x), expected)
        else:
            result = network(x)
            for ours_, theirs in zip([*result.membranes, result.spikes], expected, strict=True):
                compare_sites(ours_, theirs)


def assert_equal(found, expected):
    assert expected.abs().max() > 0.1
    assert found.shape == expected.shape
    # float64: the order of sums changes the last digits, a spike that is not the same changes the first.
    assert (found - expected).abs().max() < 1e-9 * expected.abs().max()


def compare_sites(found, theirs):
    """Features by coordinate; theirs are (sample, z, y, x) in steps of one."""
    stride = torch.tensor(found.tensor_stride, dtype=torch.int32)
    sites = torch.cat([theirs.indices[:, :1], theirs.indices[:, [3, 2, 1]] * stride], dim=1)
    order = torch.from_numpy(np.lexsort(sites.numpy().T[::-1]))
    assert torch.equal(sites[order], found.coordinates)
    assert_equal(found.features, theirs.features[order])


@spconv
def test_without_the_edge_rule_an_odd_extent_gives_another_result():
    batch = voxels(4)
    assert (batch.coordinates.amax(0)[1:] + 1).tolist() == list(GRID)
    made, weights, inputs = published_network("segmenter", batch)
    x = SparseTensor(inputs[0], batch.coordinates, batch_size=2)
    with torch.no_grad():
        expected = made(*inputs)
        for grid, equal in ((None, False), ("input", True), (GRID, True)):
            network = converted("segmenter", weights, grid=grid)
            found = logits_of("segmenter", network, x)
            assert bool((found - expected).abs().max() < 1e-9) is equal


@spconv
def test_a_transposed_kernel_is_noticed():
    """The round trip is blind to it; the anisotropic cloud is not."""
    batch = voxels(4)
    made, weights, inputs = published_network("voxel8x", batch)
    own = ours("voxel8x", "narrow", grid=GRID)
    key = "backbone_3d.conv2.down.1.weight"
    turned = {**weights, key: weights[key].transpose(1, 3).contiguous()}
    own.load_state_dict(from_published(turned, own.state_dict(), "voxel8x").tensors)
    x = SparseTensor(inputs[0], batch.coordinates, batch_size=2)
    with torch.no_grad():
        found, expected = own.double().eval()(x).membranes[0], made(*inputs)[0]
    with pytest.raises(AssertionError):
        compare_sites(found, expected)


def changed(name, change):
    tensors = published_keys.tensors(name)
    change(tensors)
    return tensors


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda t: t.pop("enc.2.down.1.weight"), "missing     1  enc.2.down.1.weight"),
        (lambda t: t.update({"cls_head.1.weight": torch.zeros(2)}), "unexpected  1  cls_head.1.weight"),
        (
            lambda t: t.update({"stem.3.weight": torch.zeros(16, 3, 3, 16)}),
            "shape       1  stem.3.weight: (16, 3, 3, 16) float32 in the file, (16, 3, 3, 3, 16) float32 in the network",
        ),
        (
            lambda t: t.update({"final.bias": t["final.bias"].half()}),
            "shape       1  final.bias: (40,) float16 in the file, (40,) float32 in the network",
        ),
        (lambda t: t["enc.0.down.2.running_var"].fill_(float("nan")), "not finite  1  enc.0.down.2.running_var"),
        (lambda t: t["final.weight"].view(-1)[5:6].fill_(float("inf")), "not finite  1  final.weight"),
    ],
)
def test_a_partial_match_is_refused_with_the_report(change, line):
    own = ours("classifier").state_dict()
    with pytest.raises(ConversionError) as error:
        from_published(changed("classifier", change), own, "classifier")
    assert line in str(error.value)
    assert not error.value.report.complete
    assert f"of {len(own)} tensors" in str(error.value)


def test_parts_that_are_not_here_are_left_out_only_where_asked_for():
    own = ours("voxel8x").state_dict()
    whole = {
        **published_keys.tensors("voxel8x"),
        "roi_head.cls.0.weight": torch.zeros(3),
        "global_step": torch.zeros(1),
    }
    with pytest.raises(ConversionError, match="unexpected  2  roi_head"):
        from_published(whole, own, "voxel8x")
    report = from_published(whole, own, "voxel8x", alone=True).report
    assert report.left_out == ["roi_head.cls.0.weight", "global_step"]
    whole["backbone_3d.conv5.0.weight"] = torch.zeros(1)
    with pytest.raises(ConversionError, match=r"unexpected  1  backbone_3d\.conv5"):
        from_published(whole, own, "voxel8x", alone=True)


def test_tensors_of_ours_that_have_no_name_there_are_refused():
    own = {**ours("classifier").state_dict(), "encoder.neuron.decay": torch.ones(1)}
    with pytest.raises(ConversionError, match=r"missing     1  \(encoder\.neuron\.decay\)"):
        from_published(published_keys.tensors("classifier"), own, "classifier")
    with pytest.raises(ConversionError, match=r"unexpected  1  \(encoder\.neuron\.decay\)"):
        to_published(own, "classifier")
    own.pop("encoder.neuron.decay")
    own["head.bias"][0] = float("nan")
    with pytest.raises(ConversionError, match=r"not finite  1  \(head\.bias\)"):
        to_published(own, "classifier")
    with pytest.raises(LayerError, match="unknown published network 'bev'"):
        to_published(own, "bev")
    with pytest.raises(LayerError, match="spconv is 1 or 2"):
        to_published(own, "classifier", spconv=3)


@pytest.mark.parametrize("version", [1, 2])
def test_sizes_are_read_from_the_tensors(version):
    found = recognise(published_keys.tensors("classifier", spconv=version, inside=3, classes=10))
    assert (found.name, found.size, found.in_channels, found.num_classes) == ("classifier", "T", 3, 10)
    large = {"width": 64, "enc": (64, 128, 128, 256), "blocks": 2}
    assert recognise(published_keys.tensors("classifier", spconv=version, **large)).size == "L"
    found = recognise(published_keys.tensors("segmenter", spconv=version))
    assert (found.name, found.size, found.in_channels, found.num_classes) == ("segmenter", "base", 4, 19)
    assert recognise(published_keys.tensors("segmenter", **NARROW["segmenter"])).size == "small"
    assert recognise(published_keys.tensors("voxel8x", spconv=version))[:3] == ("voxel8x", "base", 4)
    with pytest.raises(ConversionError, match="are those of no size"):
        recognise(published_keys.tensors("classifier", width=17))


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["backbone_3d.conv_input.0.weight", "backbone_3d.conv2.0.0.weight"], "the ANN, not the spiking network"),
        (["backbone_3d.conv_input.0.weight", "backbone_3d.conv2.0.1.weight"], "without residual blocks"),
        (["backbone_3d.conv1.0.conv1.weight", "backbone_3d.conv5.0.0.weight"], "VoxelNeXt"),
        (["stem.0.weight", "enc.0.down.0.weight"], "OA-CNN"),
        (["conv_input.0.weight", "down.0.0.weight"], "SparseUNet"),
        (["layer.weight"], "no published network that is known here"),
    ],
)
def test_other_published_networks_are_called_by_their_name(names, text):
    with pytest.raises(ConversionError, match=text):
        recognise({name: torch.zeros(1) for name in names})


def test_a_further_network_is_a_function_and_a_line(monkeypatch):
    def head(names):
        yield Entry("shared_conv.0", "shared", "convolution", (3, 3, 1))
        yield Entry("shared_conv.1", "norm", "norm")
        yield Entry("heads.hm", "heat", "pointwise")

    monkeypatch.setitem(PUBLISHED, "head", Published("openpcdet", "model_state", "zyx", "dense_head.", head))
    own = nn.ModuleDict(
        {"shared": SubmanifoldConv3d(5, 7, kernel_size=(3, 3, 1)), "norm": BatchNorm(7), "heat": Linear(7, 2)}
    ).state_dict()
    published = to_published(own, "head").tensors
    assert published["dense_head.shared_conv.0.weight"].shape == (7, 1, 3, 3, 5)
    assert published["dense_head.heads.hm.weight"].shape == (2, 1, 1, 1, 7)
    back = from_published(published, own, "head").tensors
    assert same({key: back[key] for key in own}, own)


def test_wrappers_are_taken_off_only_where_all_names_have_them():
    assert strip_wrappers(["module.backbone.stem.0.weight", "module.backbone.final.bias"]) == "module.backbone."
    assert strip_wrappers(["backbone.module.a", "backbone.module.b"]) == "backbone.module."
    assert strip_wrappers(["backbone.a", "cls_head.b"]) == ""
    assert strip_wrappers([]) == ""
