"""Energy of classifiers, segmentation and detectors on their data, and the command from end to end."""

import csv
import json
from pathlib import Path

import pytest
import torch

from spikevox.layers.backbones import UNet, VoxelNeXtBackbone
from spikevox.layers.energy import energy_report
from spikevox.tasks import cli, load_config
from spikevox.tasks.build import build
from spikevox.tasks.detection import CentreHead, VoxelNeXt
from spikevox.tasks.energy import count_samples, energy_card, measure_energy, write_card
from spikevox.tasks.errors import ConfigError
from spikevox.tasks.segmentation import Segmenter
from tasks.detection.toy_streets import detector, streets, two_stages
from tasks.segmentation.toy_dataset import ToyScenes

TINY = str(Path(__file__).resolve().parents[2] / "robustness" / "tiny.py")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::ResourceWarning")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Weights of the tiny experiment and of its control."""
    folder = tmp_path_factory.mktemp("energy")
    for name, more in (("ilif", []), ("relu", ["--set", "model.encoder.neuron=relu"])):
        work = str(folder / name)
        assert cli.main(["train", TINY, "--work-dir", work, "--set", "train_cfg.max_epochs=1", *more]) == 0
    return folder


def test_the_command_prints_and_writes_a_report(trained, tmp_path, capsys):
    weights, relu = (str(trained / name / "weights.safetensors") for name in ("ilif", "relu"))
    card = tmp_path / "README.md"
    card.write_text("before\n<!-- energy: weights -->\nold\n<!-- end of energy: weights -->\nafter\n")
    out = str(tmp_path / "out")
    arguments = ["energy", TINY, weights, "--samples", "5", "--relu", relu, "--out", out, "--card", str(card)]
    assert cli.main(arguments) == 0
    text = capsys.readouterr().out
    assert "encoder.stem.layers.3" in text
    assert "Over 5 samples, priced at 45 nm" in text
    assert "Published script's stem-only figure, which is not the network's energy" in text
    assert "ReLU: trained with ReLU, weights.safetensors." in text
    figures = json.loads((tmp_path / "out" / "energy.json").read_text())
    assert figures["samples"] == 5
    assert set(figures["picojoules"]) >= {"spiking", "relu_dense", "relu_skipping", "quantised_skipping"}
    with (tmp_path / "out" / "energy.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["layer"] for row in rows] == [row["name"] for row in figures["layers"]]
    assert {row["kind"] for row in rows} == {"convolution", "linear", "neuron", "sum", "pool"}
    total = sum(float(row["spiking_real_pj"]) + float(row["spiking_spiking_pj"]) for row in rows)
    assert total == pytest.approx(figures["picojoules"]["spiking"]["synaptic"]["mean"])
    assert (tmp_path / "out" / "energy.png").read_bytes()[:4] == b"\x89PNG"
    assert list((tmp_path / "out" / "tensorboard").glob("events*"))
    written = card.read_text()
    assert written.startswith("before\n<!-- energy: weights -->\n")
    assert written.endswith("\n<!-- end of energy: weights -->\nafter\n")
    assert "old" not in written
    assert (tmp_path / "out" / "energy.md").read_text().strip() in written


def test_a_card_without_the_two_lines_is_left_alone(tmp_path):
    (tmp_path / "README.md").write_text("nothing\n")
    with pytest.raises(ConfigError, match=r"no lines <!-- energy: a --> and <!-- end of energy: a -->"):
        write_card(tmp_path / "README.md", "a", "text")
    assert (tmp_path / "README.md").read_text() == "nothing\n"


def test_without_a_trained_control_the_same_weights_are_run(trained):
    report = measure_energy(load_config(TINY), trained / "ilif" / "weights.safetensors", samples=4)
    assert report.counts.samples == 4
    assert report.relu == "the same weights, not trained with ReLU"
    assert "not trained with ReLU" in energy_card(report)


def test_wrong_options_are_told(trained, capsys):
    weights = str(trained / "ilif" / "weights.safetensors")
    assert cli.main(["energy", TINY, weights, "--table", "nowhere"]) == 1
    assert "no table of constants 'nowhere'" in capsys.readouterr().err
    relu = str(trained / "relu" / "weights.safetensors")
    assert cli.main(["energy", TINY, relu, "--samples", "1"]) == 1
    assert "was made for another network" in capsys.readouterr().err


def warmed(network, dataset):
    """The network with normalisations that make it fire."""
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = 1.0
    sample = dataset.validation_batch([dataset.cloud(0)])
    with torch.no_grad():
        network.train()(*getattr(sample, "voxels", sample), mode="tensor")
    return network.eval()


def test_segmentation_is_counted_whole():
    torch.manual_seed(0)
    dataset = ToyScenes("test")
    network = warmed(Segmenter(UNet(4, size="small"), 3), dataset)
    samples = count_samples(network, dataset, [0, 3])
    counts = samples[0] + samples[1]
    names = {layer.name for layer in counts.weighted()}
    weighted = {name for name, m in network.named_modules() if type(m).__name__ in {
        "SubmanifoldConv3d", "SparseConv3d", "SparseInverseConv3d", "Linear"}}  # fmt: skip
    assert names == weighted
    assert [layer.name for layer in counts.weighted("reals")] == ["backbone.stem.layers.0", "head"]
    assert all(layer.folded for layer in counts.layers if layer.kind == "normalisation")
    assert energy_report(samples).published.layers == 3


def test_detectors_are_counted_with_their_dense_parts_and_without_suppression():
    torch.manual_seed(0)
    dataset = build(streets())
    for options, uncounted in (
        (detector(), ("boxes from what is said at anchors",)),
        (two_stages(), ("boxes from what is said at anchors", "boxes from what is said of proposals")),
    ):
        network = warmed(build(options), dataset)
        counts = count_samples(network, dataset, [0])[0]
        weighted = {name for name, m in network.named_modules() if isinstance(getattr(m, "weight", None), torch.Tensor)
                    and m.weight.ndim > 1}  # fmt: skip
        assert {layer.name for layer in counts.weighted()} == weighted
        real = {layer.name for layer in counts.weighted("reals")}
        assert {"backbone.stem.layers.0", "backbone.out.0", "head.score", "head.box", "head.direction"} <= real
        assert counts.uncounted == uncounted
        assert bool(counts.apart) == ("roi_head" in options)
        assert all(place.startswith("roi_head") for place, *_ in counts.apart)


def test_voxelnext_is_counted_whole():
    torch.manual_seed(0)
    dataset = build(streets())
    head = CentreHead(64, [["car"]], lower=(-16, -16), cell=(0.8, 0.8), velocity=False)
    network = warmed(VoxelNeXt(VoxelNeXtBackbone(4, size="small", grid=(320, 320, 33)), head), dataset)
    counts = count_samples(network, dataset, [0])[0]
    assert counts.uncounted == ("boxes from what is said at sites",)
    assert {layer.name for layer in counts.weighted("reals")} == {
        "backbone.volume.stem.0", *(f"head.branches.0.{name}.3" for name in ("center", "center_z", "dim", "rot", "hm"))
    }  # fmt: skip
    assert [layer.kind for layer in counts.layers if layer.name == "backbone.merge"] == ["sum"]


def test_a_training_logs_energy_after_each_validation(tmp_path, caplog):
    from spikevox.tasks.energy import EnergyLog
    from spikevox.tasks.runner import build_runner

    config = load_config(TINY, ["train_cfg.max_epochs=2", "param_scheduler=[]"])
    config["custom_hooks"] = [{"type": EnergyLog, "samples": 2}]
    runner = build_runner(config, tmp_path / "run")
    with caplog.at_level("INFO", logger="spikevox"):
        runner.train()
    said = [record.getMessage() for record in caplog.records if record.getMessage().startswith("energy: ")]
    assert len(said) == 2
    assert "uJ a sample with spikes" in said[0]
    with pytest.raises(ConfigError, match="samples of at least 1"):
        EnergyLog(0)
