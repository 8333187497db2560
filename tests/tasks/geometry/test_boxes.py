"""Corners of boxes, points in them, coding against anchors, what a camera sees: by hand and by brute force."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from oracles.box_pairs import random_boxes
from oracles.exact_overlap import corners
from spikevox.tasks.datasets import Boxes
from spikevox.tasks.errors import BoxError
from spikevox.tasks.geometry import box_corners, count_points, decode_boxes, encode_boxes, image_boxes, points_in_boxes

# A camera at the origin that looks along x: 700 pixels of focal length, middle of the image at (600, 180).
CAMERA = np.array([[600.0, -700, 0, 0], [180, 0, -700, 0], [1, 0, 0, 0]])
IMAGE = (1242, 375)


def test_corners_equal_those_of_rational_arithmetic(generator):
    boxes = random_boxes(generator, 50)
    found = box_corners(boxes)
    assert found.shape == (50, 8, 3)
    for box, eight in zip(boxes, found, strict=True):
        bottom, top = box[2] - box[5] / 2, box[2] + box[5] / 2
        expected = sorted((float(x), float(y), z) for x, y in corners(box) for z in (bottom, top))
        assert np.allclose(sorted(map(tuple, eight)), expected, atol=1e-12)
    back_right_bottom = box_corners(np.array([[0.0, 0, 0, 4, 2, 1, 0]]))[0, 0]
    assert back_right_bottom.tolist() == [-2, -1, -0.5]


def test_points_in_boxes_equal_a_look_at_each_side(generator):
    boxes, points = random_boxes(generator, 12), generator.uniform(-7, 7, (400, 4))
    sides = {0: (4, 0), 1: (2, 0), 2: (1, 0)}  # axis: the corner next to corner 0 along it
    eight = box_corners(boxes)
    inside = np.ones((len(points), len(boxes)), dtype=bool)
    for other, corner in sides.values():
        edge = eight[:, other] - eight[:, corner]
        share = ((points[:, None, :3] - eight[:, corner]) * edge).sum(axis=2) / (edge * edge).sum(axis=1)
        inside &= (share >= 0) & (share <= 1)
    expected = np.where(inside.any(axis=1), inside.argmax(axis=1), -1)
    assert (expected >= 0).sum() > 40
    assert np.array_equal(points_in_boxes(boxes, points), expected)
    assert np.array_equal(count_points(boxes, points), inside.sum(axis=0))
    assert count_points(np.zeros((0, 7)), points).shape == (0,)
    assert (points_in_boxes(np.zeros((0, 7)), points) == -1).all()


def test_deltas_of_a_car_by_hand():
    anchor = torch.tensor([[10.0, 5, -1, 3.9, 1.6, 1.56, 0]], dtype=torch.float64)
    box = torch.tensor([[11.0, 4, -0.5, 4.2, 1.7, 1.5, 0.3]], dtype=torch.float64)
    diagonal = math.sqrt(3.9**2 + 1.6**2)
    expected = [1 / diagonal, -1 / diagonal, 0.5 / 1.56, math.log(4.2 / 3.9), math.log(1.7 / 1.6), math.log(1.5 / 1.56)]
    assert encode_boxes(box, anchor)[0].tolist() == pytest.approx([*expected, 0.3], abs=1e-15)


NUMBERS = st.tuples(*[st.floats(-80, 80)] * 3, *[st.floats(0.05, 20)] * 3, st.floats(-7, 7))


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=5))
def test_decoding_undoes_encoding_both_ways(pairs):
    boxes, anchors = torch.tensor(pairs, dtype=torch.float64).unbind(dim=1)
    assert torch.allclose(decode_boxes(encode_boxes(boxes, anchors), anchors), boxes, rtol=1e-12, atol=1e-12)
    deltas = boxes / 80
    assert torch.allclose(encode_boxes(decode_boxes(deltas, anchors), anchors), deltas, rtol=1e-9, atol=1e-9)


def test_coding_has_the_gradient_of_its_differences():
    anchors = torch.from_numpy(random_boxes(np.random.default_rng(0), 4))
    deltas = torch.randn(4, 7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda d: decode_boxes(d, anchors), (deltas,))
    boxes = torch.from_numpy(random_boxes(np.random.default_rng(1), 4)).requires_grad_()
    assert torch.autograd.gradcheck(lambda b: encode_boxes(b, anchors), (boxes,))


def test_coding_refuses_sizes_that_have_no_logarithm():
    good, flat = torch.ones(3, 7), torch.ones(3, 7)
    flat[1, 4] = 0
    with pytest.raises(BoxError, match="1 of 3 boxes have sizes that are not positive"):
        encode_boxes(flat, good)
    with pytest.raises(BoxError, match="1 of 3 anchors have sizes"):
        decode_boxes(good, flat)
    with pytest.raises(BoxError, match=r"deltas must have shape \(\.\.\., 7\), got \(3, 6\)"):
        decode_boxes(good[:, :6], good)


def seen_points(box, near, count=41):
    """Pixels of a lattice of points in a box that lie before the camera."""
    steps = np.linspace(-0.5, 0.5, count)
    local = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3) * box[3:6]
    c, s = np.cos(box[6]), np.sin(box[6])
    points = (
        np.stack([local[:, 0] * c - local[:, 1] * s, local[:, 0] * s + local[:, 1] * c, local[:, 2]], axis=1) + box[:3]
    )
    points = points[points[:, 0] >= near]
    pixels = np.stack([600 - 700 * points[:, 1] / points[:, 0], 180 - 700 * points[:, 2] / points[:, 0]], axis=1)
    return np.concatenate([pixels.min(axis=0), pixels.max(axis=0)])


def test_rectangles_hold_every_point_of_a_box():
    generator = np.random.default_rng(5)
    boxes = random_boxes(generator, 60, extent=4)
    boxes[:, 0] += np.where(np.arange(60) % 3, 20, 5)
    found = image_boxes(boxes, CAMERA, IMAGE, near=1.0)
    behind = box_corners(boxes)[:, :, 0].min(axis=1) < 1
    assert 2 < behind.sum() < 30
    for row, box in enumerate(boxes):
        whole = seen_points(box, 1.0)
        clipped = np.clip(whole, 0, [1241, 374, 1241, 374])
        # Corners lie on the lattice; where the near plane cuts, the lattice comes close to it only.
        assert np.abs(found.boxes[row] - clipped).max() < (60 if behind[row] else 1e-9)
        assert (found.boxes[row][:2] <= clipped[:2] + 1e-9).all()
        assert (found.boxes[row][2:] >= clipped[2:] - 1e-9).all()
        if not behind[row]:
            shares = [(r[2] - r[0]) * (r[3] - r[1]) for r in (clipped, whole)]
            assert found.truncated[row] == pytest.approx(1 - shares[0] / shares[1], abs=1e-12)


def test_boxes_behind_the_camera_and_beside_the_image():
    behind, beside = [-9.0, 0, 0, 4, 2, 1, 0], [9.0, 50, 0, 4, 2, 1, 0]
    found = image_boxes(np.array([behind, beside]), CAMERA, IMAGE)
    assert found.boxes[0].tolist() == [-1, -1, -1, -1]
    assert found.truncated.tolist() == [-1, 1]
    assert found.boxes[1, 0] == found.boxes[1, 2] == 0
    assert image_boxes(np.zeros((0, 7)), CAMERA, IMAGE).boxes.shape == (0, 4)
    with pytest.raises(BoxError, match="1 of 1 boxes"):
        image_boxes(np.full((1, 7), np.nan), CAMERA, IMAGE)


def test_moved_boxes_hold_the_points_that_move_with_them(generator):
    numbers, points = random_boxes(generator, 6), generator.uniform(-6, 6, (300, 3))
    boxes = Boxes(numbers[:, :3], numbers[:, 3:6], numbers[:, 6], ("car",) * 6, velocities=np.ones((6, 2)))
    pose = np.eye(4)
    pose[:2, :2] = [[0.6, -0.8], [0.8, 0.6]]
    pose[:3, 3] = [400, -300, 2]
    moved = boxes.moved(pose)
    inside = boxes.contain(points)
    assert (inside >= 0).sum() > 15
    assert np.array_equal(moved.contain(points @ pose[:3, :3].T + pose[:3, 3]), inside)
    assert moved.velocities[0] == pytest.approx([-0.2, 1.4])


def test_some_of_the_boxes_keep_all_that_is_known_of_them():
    boxes = Boxes(
        np.arange(9.0).reshape(3, 3), np.ones((3, 3)), np.arange(3.0), ("a", "b", "c"), ("x", "y", "z"),
        np.arange(6.0).reshape(3, 2), np.array([0.1, 0.2, 0.3]), ("", "moving", ""), np.array([5, 6, 7]),
    )  # fmt: skip
    for rows in (np.array([2, 0]), np.array([True, False, True])):
        some = boxes.take(rows)
        for field in dataclasses.fields(boxes):
            whole = getattr(boxes, field.name)
            expected = [whole[row] for row in np.arange(3)[rows]]
            assert np.array_equal(getattr(some, field.name), expected), field.name
    bare = Boxes(np.zeros((1, 3)), np.ones((1, 3)), np.zeros(1), ("a",)).take(np.array([False]))
    assert len(bare) == 0
    assert bare.scores is bare.velocities is bare.identities is None
