import os
import pickle
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from spikevox.layers import IF, ILIF, LIF, PLIF, PSN, AdaptiveLIF
from spikevox.tasks import load_predictor
from spikevox.tasks.atomic import write_atomically
from spikevox.tasks.checkpoint import (
    check_facts,
    load_checkpoint,
    load_strictly,
    neuron_facts,
    read_weights,
    save_checkpoint,
    save_weights,
)
from spikevox.tasks.errors import CheckpointError


class Harm:
    def __reduce__(self):
        return (os.system, ("echo harm",))


def test_plain_types_come_back(tmp_path):
    content = {"state_dict": {"w": torch.arange(3.0)}, "epoch": 3, "rates": [0.5, None], "name": "x"}
    save_checkpoint(tmp_path / "a.pth", content)
    loaded = load_checkpoint(tmp_path / "a.pth")
    assert torch.equal(loaded.pop("state_dict")["w"], content.pop("state_dict")["w"])
    assert loaded == content


@pytest.mark.parametrize("damage", ["missing", "truncated", "pickle", "foreign"])
def test_damaged_and_foreign_checkpoints_are_refused_by_name(tmp_path, damage):
    path = tmp_path / "a.pth"
    if damage == "truncated":
        save_checkpoint(path, {"state_dict": {"w": torch.ones(1000)}})
        path.write_bytes(path.read_bytes()[:1500])
    elif damage == "pickle":
        torch.save({"state_dict": {}, "extra": Harm()}, path)
    elif damage == "foreign":
        torch.save({"model_state": {}}, path)
    expected = {"missing": "is not there", "foreign": "holds no 'state_dict'"}.get(
        damage, "cannot be read as a checkpoint"
    )
    with pytest.raises(CheckpointError, match=rf"a\.pth.*{expected}"):
        load_checkpoint(path)


def test_a_plain_pickle_is_not_run(tmp_path, capfd):
    (tmp_path / "a.pth").write_bytes(pickle.dumps(Harm()))
    with pytest.raises(CheckpointError, match="such files are refused, as loading them runs code"):
        load_checkpoint(tmp_path / "a.pth")
    assert "harm" not in capfd.readouterr().out


def test_a_kill_during_a_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.bin"
    write_atomically(path, b"old")
    code = f"""
import os, time
from pathlib import Path
from spikevox.tasks.atomic import write_atomically
def wait(handle):
    Path({str(tmp_path / "open")!r}).touch()
    time.sleep(100)
os.fsync = wait
write_atomically(Path({str(path)!r}), b"new" * 100000)
"""
    process = subprocess.Popen([sys.executable, "-c", code])
    for _ in range(600):
        if (tmp_path / "open").exists():
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert path.read_bytes() == b"old"
    write_atomically(path, b"newer")
    assert path.read_bytes() == b"newer"


def test_an_error_during_a_write_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(handle):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(tmp_path / "a.bin", b"new")
    assert list(tmp_path.iterdir()) == []


def test_weights_carry_their_facts_and_fit_strictly(tmp_path):
    network = nn.Linear(3, 2)
    save_weights(tmp_path / "w.safetensors", network, {"seed": 4})
    tensors, facts = read_weights(tmp_path / "w.safetensors")
    assert facts["seed"] == 4
    other = nn.Linear(3, 2)
    load_strictly(other, tensors, "w")
    assert torch.equal(other.weight, network.weight)


def test_a_partial_match_is_refused_with_a_report():
    network = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))
    before = network[0].weight.clone()
    tensors = {"0.weight": torch.zeros(2, 4), "0.bias": torch.zeros(2), "head.weight": torch.zeros(1)}
    with pytest.raises(CheckpointError) as error:
        load_strictly(network, tensors, "w.safetensors")
    text = str(error.value)
    assert "1 of 4 tensors match" in text
    assert "missing 2 ['1.bias', '1.weight']" in text
    assert "unexpected 1 ['head.weight']" in text
    assert "0.weight: (2, 4) in the file, (2, 3) in the network" in text
    assert torch.equal(network[0].weight, before)


def test_truncated_and_foreign_weights_are_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    save_weights(path, nn.Linear(30, 20), {})
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="may be truncated"):
        read_weights(path)
    save_file({"w": torch.ones(1)}, path)
    with pytest.raises(CheckpointError, match="was not written by spikevox"):
        read_weights(path)


def test_other_facts_are_named_on_both_sides():
    stored = {"voxels": {"grid": {"voxel_size": [0.05]}}, "class_names": ["a", "b"], "neurons": ["ILIF(levels=4)"]}
    wanted = {"voxels": {"grid": {"voxel_size": [0.1]}}, "class_names": ["a", "c"], "neurons": ["ILIF(levels=2)"]}
    with pytest.raises(CheckpointError) as error:
        check_facts(stored, wanted, "w.safetensors")
    text = str(error.value)
    assert "voxels.grid.voxel_size is [0.05] in the file and [0.1] in the config" in text
    assert "class_names is ['a', 'b'] in the file and ['a', 'c'] in the config" in text
    assert "ILIF(levels=4)" in text
    check_facts(stored, stored, "w.safetensors")


@pytest.mark.parametrize("kind", [ILIF, IF, LIF, PLIF, AdaptiveLIF, PSN])
def test_facts_of_a_neuron_do_not_change_with_what_it_learns(kind):
    fresh, trained = nn.Sequential(kind()), nn.Sequential(kind())
    for parameter in trained.parameters():
        parameter.data += 0.3
    assert neuron_facts(fresh) == neuron_facts(trained)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (ILIF(levels=4), ILIF(levels=8)),
        (LIF(decay=0.5), LIF(decay=0.5001)),
        (LIF(threshold=1.0), LIF(threshold=0.5)),
        (PLIF(reset="soft"), PLIF(reset="hard")),
        (AdaptiveLIF(adaptation=0.1), AdaptiveLIF(adaptation=0.2)),
        (AdaptiveLIF(recovery=0.9), AdaptiveLIF(recovery=0.8)),
        (IF(), LIF()),
    ],
)
def test_facts_of_neurons_with_other_settings_differ(one, other):
    assert neuron_facts(nn.Sequential(one)) != neuron_facts(nn.Sequential(other))


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("os:system", "only networks of spikevox are built from a weights file"),
        ("spikevox.tasks.predictor:import_module", "only networks of spikevox"),
        ("spikevox.tasks.checkpoint:versions", "only networks of spikevox"),
        ("spikevox.layers.conv:nn", "only networks of spikevox"),
        ("spikevox.layers.nowhere:Net", "which this version does not have"),
        (None, "does not tell its model, voxels, class_names"),
    ],
)
def test_a_weights_file_calls_nothing_but_networks(tmp_path, named, message):
    path = tmp_path / "w.safetensors"
    facts = {} if named is None else {"model": {"type": named, "name": "this"}, "voxels": {}, "class_names": []}
    save_weights(path, nn.Linear(3, 2), facts)
    with pytest.raises(CheckpointError, match=rf"w\.safetensors.*{message}"):
        load_predictor(path)


@pytest.mark.parametrize(
    ("text", "message"), [("{", "is damaged"), ("[]", "has format None"), ('{"format": 9}', "format 9")]
)
def test_a_damaged_or_newer_description_is_refused(tmp_path, text, message):
    path = tmp_path / "w.safetensors"
    save_file({"w": torch.ones(1)}, path, metadata={"spikevox": text})
    with pytest.raises(CheckpointError, match=message):
        read_weights(path)
