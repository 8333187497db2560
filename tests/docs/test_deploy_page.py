"""The commands of the page on hardware run, in their order, and print what stands there."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from layers.deploy.test_player import COMPILER
from spikevox.tasks import cli

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "deploy.md"


def blocks(kind):
    return re.findall(rf"```{kind}\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.slow
@pytest.mark.skipif(COMPILER is None, reason="there is no C compiler (cc)")
def test_the_commands_run_and_the_first_prints_what_the_page_says(data, tmp_path, monkeypatch, capsys):
    pytest.importorskip("nir", reason="nir is not installed: pip install spikevox-layers[nir]")
    monkeypatch.setenv("SPIKEVOX_DATA", str(data("modelnet10").parent))
    (printed,) = blocks("text")
    exports, plays = (block.splitlines() for block in blocks("sh"))
    for name in ("apps", "packages"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    outputs = []
    for command in exports:
        program, *arguments = shlex.split(command)
        assert program == "spikevox"
        assert cli.main(arguments) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == printed
    for command in plays:
        subprocess.run(shlex.split(command), check=True)
    # Rows, columns, and a logit for each of ten classes.
    assert (tmp_path / "logits.bin").stat().st_size == 16 + 10 * 8
    assert {path.name for path in tmp_path.iterdir()} >= {"classify.npz", "shape.events", "classify.nir", "player"}
