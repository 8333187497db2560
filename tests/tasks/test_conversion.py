"""Published files into ours and back, and files that must not be taken."""

import os
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from oracles import published_keys, published_spconv
from spikevox.layers import SparseTensor
from spikevox.layers.backbones import Encoder, UNet, Voxel8x
from spikevox.layers.convert import ConversionError
from spikevox.tasks import CheckpointError, ConfigError, cli, load_predictor, load_segmenter
from spikevox.tasks.build import build
from spikevox.tasks.checkpoint import neuron_facts, read_weights, save_weights
from spikevox.tasks.classification import Classifier
from spikevox.tasks.config import to_plain
from spikevox.tasks.conversion import export_weights, import_weights, read_published
from spikevox.tasks.datasets.semantickitti_label import CLASS_NAMES
from spikevox.tasks.predictor import load_described
from spikevox.tasks.segmentation import Segmenter

SMALL = published_keys.NARROW
FRAMEWORK = {"classifier": "pointcept", "segmenter": "pointcept", "voxel8x": "openpcdet"}
TINY = str(Path(__file__).resolve().parent.parent / "robustness" / "tiny.py")
spconv = pytest.mark.skipif(bool(published_spconv.reason_absent()), reason=published_spconv.reason_absent())


OURS = {
    "classifier": {
        "type": Classifier,
        "encoder": {"type": Encoder, "size": "T", "in_channels": 6},
        "num_classes": 40,
    },
    "segmenter": {
        "type": Segmenter,
        "backbone": {"type": UNet, "in_channels": 4, "size": "small", "grid": "input"},
        "num_classes": 19,
    },
    "voxel8x": {"type": Voxel8x, "in_channels": 4, "size": "small", "grid": (30, 24, 18)},
}


def published_file(path, name, **options):
    content = published_keys.container(name, **{**SMALL[name], **options})
    torch.save(content, path)
    return content["model_state" if name == "voxel8x" else "state_dict"]


def tensors_of(path):
    content = torch.load(path, weights_only=True)
    (tensors,) = content.values()
    return tensors


@pytest.mark.parametrize("prefix", ["", "module.", "backbone.", "module.backbone."])
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("name", FRAMEWORK)
def test_a_file_goes_there_and_back_bit_for_bit(tmp_path, name, version, prefix):
    source = published_file(tmp_path / "a.pth", name, spconv=version, prefix=prefix)
    report = import_weights(tmp_path / "a.pth", tmp_path / "a.safetensors")
    assert (report.network, report.spconv, report.prefix) == (name, version, prefix)
    assert len(report.matched) == report.total == len(source)
    back = export_weights(tmp_path / "a.safetensors", tmp_path / "b.pth", framework=FRAMEWORK[name])
    assert len(back.matched) == len(source)
    result = tensors_of(tmp_path / "b.pth")
    assert sorted(result) == sorted(source)
    for key, tensor in source.items():
        assert result[key].dtype == tensor.dtype
        assert result[key].numpy().tobytes() == tensor.numpy().tobytes()
        assert result[key].shape == tensor.shape


def test_the_weights_tell_all_that_a_predictor_needs(tmp_path):
    published_file(tmp_path / "c.pth", "classifier")
    import_weights(tmp_path / "c.pth", tmp_path / "c.safetensors")
    predictor = load_predictor(tmp_path / "c.safetensors")
    assert len(predictor.class_names) == 40
    assert predictor.class_names[:2] == ("airplane", "bathtub")
    assert predictor(np.random.default_rng(0).normal(size=(200, 6))).label in predictor.class_names
    _, facts = read_weights(tmp_path / "c.safetensors")
    assert facts["neurons"] == ["ILIF(levels=4, decay=0.25)"]
    assert facts["published"] == {"network": "classifier", "prefix": "", "spconv": 2, "file": "c.pth"}
    published_file(tmp_path / "s.pth", "segmenter")
    import_weights(tmp_path / "s.pth", tmp_path / "s.safetensors")
    segmenter = load_segmenter(tmp_path / "s.safetensors")
    assert segmenter.class_names == CLASS_NAMES
    network, _ = load_described(tmp_path / "s.safetensors")
    assert network.backbone.down[0][0].conv.extent == "input"


