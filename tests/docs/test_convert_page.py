"""The commands of the page on published weights run, in their order, and print what stands there."""

import re
import shlex
from pathlib import Path

import torch

from oracles.published_keys import container
from spikevox.tasks import cli

PAGE = Path(__file__).resolve().parents[2] / "docs" / "convert.md"


def test_the_commands_run_and_the_first_prints_what_the_page_says(tmp_path, monkeypatch, capsys):
    text = PAGE.read_text(encoding="utf-8")
    commands = re.search(r"```sh\n(.*?)```", text, flags=re.DOTALL)[1].splitlines()
    printed = re.search(r"The first prints\n\n```text\n(.*?)```", text, flags=re.DOTALL)[1]
    assert len(commands) == 3
    monkeypatch.chdir(tmp_path)
    detector = container("voxel8x")
    detector["model_state"]["dense_head.conv_box.bias"] = torch.zeros(14)
    torch.save(container("classifier", prefix="module.backbone."), "model_best.pth")
    torch.save(detector, "checkpoint_epoch_80.pth")
    outputs = []
    for command in commands:
        program, *arguments = shlex.split(command)
        assert program == "spikevox"
        assert cli.main(arguments) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == printed
    assert "left out    1  dense_head.conv_box.bias" in outputs[2]
    assert {p.name for p in tmp_path.iterdir()} >= {"classifier.safetensors", "back.pth", "backbone.safetensors"}
