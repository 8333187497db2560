"""Published detectors into ours and back: bits, shapes, the order of kernels, a forward pass, and what is refused."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from oracles import published_detectors as published
from oracles.voxelnext_numpy import Backbone
from spikevox.layers import SparseTensor
from spikevox.layers.backbones import BevBackbone, VoxelNeXtBackbone
from spikevox.layers.convert import PUBLISHED, ConversionError, Recognised, from_published, recognise, to_published
from spikevox.tasks import cli, load_detector
from spikevox.tasks.build import build
from spikevox.tasks.conversion import export_weights, import_weights
from spikevox.tasks.detection import TwoStageDetector
from spikevox.tasks.errors import ConfigError
from spikevox.tasks.predictor import load_described
from spikevox.tasks.published import published_model

NAMES = tuple(published.NETWORKS)


def published_file(path, name, **options):
    tensors = published.tensors(name, **options)
    torch.save({"model_state": tensors, "epoch": 80}, path)
    return tensors


def ours(name, size="small", inside=None):
    inside = inside or (5 if name.startswith("voxelnext") else 4)
    return build(published_model(Recognised(name, size, inside, 1)))


@pytest.mark.parametrize("name", NAMES)
def test_the_published_tables_have_the_published_sizes(name):
    """Counted from names and shapes of the description, and those of the same network of ours."""
    learnt = ("weight", "bias")
    shapes = published.NETWORKS[name]()
    assert sum(math.prod(s) for k, s in shapes.items() if k.rsplit(".", 1)[1] in learnt) == published.PARAMETERS[name]
    found = recognise({k: torch.empty(s, device="meta") for k, s in shapes.items()})
    assert (found.name, found.size) == (name, "base")


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("name", NAMES)
def test_a_file_goes_there_and_back_bit_for_bit(tmp_path, name, version, prefix):
    source = published_file(tmp_path / "a.pth", name, spconv=version, prefix=prefix, narrow=True)
    report = import_weights(tmp_path / "a.pth", tmp_path / "a.safetensors")
    assert (report.network, report.spconv, report.prefix) == (name, version, prefix)
    assert len(report.matched) == report.total == len(source)
    export_weights(tmp_path / "a.safetensors", tmp_path / "b.pth", framework="openpcdet")
    result = torch.load(tmp_path / "b.pth", weights_only=True)["model_state"]
    assert sorted(result) == sorted(source)
    for key, tensor in source.items():
        assert (result[key].dtype, result[key].shape) == (tensor.dtype, tensor.shape)
        assert result[key].numpy().tobytes() == tensor.numpy().tobytes()


@pytest.mark.parametrize("name", NAMES)
def test_the_published_size_goes_there_and_back_too(name):
    own = ours(name, "base").state_dict()
    source = published.tensors(name)
    there = from_published(source, own, name)
    assert sorted(there.tensors) == sorted(own)
    back = to_published(there.tensors, name).tensors
    assert all(torch.equal(back[key], tensor) for key, tensor in source.items())
    assert len(back) == len(source)


@pytest.mark.parametrize("version", [1, 2])
def test_every_number_of_a_plane_kernel_is_where_its_offset_says(version):
    source = published.tensors("voxelnext", spconv=version, narrow=True)
    own = ours("voxelnext").state_dict()
    kernel = from_published(source, own, "voxelnext").tensors["plane.1.weight"]
    weight = source["backbone_3d.conv_out.1.weight"]
    assert weight.shape == ((64, 3, 3, 64) if version == 2 else (3, 3, 64, 64))
    for x, y in np.ndindex(3, 3):
        expected = weight[:, y, x].T if version == 2 else weight[y, x]
        assert torch.equal(kernel[x + 3 * y], expected)


def test_a_converted_voxelnext_computes_what_its_published_weights_say():
    """Through numpy, on a grid of three unlike sides; weights are moved to the other names by hand, offset by offset."""
    grid = (37, 43, 21)
    source = published.tensors("voxelnext", narrow=True, seed=1)
    source = {k: (v - 0.6) / 10 if k.endswith("weight") and v.ndim > 1 else v for k, v in source.items()}
    network = VoxelNeXtBackbone(5, size="small", grid=grid)
    network.load_state_dict(from_published(source, network.state_dict(), "voxelnext").tensors)
    weights = {}
    for name, tensor in source.items():
        name = name.removeprefix("backbone_3d.")
        if tensor.ndim == 5:
            tensor = torch.stack([tensor[:, z, y, x].T for z, y, x in np.ndindex(3, 3, 3)])
        elif tensor.ndim == 4:
            tensor = torch.stack([tensor[:, y, x].T for y, x in np.ndindex(3, 3)])
        weights[renamed(name)] = tensor.double().numpy()
    generator = np.random.default_rng(0)
    rows = np.unique(generator.integers(0, [1, *grid], (150, 4)), axis=0)
    features = generator.normal(size=(len(rows), 5))
    x = SparseTensor(torch.from_numpy(features), torch.from_numpy(rows), batch_size=1)
    with torch.no_grad():
        found = network.double().eval()(x)
    expected, places = Backbone(weights, grid)(features, rows)
    order = np.lexsort(found.coordinates.numpy().T[::-1])
    assert np.array_equal(found.coordinates.numpy()[order][:, :3] // [1, 8, 8], places)
    assert np.abs(expected).max() > 0.1
    assert np.allclose(found.features.numpy()[order], expected, atol=1e-9)


def renamed(name):
    """A published name of the backbone under ours, by hand."""
    part, *rest = name.split(".")
    if part == "conv_input":
        return f"volume.stem.{'.'.join(rest)}"
    if part in ("conv_out", "shared_conv"):
        return f"plane.{int(rest[0]) + (0 if part == 'conv_out' else 3)}.{rest[1]}"
    stage = int(part[4:]) - 2
    home = "volume.entry" if stage < 0 else f"volume.stages.{stage}"
    if rest[1].isdigit():
        return f"{home}.0.{'conv' if rest[1] == '1' else 'norm'}.{rest[2]}"
    place = {"conv1": 1, "bn1": 2, "conv2": 4, "bn2": 5}[rest[1]]
    return f"{home}.{rest[0]}.layers.{place}.{rest[2]}"


class Spike(nn.Module):
    def forward(self, x):
        return (x.clamp(0, 4) + 0.5).floor()


def test_a_converted_map_backbone_computes_what_torch_computes_from_the_published_names():
    source = published.tensors("single_stage", narrow=True, seed=2)
    source = {k: (v - 0.6) / 10 if v.ndim == 4 else v for k, v in source.items() if k.startswith("backbone_2d")}
    norm = {"eps": 1e-3}

    def block(inside, width, stride):
        layers = [
            nn.ZeroPad2d(1),
            Spike(),
            nn.Conv2d(inside, width, 3, stride, bias=False),
            nn.BatchNorm2d(width, **norm),
        ]
        for _ in range(2):
            layers += [Spike(), nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width, **norm)]
        return nn.Sequential(*layers)

    made = nn.ModuleDict({
        "blocks": nn.ModuleList([block(128, 32, 1), block(32, 64, 2)]),
        "deblocks": nn.ModuleList(
            nn.Sequential(Spike(), nn.ConvTranspose2d(w, 64, s, s, bias=False), nn.BatchNorm2d(64, **norm))
            for w, s in ((32, 1), (64, 2))
        ),
    }).double().eval()  # fmt: skip
    made.load_state_dict({k.removeprefix("backbone_2d."): v for k, v in source.items()})
    x = torch.randint(0, 5, (1, 128, 8, 6), generator=torch.Generator().manual_seed(0)).double()
    fine = made["blocks"][0](x)
    coarse = made["blocks"][1](fine)
    expected = torch.cat([made["deblocks"][0](fine), made["deblocks"][1](coarse)], dim=1)
    detector = ours("single_stage")
    whole = published.tensors("single_stage", narrow=True)
    detector.load_state_dict(from_published({**whole, **source}, detector.state_dict(), "single_stage").tensors)
    assert isinstance(detector.bev, BevBackbone)
    assert torch.allclose(detector.bev.double().eval()(x), expected, atol=1e-9)
    assert float(expected.detach().abs().max()) > 0.1


def test_the_weights_tell_all_that_a_detector_needs_and_backbones_are_taken_out(tmp_path, capsys):
    published_file(tmp_path / "a.pth", "voxel_rcnn", narrow=True)
    assert cli.main(["convert", str(tmp_path / "a.pth"), "--to", str(tmp_path / "a.safetensors")]) == 0
    assert "voxel_rcnn of openpcdet" in capsys.readouterr().out
    detector = load_detector(tmp_path / "a.safetensors")
    assert detector.class_names == ("Car",)
    assert isinstance(detector.network, TwoStageDetector)
    assert detector.pipeline.grid.voxel_size == (0.05, 0.05, 0.1)
    report = import_weights(tmp_path / "a.pth", tmp_path / "b.safetensors", network="voxel8x")
    assert report.network == "voxel8x"
    assert len(report.left_out) + report.total == len(
        published.NETWORKS["voxel_rcnn"](**published.NARROW["voxel_rcnn"])
    )
    whole = published.tensors("voxelnext_detector", narrow=True)
    whole |= {"dense_head.heads_list.0.iou.1.bias": torch.zeros(1)}
    torch.save({"model_state": whole}, tmp_path / "c.pth")
    with pytest.raises(ConversionError, match=r"(?s)unexpected  1  dense_head.*--network voxelnext converts"):
        import_weights(tmp_path / "c.pth", tmp_path / "c.safetensors")
    left = import_weights(tmp_path / "c.pth", tmp_path / "c.safetensors", network="voxelnext").left_out
    assert len(left) == sum(key.startswith("dense_head.") for key in whole)
    network, facts = load_described(tmp_path / "c.safetensors")
    assert isinstance(network, VoxelNeXtBackbone)
    assert facts["voxels"]["features"] == ["xyz", "intensity", "time"]


def test_voxelnext_knows_its_classes_and_other_heads_are_refused(tmp_path):
    published_file(tmp_path / "a.pth", "voxelnext_detector", narrow=True)
    import_weights(tmp_path / "a.pth", tmp_path / "a.safetensors")
    detector = load_detector(tmp_path / "a.safetensors")
    assert detector.class_names[:4] == ("car", "truck", "construction_vehicle", "bus")
    assert detector.class_names[-1] == "traffic_cone"
    assert detector.network.head.place == ((-54.0, -54.0), (0.6, 0.6))
    assert detector.pipeline.grid.voxel_size == (0.075, 0.075, 0.2)
    # As many classes, in other groups.
    published_file(tmp_path / "b.pth", "voxelnext_detector", narrow=True, groups=(2, 1, 2, 1, 2, 2))
    with pytest.raises(ConversionError, match="shape       4  dense_head") as error:
        import_weights(tmp_path / "b.pth", tmp_path / "b.safetensors")
    assert any("heads_list.1.hm.1.bias: (1,) float32 in the file, (2,)" in line for line in error.value.report.shapes)
    source = published_file(tmp_path / "c.pth", "voxelnext_detector", narrow=True, groups=(1,))
    with pytest.raises(ConfigError, match="reads 5 features and knows 10 classes"):
        import_weights(tmp_path / "c.pth", tmp_path / "c.safetensors")
    source.pop("dense_head.heads_list.0.hm.1.bias")
    with pytest.raises(ConversionError, match="a tensor that tells its size is missing"):
        recognise(source)
    assert not list(tmp_path.glob("[bc].safetensors"))


@pytest.mark.parametrize("version", [1, 2])
def test_a_converted_branch_computes_what_its_published_weights_say(version):
    """A kernel of one place is its buffer read as (C_in, C_out), in spconv 1 and 2."""
    source = published.tensors("voxelnext_detector", spconv=version, narrow=True, seed=4)
    detector = ours("voxelnext_detector")
    detector.load_state_dict(from_published(source, detector.state_dict(), "voxelnext_detector").tensors)
    branch = detector.head.branches[5]["rot"].double().eval()
    part = {k.removeprefix("dense_head.heads_list.5.rot."): v.double() for k, v in source.items() if ".5.rot." in k}
    x = 3 * torch.rand(7, 64, generator=torch.Generator().manual_seed(0)).double()
    hidden = Spike()(x) @ part["0.1.weight"].reshape(64, 64) + part["0.1.bias"]
    scale = part["0.2.weight"] / (part["0.2.running_var"] + 1e-5).sqrt()
    expected = ((hidden - part["0.2.running_mean"]) * scale + part["0.2.bias"]) @ part["1.weight"].reshape(64, 2)
    assert torch.allclose(branch(x), expected + part["1.bias"], atol=1e-9)


FAULTS = {
    "missing": (lambda t, key: t.pop(key), r"missing     1  {}"),
    "shape": (lambda t, key: t.update({key: torch.zeros(3, 2)}), r"shape       1  {}"),
    "not finite": (lambda t, key: t[key].view(-1)[:1].fill_(math.nan), r"not finite  1  {}"),
    "left over": (lambda t, key: t.update({key + "s": torch.zeros(1)}), r"unexpected  1  {}s"),
}
PLACES = {
    "single_stage": ("backbone_2d.blocks.1.5.weight", "backbone_2d.deblocks.1.1.weight", "dense_head.conv_box.bias"),
    "voxel_rcnn": (
        "roi_head.roi_grid_pool_layers.2.mlps_pos.0.0.weight",
        "roi_head.shared_fc_layer.5.weight",
        "roi_head.reg_pred_layer.bias",
    ),
    "voxelnext": ("backbone_3d.conv5.1.conv2.weight", "backbone_3d.shared_conv.1.weight", "backbone_3d.conv6.0.2.bias"),
    "voxelnext_detector": (
        "dense_head.heads_list.0.hm.0.1.weight",
        "dense_head.heads_list.5.vel.0.2.running_mean",
        "dense_head.heads_list.3.center_z.1.bias",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", NAMES)
def test_a_partial_or_wrong_file_is_refused_with_the_report(tmp_path, name, fault):
    spoil, text = FAULTS[fault]
    for place in PLACES[name]:
        tensors = published.tensors(name, narrow=True)
        spoil(tensors, place)
        torch.save({"model_state": tensors}, tmp_path / "a.pth")
        with pytest.raises(ConversionError, match=text.format(place.replace(".", r"\."))) as error:
            import_weights(tmp_path / "a.pth", tmp_path / "a.safetensors")
        report = error.value.report
        assert len(report.matched) >= report.total - 1
        assert not (tmp_path / "a.safetensors").exists()


def test_a_spike_head_on_the_ann_is_named():
    with pytest.raises(ConversionError, match="VoxelNeXt without neurons: the ANN"):
        recognise({"backbone_3d.conv5.0.0.weight": torch.ones(1)})
    with pytest.raises(ConversionError, match="the ANN, not the spiking network"):
        recognise({"backbone_3d.conv2.0.0.weight": torch.ones(1), "roi_head.roi_grid_pool_layers.0.x": torch.ones(1)})
    assert {"single_stage", "voxel_rcnn", "voxelnext"} <= set(PUBLISHED)
