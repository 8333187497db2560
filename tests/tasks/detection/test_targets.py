"""Anchors and their targets against loops over both."""

import math

import numpy as np
import pytest
import torch

from oracles import anchor_loops
from spikevox.tasks.datasets import Boxes
from spikevox.tasks.detection import KITTI_CAR, AnchorClass, anchor_grid, assign_anchors
from spikevox.tasks.errors import BoxError, ConfigError
from spikevox.tasks.geometry import bev_iou, decode_boxes, heading_half, nearest_bev_iou, turn_into_half, wrap_angle

PEDESTRIAN = AnchorClass("Pedestrian", (0.8, 0.6, 1.73), -1.6, 0.5, 0.35)
CLASSES = (KITTI_CAR, PEDESTRIAN)
EXTENT, CELLS = (0.0, -8.0, 16.0, 8.0), (21, 17)


def boxes(generator, count):
    """Objects of both classes and of a third, on the ground, some on an anchor exactly, some in the same place."""
    names = [("Car", "Pedestrian", "Van")[row] for row in generator.integers(0, 3, count)]
    sizes = np.array([KITTI_CAR.size if name != "Pedestrian" else PEDESTRIAN.size for name in names]).reshape(-1, 3)
    sizes = sizes * generator.uniform(0.8, 1.2, (count, 3))
    centers = np.column_stack([generator.uniform(-1, 17, count), generator.uniform(-9, 9, count), np.full(count, -0.9)])
    grid = np.round(centers[:, :2] / [0.8, 1.0]) * [0.8, 1.0]
    centers[:, :2] = np.where(generator.random((count, 1)) < 0.4, grid, centers[:, :2])
    if count > 2:
        centers[1], sizes[1], names[1] = centers[0], sizes[0], names[0]
    return Boxes(centers, sizes, generator.uniform(-7, 7, count), tuple(names))


def test_anchors_stand_where_loops_put_them():
    plain = [one._asdict() for one in CLASSES]
    expected = anchor_loops.grid(plain, EXTENT, CELLS)
    found = anchor_grid(CLASSES, EXTENT, CELLS)
    assert found.shape == (17, 21, 2, 2, 7)
    assert found.dtype == torch.float32
    for place, anchor in expected.items():
        assert found[place].tolist() == pytest.approx(anchor, abs=1e-6)


def test_anchors_of_kitti():
    """By hand, as published: 70,400 of them, bottoms at -1.78 m, the outermost on the borders."""
    found = anchor_grid([KITTI_CAR], (0.0, -40.0, 70.4, 40.0), (176, 200))
    assert found[..., 0].numel() == 70_400
    assert found[0, 0, 0, 0].tolist() == pytest.approx([0, -40, -1, 3.9, 1.6, 1.56, 0])
    assert found[-1, -1, 0, 1].tolist() == pytest.approx([70.4, 40, -1, 3.9, 1.6, 1.56, 1.57])
    assert found[0, 1, 0, 0, 0].item() == pytest.approx(70.4 / 175)
    middles = anchor_grid([KITTI_CAR], (0.0, -40.0, 70.4, 40.0), (176, 200), in_cells=True)
    assert middles[0, 0, 0, 0, :2].tolist() == pytest.approx([0.2, -39.8])
    assert middles[-1, -1, 0, 0, :2].tolist() == pytest.approx([70.2, 39.8])


@pytest.mark.parametrize("seed", range(30))
def test_targets_equal_loops(seed):
    generator = np.random.default_rng(seed)
    objects = boxes(generator, int(generator.integers(0, 9)))
    anchors = anchor_grid(CLASSES, EXTENT, CELLS)
    found = assign_anchors(anchors, objects, CLASSES)
    for number, one in enumerate(CLASSES):
        mine = anchors[..., number, :, :].reshape(-1, 7).double().tolist()
        rows = [box for box, name in zip(objects.array().tolist(), objects.names, strict=True) if name == one.name]
        expected = anchor_loops.targets(mine, rows, one.matched, one.unmatched)
        states = found.classes[..., number, :].flatten().tolist()
        assert states == [number + 1 if state == 1 else state for state, *_ in expected]
        assert found.halves[..., number, :].flatten().tolist() == [half for *_, half in expected]
        wanted = torch.tensor([deltas or (0.0,) * 7 for _, deltas, _ in expected])
        assert torch.allclose(found.deltas[..., number, :, :].reshape(-1, 7), wanted, atol=1e-5)


def test_the_random_objects_lead_to_every_kind_of_target():
    seen = set()
    for seed in range(30):
        generator = np.random.default_rng(seed)
        found = assign_anchors(anchor_grid(CLASSES, EXTENT, CELLS), boxes(generator, 8), CLASSES)
        seen |= set(found.classes.flatten().tolist()) | {
            f"half {half}" for half in found.halves[found.classes > 0].tolist()
        }
    assert seen == {-1, 0, 1, 2, "half 0", "half 1"}