@spconv
@pytest.mark.parametrize("name", FRAMEWORK)
def test_an_exported_network_runs_in_spconv_with_the_same_result(tmp_path, name):
    """Weights that were never there: ours, drawn here, loaded strictly by spconv's modules."""
    torch.manual_seed(0)
    network = build(OURS[name])
    columns = 6 if name == "classifier" else 4
    rows = torch.from_numpy(np.unique(np.random.default_rng(0).integers(0, [2, 30, 24, 18], (2500, 4)), axis=0)).int()
    x = SparseTensor(torch.randn(len(rows), columns), rows, batch_size=2)
    call = network if name == "voxel8x" else network.logits
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.momentum = 1.0
            nn.init.uniform_(module.weight, 0.8, 1.6)
            nn.init.uniform_(module.bias, -0.4, 0.6)
    with torch.no_grad():
        call(x)
    save_weights(tmp_path / "a.safetensors", network, {"model": to_plain(OURS[name])})
    export_weights(tmp_path / "a.safetensors", tmp_path / "a.pth", framework=FRAMEWORK[name])
    made = published_spconv.network(name, size="narrow", grid=(18, 24, 30))
    start = len("backbone_3d." if name == "voxel8x" else "backbone.")
    made.load_state_dict({key[start:]: tensor for key, tensor in tensors_of(tmp_path / "a.pth").items()})
    made.eval()
    if name != "voxel8x":
        made.final.train()
    order = [0, 3, 2, 1] if name == "voxel8x" else [0, 1, 2, 3]
    with torch.no_grad():
        theirs = made.double()(x.features.double(), x.coordinates[:, order].contiguous(), 2)
        result = call_double(network, x)
    if name == "voxel8x":
        spikes = theirs[-1]
        order = torch.from_numpy(np.lexsort(spikes.indices[:, [1, 2, 3, 0]].numpy().T))
        assert torch.equal(spikes.features[order], result.spikes.features)
        assert len(spikes.features.unique()) > 2
    else:
        assert theirs.abs().max() > 0.1
        assert (result - theirs).abs().max() < 1e-9


def call_double(network, x):
    network = network.double().eval()
    x = SparseTensor(x.features.double(), x.coordinates, batch_size=2)
    return network(x) if isinstance(network, Voxel8x) else network.logits(x)


def test_a_config_tells_model_voxels_and_classes(tmp_path):
    published_file(tmp_path / "a.pth", "classifier")
    published_file(tmp_path / "b.pth", "classifier", width=4, enc=(4, 8, 16, 32))
    with pytest.raises(ConversionError, match="are those of no size"):
        import_weights(tmp_path / "b.pth", tmp_path / "b.safetensors")
    published_file(tmp_path / "c.pth", "classifier", classes=10)
    with pytest.raises(ConfigError, match=r"say what they are with --config"):
        import_weights(tmp_path / "c.pth", tmp_path / "c.safetensors")
    config = tmp_path / "tiny.py"
    config.write_text(Path(TINY).read_text().replace("width=0.25, ", ""))
    published_file(tmp_path / "d.pth", "classifier", inside=3, classes=10)
    import_weights(tmp_path / "d.pth", tmp_path / "d.safetensors", config=config)
    assert cli.main(["test", str(config), str(tmp_path / "d.safetensors")]) == 0
    with pytest.raises(ConversionError, match="shape"):
        import_weights(tmp_path / "a.pth", tmp_path / "a.safetensors", config=config)
    config.write_text(config.read_text().replace("in_channels=3,", "in_channels=3, neuron='relu',"))
    with pytest.raises(ConfigError, match=r"ILIF\(levels=4\) in one time step, this one has ReLU"):
        import_weights(tmp_path / "d.pth", tmp_path / "e.safetensors", config=config)
    published_file(tmp_path / "f.pth", "segmenter")
    with pytest.raises(ConfigError, match="is for a Classifier, the file holds a segmenter"):
        import_weights(tmp_path / "f.pth", tmp_path / "f.safetensors", config=config)
    assert sorted(p.name for p in tmp_path.glob("*.safetensors")) == ["d.safetensors"]


def test_a_detector_is_converted_whole_or_its_backbone_where_asked_for(tmp_path):
    content = published_keys.container("voxel8x")
    content["model_state"] |= {"roi_head.cls.weight": torch.zeros(2, 2), "global_step": torch.zeros(1).long()}
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(ConversionError, match=r"(?s)unexpected  2  roi_head.*--network voxel8x converts"):
        import_weights(tmp_path / "a.pth", tmp_path / "a.safetensors")
    report = import_weights(tmp_path / "a.pth", tmp_path / "a.safetensors", network="voxel8x")
    assert len(report.left_out) == 2
    network, facts = load_described(tmp_path / "a.safetensors")
    assert isinstance(network, Voxel8x)
    assert facts["model"]["grid"] == [1408, 1600, 41]
    assert facts["voxels"]["grid"]["voxel_size"] == [0.05, 0.05, 0.1]


class Harm:
    def __reduce__(self):
        return os.system, (f"{sys.executable} -c \"open('harm', 'w')\"",)


class Grown:
    """A tensor of 10^15 numbers, of which one is stored."""

    def __new__(cls):
        return torch.zeros(1).expand(10**15)


