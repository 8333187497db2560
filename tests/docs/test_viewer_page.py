"""Every command of the page on the viewer runs, in order, and leaves the pages that it names, with what is promised in them."""

import base64
import json
import re
import shlex
import zlib
from pathlib import Path

import pytest

from spikevox.tasks import cli

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "viewer.md"
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::ResourceWarning")


def commands():
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines if line.startswith("spikevox ")]


def scenes(path):
    """Scenes of a page; its data can be unpacked."""
    text = path.read_text(encoding="utf-8")
    data = re.search(r'id="data">([^<]*)<', text)[1]
    assert len(zlib.decompress(base64.b64decode(data))) > 1000
    return json.loads(re.search(r'id="manifest">([^<]*)<', text)[1])["scenes"]


def kinds(scene):
    return [layer["kind"] for layer in scene["layers"]]


def test_the_commands_write_pages(tmp_path, monkeypatch, capsys):
    (tmp_path / "apps").symlink_to(ROOT / "apps")
    monkeypatch.chdir(tmp_path)
    for _program, *words in commands():
        assert cli.main(words) == 0, (words, capsys.readouterr().err)
    assert "page: written.html, " in capsys.readouterr().out
    (street,) = scenes(Path("street.html"))
    assert [field["name"] for field in street["layers"][0]["fields"]][:3] == ["predicted", "true", "right"]
    assert kinds(street)[:2] == ["points", "voxels"]
    assert kinds(street).count("spikes") > 5
    assert not street["spikes_shown"]
    boxes = scenes(Path("boxes.html"))
    assert [kinds(scene)[:4] for scene in boxes] == [["boxes", "boxes", "boxes", "points"]] * 2
    assert all(scene["spikes_shown"] for scene in boxes)
    (scan,) = scenes(Path("scan.html"))
    assert [field["name"] for field in scan["layers"][0]["fields"]] == ["height", "intensity"]
    (predicted,), (written,) = scenes(Path("predicted.html")), scenes(Path("written.html"))
    assert written["notes"][-1] == "what predict wrote"
    names = [field["name"] for field in written["layers"][0]["fields"]]
    assert names == ["label", "height"]
    assert kinds(predicted)[0] == "points"
    for path in tmp_path.glob("*.html"):
        assert path.stat().st_size < 15e6


def test_the_pictures_of_the_page_are_there():
    pictures = re.findall(r"!\[[^\]]*\]\((images/[^)]*)\)", PAGE.read_text(encoding="utf-8"))
    assert len(pictures) == 3
    for name in pictures:
        assert (PAGE.parent / name).read_bytes()[:4] == b"\x89PNG"