def test_targets_lead_back_to_the_objects(generator):
    objects = boxes(generator, 8)
    anchors = anchor_grid(CLASSES, EXTENT, CELLS)
    found = assign_anchors(anchors, objects, CLASSES)
    chosen = found.classes > 0
    back = decode_boxes(found.deltas[chosen], anchors[chosen]).double()
    for box, number, half in zip(back.tolist(), found.classes[chosen].tolist(), found.halves[chosen], strict=True):
        rows = [row for row, name in enumerate(objects.names) if name == CLASSES[number - 1].name]
        apart = np.abs(objects.array()[rows] - box).max(axis=1)
        assert apart.min() < 1e-4
        yaw = torch.tensor(objects.yaw[rows[apart.argmin()]])
        turned = turn_into_half(torch.tensor(box[6]) + math.pi, half)
        assert math.cos(turned - yaw) == pytest.approx(1, abs=1e-6)


def test_every_object_on_the_grid_has_an_anchor():
    """Turned by an eighth of a turn and much too small, it overlaps none by the wanted share."""
    small = Boxes(np.array([[5.0, 1.0, -1.0]]), np.array([[0.9, 0.4, 1.5]]), np.array([0.7]), ("Car",))
    anchors = anchor_grid(CLASSES, EXTENT, CELLS)
    found = assign_anchors(anchors, small, CLASSES)
    assert (found.classes == 1).sum() > 0
    assert (found.classes == 2).sum() == 0
    outside = Boxes(np.array([[99.0, 1, -1]]), np.array([[3.9, 1.6, 1.5]]), np.zeros(1), ("Car",))
    assert (assign_anchors(anchors, outside, CLASSES).classes == 0).all()


def test_another_overlap_can_be_taken(generator):
    anchors, objects = anchor_grid(CLASSES, EXTENT, CELLS), boxes(generator, 8)
    other = assign_anchors(anchors, objects, CLASSES, overlap=bev_iou)
    assert not torch.equal(other.classes, assign_anchors(anchors, objects, CLASSES).classes)


def test_nearest_overlap_equals_loops(generator):
    a = np.column_stack(
        [generator.uniform(-3, 3, (40, 3)), generator.uniform(0.5, 4, (40, 3)), generator.uniform(-9, 9, 40)]
    )
    b = a[::-1] + 0.3
    expected = [[anchor_loops.overlap(one, other) for other in b.tolist()] for one in a.tolist()]
    assert np.allclose(nearest_bev_iou(a, b), expected, atol=1e-12)
    assert nearest_bev_iou(a[:0], b).shape == (0, 40)


def test_headings_come_back_from_their_half_and_their_line():
    yaw = torch.linspace(-9, 9, 1001, dtype=torch.float64)
    half = heading_half(yaw)
    assert [anchor_loops.half(value) for value in yaw.tolist()] == half.tolist()
    for flip in (0, math.pi, -3 * math.pi):
        again = turn_into_half(yaw + flip, half)
        assert torch.allclose(torch.cos(again - yaw), torch.ones(1, dtype=torch.float64), atol=1e-12)
    wrapped = wrap_angle(yaw)
    assert wrapped.min() >= -math.pi
    assert wrapped.max() < math.pi
    assert torch.allclose(torch.sin(wrapped), torch.sin(yaw), atol=1e-12)


def test_wrong_input_is_refused():
    anchors = anchor_grid(CLASSES, EXTENT, CELLS)
    flat = Boxes(np.array([[5.0, 1.0, -1.0]]), np.array([[3.9, 1.6, 0.0]]), np.zeros(1), ("Car",))
    with pytest.raises(BoxError, match="boxes have sizes that are not positive"):
        assign_anchors(anchors, flat, CLASSES)
    with pytest.raises(ConfigError, match=r"shape \(\.\.\., 1, headings, 7\) for 1 classes, got \(17, 21, 2, 2, 7\)"):
        assign_anchors(anchors, flat, CLASSES[:1])
    with pytest.raises(ConfigError, match="at least one class"):
        anchor_grid([], EXTENT, CELLS)
    with pytest.raises(ConfigError, match="as many headings"):
        anchor_grid([KITTI_CAR, KITTI_CAR._replace(rotations=(0.0,))], EXTENT, CELLS)
    with pytest.raises(ConfigError, match="positive, got"):
        anchor_grid(CLASSES, (0, 0, 0, 5), CELLS)
    with pytest.raises(ConfigError, match="positive, got"):
        anchor_grid(CLASSES, EXTENT, (0, 5))