def with_tensor(name, tensor):
    content = published_keys.container("classifier")
    content["state_dict"][name] = tensor
    return content


BROKEN = {
    "code": (lambda: {"state_dict": {"a": Harm()}}, CheckpointError, "loading them runs code"),
    "code beside the weights": (lambda: {**published_keys.container("classifier"), "x": Harm()}, CheckpointError, "runs code"),
    "a module": (lambda: nn.Linear(2, 2), CheckpointError, "runs code"),
    "no container": (lambda: {"weights": {}}, CheckpointError, "no file of pointcept or openpcdet.*holds weights"),
    "two containers": (lambda: {"state_dict": {}, "model_state": {}}, CheckpointError, "holds state_dict, model_state"),
    "a list": (lambda: [torch.zeros(1)], CheckpointError, "holds no names"),
    "no tensors": (lambda: {"state_dict": {}}, CheckpointError, "holds no tensors"),
    "text": (lambda: with_tensor("final.bias", "zero"), CheckpointError, "'final.bias' is no plain tensor but str"),
    "a name that is no text": (lambda: with_tensor(3, torch.zeros(1)), CheckpointError, "3 is no plain tensor"),
    "sparse": (lambda: with_tensor("final.bias", torch.eye(4).to_sparse()), CheckpointError, "no plain tensor"),
    "grown": (lambda: with_tensor("final.bias", Grown()), CheckpointError, "claims.*more than is stored"),
    "NaN": (lambda: with_tensor("final.bias", torch.full((40,), float("nan"))), ConversionError, "not finite  1  final.bias"),
    "shape": (lambda: with_tensor("stem.3.weight", torch.zeros(2)), ConversionError, "shape       1  stem.3.weight"),
    "whole numbers": (lambda: with_tensor("stem.4.weight", torch.ones(16).long()), ConversionError, "int64 in the file"),
    "no width": (lambda: with_tensor("stem.1.weight", torch.zeros(0)), ConversionError, "tells its size"),
    "a scalar": (lambda: with_tensor("stem.1.weight", torch.zeros(())), ConversionError, "tells its size"),
    "left over": (lambda: with_tensor("enc.0.extra", torch.zeros(1)), ConversionError, r"unexpected  1  enc\.0\.extra"),
    "another framework": (
        lambda: {"model_state": published_keys.container("classifier")["state_dict"]},
        ConversionError,
        "its names are those of another framework",
    ),
    "the ANN of KITTI": (
        lambda: {"model_state": {f"backbone_3d.{name}.0.weight": torch.ones(1) for name in ("conv_input", "conv2.0")}},
        ConversionError,
        "the ANN, not the spiking network",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_wrong_is_told_and_nothing_is_written(tmp_path, monkeypatch, case):
    make, kind, text = BROKEN[case]
    monkeypatch.chdir(tmp_path)
    torch.save(make(), tmp_path / "a.pth")
    (tmp_path / "old.safetensors").write_bytes(b"old")
    for target in ("new.safetensors", "old.safetensors"):
        with pytest.raises(kind, match=rf"(?s)a\.pth.*{text}"):
            import_weights(tmp_path / "a.pth", tmp_path / target)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.pth", "old.safetensors"]
    assert (tmp_path / "old.safetensors").read_bytes() == b"old"


def test_truncated_files_and_plain_pickles_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    published_file(tmp_path / "a.pth", "segmenter")
    content = (tmp_path / "a.pth").read_bytes()
    for end in (0, 10, len(content) // 2, len(content) - 1):
        (tmp_path / "a.pth").write_bytes(content[:end])
        with pytest.raises(CheckpointError, match=r"a\.pth cannot be read as a checkpoint"):
            import_weights(tmp_path / "a.pth", tmp_path / "b.safetensors")
    (tmp_path / "a.pth").write_bytes(pickle.dumps(Harm()))
    with pytest.raises(CheckpointError, match="runs code"):
        import_weights(tmp_path / "a.pth", tmp_path / "b.safetensors")
    with pytest.raises(CheckpointError, match="is not there"):
        import_weights(tmp_path / "c.pth", tmp_path / "b.safetensors")
    assert [p.name for p in tmp_path.iterdir()] == ["a.pth"]


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int64, np.bool_])
def test_numbers_of_numpy_beside_the_weights_do_no_harm(tmp_path, kind):
    torch.save({**published_keys.container("classifier"), "best_metric_value": kind(1)}, tmp_path / "a.pth")
    assert len(read_published(tmp_path / "a.pth").tensors) == 116


def test_options_that_do_not_fit_are_told(tmp_path):
    published_file(tmp_path / "a.pth", "classifier")
    weights = tmp_path / "a.safetensors"
    with pytest.raises(ConfigError, match=r"written as \.safetensors"):
        import_weights(tmp_path / "a.pth", tmp_path / "b.pth")
    with pytest.raises(ConversionError, match="holds a classifier, not a segmenter"):
        import_weights(tmp_path / "a.pth", weights, network="segmenter")
    with pytest.raises(CheckpointError, match="no file of openpcdet: it should hold model_state"):
        import_weights(tmp_path / "a.pth", weights, framework="openpcdet")
    with pytest.raises(ConfigError, match="unknown network 'bev'"):
        import_weights(tmp_path / "a.pth", weights, network="bev")
    with pytest.raises(ConfigError, match="unknown format 'mmdet'"):
        import_weights(tmp_path / "a.pth", weights, framework="mmdet")
    import_weights(tmp_path / "a.pth", weights)
    with pytest.raises(ConfigError, match=r"as \.pth or \.pt"):
        export_weights(weights, tmp_path / "b.safetensors", framework="pointcept")
    with pytest.raises(ConfigError, match="a network of pointcept, not of openpcdet"):
        export_weights(weights, tmp_path / "b.pth", framework="openpcdet")
    model = to_plain({"type": Encoder, "size": "T", "in_channels": 3})
    save_weights(tmp_path / "n.safetensors", Encoder("T", 3), {"model": model})
    with pytest.raises(ConfigError, match="holds a Encoder, which is none of the published"):
        export_weights(tmp_path / "n.safetensors", tmp_path / "b.pth", framework="pointcept")
    assert not (tmp_path / "b.pth").exists()


def test_what_the_published_code_cannot_run_is_not_exported(tmp_path):
    encoder = {"type": Encoder, "size": "T", "in_channels": 6, "neuron_options": {"levels": 8}}
    network = Classifier(Encoder("T", in_channels=6, neuron_options={"levels": 8}), 40)
    model = to_plain({"type": Classifier, "encoder": encoder, "num_classes": 40})
    save_weights(tmp_path / "a.safetensors", network, {"model": model})
    assert neuron_facts(network) == ["ILIF(levels=8, decay=0.25)"]
    with pytest.raises(ConfigError, match=r"this one has ILIF\(levels=8, decay=0.25\) in 1"):
        export_weights(tmp_path / "a.safetensors", tmp_path / "a.pth", framework="pointcept")
    backbone = {"type": UNet, "in_channels": 4, "size": "small"}
    model = to_plain({"type": Segmenter, "backbone": backbone, "num_classes": 19})
    save_weights(tmp_path / "b.safetensors", Segmenter(UNet(4, size="small"), 19), {"model": model})
    report = export_weights(tmp_path / "b.safetensors", tmp_path / "b.pth", framework="pointcept", spconv=1)
    assert report.spconv == 1
    assert "leaves out the last voxels of an odd extent" in report.notes[0]
    assert tensors_of(tmp_path / "b.pth")["backbone.stem.0.weight"].shape == (3, 3, 3, 4, 16)
    torch.save({"state_dict": Segmenter(UNet(4, size="small"), 19).state_dict(), "facts": "{"}, tmp_path / "c.pth")
    with pytest.raises(ConfigError, match="is the file that is read"):
        export_weights(tmp_path / "c.pth", tmp_path / "c.pth", framework="pointcept")


def test_the_command_prints_the_report_and_exits_with_1_where_it_refuses(tmp_path, capsys):
    published_file(tmp_path / "a.pth", "classifier", prefix="module.backbone.")
    assert cli.main(["convert", str(tmp_path / "a.pth"), "--to", str(tmp_path / "a.safetensors")]) == 0
    text = capsys.readouterr().out
    assert "classifier of pointcept, kernels of spconv 2, prefix 'module.backbone.'" in text
    assert "matched     116 of 116 tensors" in text
    back = ["convert", str(tmp_path / "a.safetensors"), "--to", str(tmp_path / "b.pth"), "--to-format", "pointcept"]
    assert cli.main(back) == 0
    assert sorted(tensors_of(tmp_path / "b.pth")) == sorted(tensors_of_container(tmp_path / "a.pth"))
    capsys.readouterr()
    assert cli.main([*back, "--network", "classifier"]) == 1
    assert "goes with --spconv alone" in capsys.readouterr().err
    torch.save(with_tensor("stem.3.weight", torch.zeros(2)), tmp_path / "c.pth")
    assert cli.main(["convert", str(tmp_path / "c.pth"), "--to", str(tmp_path / "c.safetensors")]) == 1
    error = capsys.readouterr().err
    assert "the weights do not fit and were not converted" in error
    assert "matched     115 of 116 tensors" in error
    assert not (tmp_path / "c.safetensors").exists()


def tensors_of_container(path):
    return torch.load(path, weights_only=True)["state_dict"]
