"""The command from end to end on a training of seconds."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from spikevox.tasks import cli, load_predictor
from spikevox.tasks.datasets import GeneratedShapes

TINY = str(Path(__file__).resolve().parent.parent / "robustness" / "tiny.py")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::ResourceWarning")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "run"
    assert cli.main(["train", TINY, "--work-dir", str(folder), "--set", "train_cfg.max_epochs=1"]) == 0
    return folder


def test_test_writes_figures_and_json(trained, tmp_path, capsys):
    arguments = ["test", TINY, str(trained / "weights.safetensors"), "--json", str(tmp_path / "m.json")]
    assert cli.main([*arguments, "--figures", str(tmp_path / "f")]) == 0
    figures = json.loads((tmp_path / "m.json").read_text())
    assert {"accuracy", "mean_class_accuracy", "count", "firing_rate", "seed", "config", "versions"} <= set(figures)
    assert figures["count"] == 20
    assert 0 <= figures["accuracy"] <= 1
    for name in ("confusion.png", "spikes.png"):
        assert (tmp_path / "f" / name).read_bytes()[:4] == b"\x89PNG"
    assert f"accuracy {figures['accuracy']:.4f}" in capsys.readouterr().out
    assert list((trained / "tensorboard").glob("events*"))


def test_votes_average_random_views(trained, tmp_path):
    arguments = ["test", TINY, str(trained / "weights.safetensors"), "--votes", "3", "--json", str(tmp_path / "m.json")]
    assert cli.main(arguments) == 0
    assert json.loads((tmp_path / "m.json").read_text())["votes"] == 3


def test_predict_on_files_equals_the_predictor(trained, tmp_path):
    shapes = GeneratedShapes("test", count=20, grid={"voxel_size": 0.3}, scanner={"points": 64})
    (tmp_path / "clouds").mkdir()
    for index in range(3):
        np.save(tmp_path / "clouds" / f"{index}.npy", shapes.read(index)[0])
    weights = str(trained / "weights.safetensors")
    assert cli.main(["predict", TINY, weights, str(tmp_path / "clouds"), "--out", str(tmp_path / "out")]) == 0
    rows = json.loads((tmp_path / "out" / "predictions.json").read_text())
    predictor = load_predictor(weights)
    for index, row in enumerate(rows):
        prediction = predictor(shapes.read(index)[0])
        assert row["label"] == prediction.label
        assert row["scores"][prediction.label] == pytest.approx(float(prediction.scores.max()))
        assert prediction.scores.sum() == pytest.approx(1, abs=1e-5)
        assert prediction.firing_rate == pytest.approx(row["firing_rate"])


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("model.encoder.neuron_options={'levels': 2}", "ILIF(levels=4, decay=0.25)"),
        ("test_dataloader.dataset.grid.voxel_size=0.2", None),
        ("model.num_classes=11", "model.num_classes is 10 in the file and 11 in the config"),
    ],
)
def test_weights_of_another_experiment_are_refused_with_both_sides(trained, override, named, capsys):
    code = cli.main(["test", TINY, str(trained / "weights.safetensors"), "--set", override])
    text = capsys.readouterr().err
    assert code == 1
    assert "was made for another network or input" in text
    assert (named or "voxel_size is [0.3, 0.3, 0.3] in the file and [0.2, 0.2, 0.2] in the config") in text


def test_errors_have_no_traceback(capsys):
    assert cli.main(["train", "nowhere.py"]) == 1
    text = capsys.readouterr().err
    assert text.startswith("spikevox: nowhere.py is not there")
    assert "Traceback" not in text


def test_a_bad_file_is_named_and_never_swapped(trained, tmp_path, capsys):
    (tmp_path / "a.bin").write_bytes(b"\0" * 30)
    code = cli.main(
        ["predict", TINY, str(trained / "weights.safetensors"), str(tmp_path / "a.bin"), "--out", str(tmp_path / "o")]
    )
    assert code == 1
    assert "a.bin has 30 bytes, which is no whole number of points" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_an_experiment_is_not_overwritten_and_its_split_is_printed(trained, capsys):
    assert cli.main(["train", TINY, "--work-dir", str(trained)]) == 1
    assert "holds a training already" in capsys.readouterr().err
    assert cli.main(["test", TINY, str(trained / "weights.safetensors")]) == 0
    assert "GeneratedShapes, split test: accuracy" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["weights.safetensors", "last.pth"])
def test_checkpoints_are_held_to_the_same_facts_as_weights(trained, name, capsys):
    assert cli.main(["test", TINY, str(trained / name)]) == 0
    levels = ["--set", "model.encoder.neuron_options={'levels': 2}"]
    assert cli.main(["test", TINY, str(trained / name), *levels]) == 1
    text = capsys.readouterr().err
    assert "ILIF(levels=4, decay=0.25)" in text
    assert "ILIF(levels=2, decay=0.25)" in text


def test_an_unforeseen_error_is_one_line_and_a_traceback_only_with_debug(monkeypatch, capsys):
    def fail(options):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(cli, "_apps", fail)
    assert cli.main(["apps"]) == 3
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    assert "unexpected ZeroDivisionError: division by zero. Run again with --debug" in text
    with pytest.raises(ZeroDivisionError):
        cli.main(["apps", "--debug"])


def test_an_interrupt_has_its_own_exit_code(monkeypatch, capsys):
    def interrupt(options):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_apps", interrupt)
    assert cli.main(["apps"]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_a_reader_that_goes_early_is_no_error():
    command = f"{sys.executable} -m spikevox.tasks.cli config {TINY} | head -n 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert done.stdout == "{\n"
    assert done.stderr == ""
    assert done.returncode in (0, 141)


def test_torchrun_runs_the_command_and_one_process_tells(tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m"]
    words = [
        "spikevox.tasks.cli",
        "train",
        TINY,
        "--work-dir",
        str(tmp_path / "run"),
        "--set",
        "train_cfg.max_epochs=1",
    ]
    uneven = ["--set", "val_dataloader.dataset.count=21"]
    done = subprocess.run([*command, *words, *uneven], capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("epoch 1 of 1") == 1
    assert done.stdout.count("weights: ") == 1
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [1, 2, 3, 4, 5]
    assert [line["validation"]["count"] for line in lines if "validation" in line] == [21]
    assert [line["voxels"]["clouds"] for line in lines if "voxels" in line] == [37]


def test_data_check_lists_every_bad_file(tmp_path, capsys):
    np.save(tmp_path / "good.npy", np.zeros((3, 3), np.float32))
    (tmp_path / "empty.bin").touch()
    (tmp_path / "short.bin").write_bytes(b"\0" * 17)
    np.save(tmp_path / "nan.npy", np.full((2, 3), np.nan, np.float32))
    assert cli.main(["data", "check", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "empty.bin is empty (0 bytes)" in out
    assert "short.bin has 17 bytes" in out
    assert "nan.npy: 2 of 2 points have NaN" in out
    assert "4 files read, 3 with problems" in out


def test_help_imports_neither_torch_nor_mmengine():
    code = (
        "import sys; from spikevox.tasks import cli\n"
        "try: cli.main(['--help'])\nexcept SystemExit: pass\n"
        "cli.main(['doctor'])\n"
        "assert not {'torch', 'mmengine', 'MinkowskiEngine'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_apps_are_listed_and_copied(tmp_path, capsys):
    assert cli.main(["apps"]) == 0
    assert "synthetic/classify.py" in capsys.readouterr().out
    assert cli.main(["apps", "copy", "synthetic", str(tmp_path / "mine")]) == 0
    assert (tmp_path / "mine" / "classify.py").is_file()
    assert cli.main(["apps", "copy", "synthetic", str(tmp_path / "mine")]) == 1
    assert "is there already" in capsys.readouterr().err


def test_opencv_that_does_not_import_names_the_command(monkeypatch, capsys):
    def fail(options):
        raise ImportError("libGL.so.1: cannot open shared object file")

    monkeypatch.setattr(cli, "_apps", fail)
    assert cli.main(["apps"]) == 1
    assert "pip install opencv-python-headless" in capsys.readouterr().err
