import numpy as np
import pytest
from matplotlib.image import imread

from spikevox.tasks.datasets import read_points
from spikevox.tasks.view import birdseye_figure, boxes_figure, class_colours, point_colours, save_figure, write_ply


def test_a_ply_is_read_back_with_its_points_colours_and_labels(tmp_path):
    generator = np.random.default_rng(0)
    xyz = generator.normal(size=(7, 3)).astype(np.float32)
    colours = generator.integers(0, 256, (7, 3)).astype(np.uint8)
    write_ply(tmp_path / "new" / "a.ply", xyz, colours, np.arange(7) - 1)
    found = read_points(tmp_path / "new" / "a.ply")
    assert np.array_equal(found.points[:, :3], xyz)
    # By hand: 19 bytes a vertex, the last 7 are colours and label.
    body = (tmp_path / "new" / "a.ply").read_bytes().split(b"end_header\n")[1]
    rows = [body[i : i + 19] for i in range(0, len(body), 19)]
    assert [list(row[12:15]) for row in rows] == colours.tolist()
    assert [int.from_bytes(row[15:], "little", signed=True) for row in rows] == list(range(-1, 6))
    write_ply(tmp_path / "empty.ply", xyz[:0], colours[:0], np.zeros(0, int))
    with pytest.raises(ValueError, match="7 points, 7 colours and 2 labels do not fit"):
        write_ply(tmp_path / "b.ply", xyz, colours, np.zeros(2, int))


def test_colours_of_classes_differ_and_do_not_depend_on_their_number():
    colours = class_colours(20)
    assert np.array_equal(colours[:5], class_colours(5))
    distance = np.abs(colours[:, None].astype(int) - colours[None]).max(axis=2)
    assert distance[~np.eye(20, dtype=bool)].min() > 20
    assert point_colours(np.array([1, -1]), 3).tolist() == [colours[1].tolist(), [128, 128, 128]]


def test_a_picture_from_above_shows_each_class_in_its_colour(tmp_path):
    generator = np.random.default_rng(0)
    xyz = generator.uniform(0, 10, (4000, 3))
    classes = np.where(xyz[:, 0] < 5, 0, 1)
    figure = birdseye_figure(xyz, [("predicted", classes), ("true", classes * 0 - 1)], ("road", "car"))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["road", "car", "none"]
    assert [axes.get_title() for axes in figure.axes] == ["predicted", "true"]
    save_figure(figure, tmp_path / "a.png")
    picture = (imread(tmp_path / "a.png")[:, :, :3] * 255).round().astype(int)
    places = [np.nonzero(np.abs(picture - c).max(axis=2) <= 1) for c in (*class_colours(2), np.array([128] * 3))]
    assert min(len(rows) for rows, _ in places) > 500
    # Left half of the left panel, right half of it, right panel; the legend at the right edge is the rest.
    middles = [np.median(column) for _, column in places]
    assert middles[0] < middles[1] - 100 < middles[2] - 200


def test_a_picture_of_nothing_is_one(tmp_path):
    save_figure(birdseye_figure(np.zeros((0, 3)), [("none", np.zeros(0, int))], ("a",)), tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"


def test_boxes_are_outlined_where_they_lie(tmp_path):
    """Corners by hand: a box of 4 x 2 m at (10, 5), turned by a quarter; its heading points along y."""
    table = np.array([[10.0, 5, 0, 4, 2, 1.5, np.pi / 2]])
    figure = boxes_figure(np.zeros((5, 3)), [("found", table, ["car 0.90"]), ("true", np.zeros((0, 7)), [])])
    axes = figure.axes[0]
    outline, heading = (c.get_segments()[0] for c in axes.collections[1:3])
    assert {tuple(corner) for corner in np.round(outline).tolist()} == {(9, 3), (9, 7), (11, 3), (11, 7)}
    np.testing.assert_allclose(heading, [[10, 5], [10, 7]], atol=1e-12)
    assert [text.get_text() for text in axes.texts] == ["car 0.90"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["found, 1", "true, 0"]
    save_figure(figure, tmp_path / "boxes.png")
    assert (tmp_path / "boxes.png").read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(ValueError, match="argument 2 is"):
        boxes_figure(np.zeros((5, 3)), [("found", table, ["a", "b"])])
