"""What stands in a page, read back from its text by other means than the page's own."""

import base64
import hashlib
import json
import os
import re
import zlib
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from oracles.colour_vision import VISIONS, contrast, distance
from spikevox.tasks.view import (
    BoxLayer,
    Classes,
    PointLayer,
    Scene,
    SpikeLayer,
    Values,
    VoxelLayer,
    page,
    safe_colours,
    save_page,
)
from spikevox.tasks.view.packing import Packer

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>{{data}}&lt;\u2028'\"-->"


class Reader(HTMLParser):
    """Elements of a page, with the text in them."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.comments, self._open = [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append([tag, dict(attributes), ""])
        self._open = True

    def handle_endtag(self, tag):
        self._open = False

    def handle_data(self, text):
        if self._open:
            self.elements[-1][2] += text

    def handle_comment(self, text):
        self.comments.append(text)

    def find(self, tag, **attributes):
        return [e for e in self.elements if e[0] == tag and attributes.items() <= e[1].items()]


def read(text):
    """Manifest and bytes of a page."""
    reader = Reader(text)
    manifest = json.loads(reader.find("script", id="manifest")[0][2])
    return manifest, zlib.decompress(base64.b64decode(reader.find("script", id="data")[0][2]))


def take(reference, data):
    kind = {"uint8": "<u1", "uint16": "<u2", "float32": "<f4"}[reference["type"]]
    return np.frombuffer(data, kind, reference["count"], reference["at"])


def real(reference, data):
    return reference["low"] + reference["step"] * take(reference, data).astype(np.float64)


def everything(name="all"):
    generator = np.random.default_rng(0)
    xyz = generator.normal(0, 40, (500, 3))
    fields = {"kind": Classes(generator.integers(-1, 2, 500), ("road", "car")), "range": Values(xyz[:, 0], "m")}
    counts = np.sort(generator.integers(0, 300, (3, 4, 20)), axis=1)[:, ::-1]
    return Scene(
        name,
        [
            PointLayer("cloud", xyz, fields),
            VoxelLayer("energy", xyz[:20], (0.5, 0.5, 1), {"energy": Values(generator.uniform(0, 9, 20), "pJ")}),
            SpikeLayer("stages.0", xyz[:20], 0.5, counts, 300),
            SpikeLayer("stages.1", xyz[:20], 0.5, counts // 2, 150),
            BoxLayer("found", [[1, 2, 3, 4, 2, 1.5, 0.5]], ["car 0.9"]),
        ],
        ["a note"],
    )


def test_a_page_holds_what_it_was_given_to_its_stated_precision():
    scene = everything()
    manifest, data = read(page([scene]))
    cloud, energy, spikes, others, boxes = manifest["scenes"][0]["layers"]
    got = np.stack([real(cloud["places"][axis], data) for axis in "xyz"], axis=1)
    error = np.abs(got - scene.layers[0].xyz).max()
    assert error <= cloud["places"]["error"] * (1 + 1e-9)
    # 65536 steps over the widest axis, and half of one.
    widest = np.ptp(scene.layers[0].xyz, axis=0).max()
    assert cloud["places"]["error"] == pytest.approx(widest / 65535 / 2)
    kind, distance_ = cloud["fields"]
    assert kind["names"] == ["none", "road", "car"]
    assert np.array_equal(take(kind["data"], data).astype(int) - 1, scene.layers[0].fields["kind"].data)
    assert np.abs(real(distance_["data"], data) - scene.layers[0].xyz[:, 0]).max() <= distance_["data"]["step"]
    assert np.abs(real(energy["fields"][0]["data"], data) - scene.layers[1].fields["energy"].data).max() < 9 / 65535
    assert (energy["size"], energy["fields"][0]["unit"]) == ([0.5, 0.5, 1], "pJ")
    for layer, given_ in ((spikes, scene.layers[2]), (others, scene.layers[3])):
        assert np.array_equal(take(layer["counts"], data).reshape(3, 4, 20), given_.counts)
    assert (spikes["counts"]["type"], others["counts"]["type"]) == ("uint16", "uint8")
    assert np.allclose(take(boxes["boxes"], data), [1, 2, 3, 4, 2, 1.5, 0.5])
    # The same sites stand in the page once.
    assert spikes["places"] == others["places"] == energy["places"]


@given(arrays(np.float64, st.integers(1, 50), elements=st.floats(-1e9, 1e9)))
def test_any_numbers_are_kept_to_half_a_step(values):
    packer = Packer()
    reference = packer.real(values)
    kept = real(reference, zlib.decompress(base64.b64decode(packer.text())))
    # Below the smallest normal number a step has no digits of its own.
    slack = 1e-12 * np.abs(values).max() + np.finfo(np.float64).tiny
    assert np.abs(kept - values).max() <= 0.501 * reference["step"] + slack
    assert reference["step"] == pytest.approx(np.ptp(values) / 65535, rel=1e-9, abs=1e-12)


def test_text_from_files_stays_text():
    scene = Scene(
        EVIL,
        [
            PointLayer(
                EVIL, np.eye(3), {EVIL: Classes(np.array([0, 0, -1]), [EVIL]), "v": Values(np.arange(3.0), EVIL)}
            ),
            SpikeLayer(EVIL, np.eye(3), 1, np.ones((1, 1, 3), int), 1),
            BoxLayer(EVIL, np.ones((1, 7)), [EVIL]),
        ],
        [EVIL],
    )
    text, plain = page([scene]), Reader(page([everything("plain")]))
    found = Reader(text)
    assert [e[0] for e in found.elements] == [e[0] for e in plain.elements]
    assert len(found.find("script")) == 4
    assert not found.find("img")
    assert found.find("title")[0][2] == EVIL
    manifest, _ = read(text)
    layers = manifest["scenes"][0]["layers"]
    assert manifest["scenes"][0]["title"] == EVIL
    assert layers[0]["fields"][0]["names"] == ["none", EVIL]
    assert layers[2]["texts"] == [EVIL]


def test_a_page_needs_no_network_and_runs_only_its_own_two_scripts():
    reader = Reader(page([everything()]))
    for _tag, attributes, _text in reader.elements:
        assert attributes.get("src") is None
        assert attributes.get("href", "data:,") == "data:,"
    policy = reader.find("meta", **{"http-equiv": "Content-Security-Policy"})[0][1]["content"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    digests = re.findall(r"'sha256-([^']+)'", rules["script-src"])
    programs = [text for _, attributes, text in reader.find("script") if "type" not in attributes]
    assert len(programs) == 2
    assert [base64.b64encode(hashlib.sha256(p.encode()).digest()).decode() for p in programs] == digests
    assert "unsafe" not in rules["script-src"]
    assert any("The MIT License" in comment and "three.js authors" in comment for comment in reader.comments)


def test_a_page_is_there_in_full_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "new" / "page.html"
    size = save_page(path, [everything()])
    assert path.stat().st_size == size
    before = path.read_bytes()

    def fail(handle):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="no space left"):
        save_page(path, [everything("another")])
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["page.html"]


def test_colours_of_classes_look_different_with_any_common_colour_vision():
    """The first seven are at least 15 apart in Lab, all twenty 14; a difference of 2 or 3 is just seen."""
    colours = safe_colours(20).tolist()
    ground = (0x12, 0x15, 0x1A)
    for vision in VISIONS:
        for place, colour in enumerate(colours):
            for other in colours[:place]:
                assert distance(colour, other, vision) >= (15 if place < 7 else 14), (vision, colour, other)
    assert min(contrast(colour, ground) for colour in colours) >= 3
    assert safe_colours(21).tolist()[20] == colours[0]
