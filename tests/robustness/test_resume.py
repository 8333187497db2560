"""A training that is killed and resumed ends with the weights of the one left alone, bit for bit."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from spikevox.tasks.checkpoint import read_weights

HERE = Path(__file__).parent
STEPS = 20  # 4 epochs of 5 batches


def start(folder, marker, *where):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-W", "ignore", HERE / "killable.py", HERE / "tiny.py", folder, marker, *where]
    return subprocess.Popen(
        list(map(str, words)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    )


def finish(folder):
    process = start(folder, "unused")
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    return output


def kill_at(folder, marker, moment, count):
    marker.unlink(missing_ok=True)
    process = start(folder, marker, moment, str(count))
    for _ in range(1200):
        if marker.exists() or process.poll() is not None:
            break
        time.sleep(0.1)
    assert marker.exists(), process.communicate()[0]
    process.send_signal(signal.SIGKILL)
    return process.communicate()[0]


def check_equal(folder, reference):
    found, facts = read_weights(folder / "weights.safetensors")
    expected, _ = read_weights(reference / "weights.safetensors")
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert facts["seed"] == 3
    logs = [[json.loads(line) for line in (f / "log.jsonl").read_text().splitlines()] for f in (folder, reference)]
    assert [line["step"] for line in logs[0] if "loss" in line] == list(range(1, STEPS + 1))
    assert logs[0] == logs[1]
    best = [read_weights(f / "best.safetensors")[0] for f in (folder, reference)]
    assert all(torch.equal(best[0][name], best[1][name]) for name in best[1])


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reference") / "run"
    finish(folder)
    return folder


def test_two_kills_change_nothing(reference, tmp_path):
    folder, marker = tmp_path / "run", tmp_path / "marker"
    kill_at(folder, marker, "step", 3)
    assert "no checkpoint yet: training starts anew" in kill_at(folder, marker, "write", 2)
    assert (folder / "last.pth").is_file()
    assert "resumed from" in finish(folder)
    check_equal(folder, reference)


@pytest.mark.slow
def test_ten_kills_change_nothing(reference, tmp_path):
    folder, marker = tmp_path / "run", tmp_path / "marker"
    # Two before the first checkpoint, three while one is written, two in validation, three in steps.
    moments = [
        ("step", 2),
        ("write", 1),
        ("validation", 3),
        ("write", 2),
        ("step", 3),
        ("step", 7),
        ("validation", 2),
        ("write", 1),
        ("step", 4),
        ("step", 1),
    ]
    for moment, count in moments:
        kill_at(folder, marker, moment, count)
    finish(folder)
    check_equal(folder, reference)


def test_two_runs_with_one_seed_are_bit_equal(reference, tmp_path):
    finish(tmp_path / "run")
    check_equal(tmp_path / "run", reference)


def test_another_config_is_not_resumed(reference, tmp_path, capsys):
    from spikevox.tasks import cli

    changed = ["resume", str(HERE / "tiny.py"), "--work-dir", str(reference), "--set", "train_cfg.max_epochs=6"]
    assert cli.main(changed) == 1
    assert "was written by another experiment: train_cfg differ from the config" in capsys.readouterr().err
