"""The verb that writes files for hardware, on a training of seconds and on networks that are not trained."""

from pathlib import Path

import numpy as np
import pytest
from torch import nn

from spikevox.layers.backbones import UNet
from spikevox.layers.deploy import load_events, load_pack, simulate
from spikevox.tasks import cli
from spikevox.tasks.config import load_config
from spikevox.tasks.errors import ConfigError
from spikevox.tasks.export import _part, export_network, score_integers
from spikevox.tasks.segmentation import Segmenter

TINY = str(Path(__file__).resolve().parent.parent / "robustness" / "tiny.py")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::ResourceWarning")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "run"
    assert cli.main(["train", TINY, "--work-dir", str(folder), "--set", "train_cfg.max_epochs=1"]) == 0
    return str(folder / "weights.safetensors")


def test_a_pack_and_an_event_list_go_together(weights, tmp_path, capsys):
    for kind in ("pack", "events"):
        arguments = ["export", TINY, weights, str(tmp_path / kind), "--format", kind, "--samples", "4", "--index", "3"]
        assert cli.main(arguments) == 0
    text = capsys.readouterr().out
    assert "part: classifier, voxels to logits" in text
    assert "no sum can overflow" in text
    program, events = load_pack(tmp_path / "pack"), load_events(tmp_path / "events")
    found = simulate(program, events)
    assert (found.unequal, found.outputs[0].shape) == (0, (1, 10))
    assert np.isfinite(found.outputs[0]).all()
    assert len(program.facts["class_names"]) == 10
    # The same file again, and nothing beside it.
    first = (tmp_path / "pack").read_bytes()
    assert cli.main(["export", TINY, weights, str(tmp_path / "pack"), "--format", "pack", "--samples", "4"]) == 0
    assert (tmp_path / "pack").read_bytes() == first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["events", "pack"]


def test_a_graph_of_nir_is_written(weights, tmp_path):
    pytest.importorskip("nir", reason="nir is not installed: pip install spikevox-layers[nir]")
    from spikevox.layers.deploy import read_nir

    assert cli.main(["export", TINY, weights, str(tmp_path / "network.nir"), "--format", "nir"]) == 0
    assert len(read_nir(tmp_path / "network.nir").nodes) > 20


def test_the_score_is_told_in_both_forms(weights, tmp_path, capsys):
    arguments = ["export", TINY, weights, str(tmp_path / "pack"), "--format", "pack", "--samples", "4", "--score"]
    assert cli.main(arguments) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    floating, whole = score_integers(load_config(TINY), weights, samples=4)
    assert line == f"accuracy on the test split: {floating:.4f} in floating point, {whole:.4f} in integers"
    assert abs(floating - whole) <= 0.2


def test_wrong_requests_are_told(weights, tmp_path):
    config = load_config(TINY)
    with pytest.raises(ConfigError, match="unknown format 'onnx'; there are pack, nir, events"):
        list(export_network(config, weights, "onnx", tmp_path / "x"))
    with pytest.raises(ConfigError, match="samples 0 to 19, not 20"):
        list(export_network(config, weights, "events", tmp_path / "x", samples=2, index=20))
    assert not (tmp_path / "x").exists()
    with pytest.raises(ConfigError, match="Linear: it is not known which part of it is sparse"):
        _part(nn.Linear(1, 1))


def test_the_sparse_part_of_each_network_is_known():
    assert _part(Segmenter(UNet(3, size="small"), 5))[1].startswith("segmenter")
