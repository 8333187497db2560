"""Detections written as KITTI's and nuScenes' files and read back."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from spikevox.tasks.datasets import (
    Boxes,
    KittiCalibration,
    StreetFrames,
    boxes_from_labels,
    labels_from_boxes,
    labels_without_camera,
    read_labels,
    read_nuscenes_results,
    write_labels,
    write_nuscenes_results,
)
from spikevox.tasks.detection import kitti_result, nuscenes_result
from spikevox.tasks.errors import DataFileError
from spikevox.tasks.geometry import bev_iou, iou_3d


def tilted(yaw, pitch, place):
    pose = np.eye(4)
    cy, sy, cp, sp = math.cos(yaw), math.sin(yaw), math.cos(pitch), math.sin(pitch)
    pose[:3, :3] = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]]) @ [[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]]
    pose[:3, 3] = place
    return pose


POSES = {"a": tilted(0.7, 0.02, (411.3, 1180.9, 0.5)), "b": tilted(-2.0, -0.03, (400.0, 1200.0, 1.0))}


def detections(seed, count=6, names=("car", "pedestrian")):
    generator = np.random.default_rng(seed)
    return Boxes(
        generator.uniform([5, -15, -1], [40, 15, 1], (count, 3)),
        generator.uniform(0.5, 5, (count, 3)),
        generator.uniform(-3, 3, count),
        tuple(names[row % len(names)] for row in range(count)),
        velocities=generator.uniform(-5, 5, (count, 2)),
        scores=generator.random(count),
        attributes=tuple(["vehicle.moving", "", "vehicle.parked"][row % 3] for row in range(count)),
    )


def calibration():
    """A camera half a degree askew."""
    askew = tilted(0.008, 0.005, (0.0, 0, 0))[:3, :3]
    to_camera = np.array([[0.0, -1, 0], [0, 0, -1], [1, 0, 0]]) @ askew
    projection = np.array([[721.5, 0, 609.5, 44.8], [0, 721.5, 172.8, 0.2], [0, 0, 1, 0.003]])
    mounting = np.column_stack([to_camera, [0.0, -0.08, -0.27]])
    return KittiCalibration(np.stack([projection] * 4), np.eye(3), mounting, np.eye(3, 4))


def test_kitti_files_give_back_boxes_and_scores(tmp_path):
    boxes = detections(0, names=("Car", "Pedestrian"))
    rows = labels_from_boxes(boxes, calibration())
    write_labels(tmp_path / "000001.txt", rows)
    assert read_labels(tmp_path / "000001.txt") == rows
    again = boxes_from_labels(read_labels(tmp_path / "000001.txt"), calibration())
    assert again.names == boxes.names
    assert np.array_equal(again.scores, boxes.scores)
    assert iou_3d(again.array(), boxes.array(), paired=True).min() > 1 - 1e-9
    assert len((tmp_path / "000001.txt").read_text().splitlines()[0].split()) == 16
    write_labels(tmp_path / "000002.txt", labels_from_boxes(replace(boxes, scores=None), calibration()))
    assert boxes_from_labels(read_labels(tmp_path / "000002.txt"), calibration()).scores is None
    write_labels(tmp_path / "000003.txt", ())
    assert read_labels(tmp_path / "000003.txt") == ()


def test_rectangles_of_kitti_rows_are_those_of_the_projected_corners():
    boxes, camera = detections(4, 30), calibration()
    rows = labels_from_boxes(boxes, camera)
    for row, corners in zip(rows, boxes.corners(), strict=True):
        pixels, depth = camera.project(corners)
        assert depth.min() > 1
        clipped = np.clip([*pixels.min(axis=0), *pixels.max(axis=0)], 0, [1241, 374, 1241, 374])
        assert row.box_2d == pytest.approx(clipped, abs=1e-9)
    near = labels_from_boxes(replace(boxes, centers=boxes.centers * [0.02, 0.1, 1]), camera)
    assert min(row.box_2d[2] for row in near) > 0
    behind = labels_from_boxes(replace(boxes, centers=boxes.centers * [-1, 1, 1] - [10, 0, 0]), camera)
    assert {row.box_2d for row in behind} == {(-1, -1, -1, -1)}
    assert {row.truncated for row in behind} == {-1}


def test_kitti_figures_of_written_ground_truth_are_perfect(tmp_path):
    boxes = detections(1, 50, names=("Car", "Pedestrian", "Cyclist"))
    # All in view: what lies beside the image has no rectangle to find.
    places = boxes.centers * [1, 0.02, 1] * [[1, x, 1] for x in boxes.centers[:, 0]]
    boxes = replace(boxes, centers=places, sizes=boxes.sizes.clip(1.5))
    truth = [replace(row, occluded=0, truncated=0.0, score=None) for row in labels_from_boxes(boxes, calibration())]
    write_labels(tmp_path / "0.txt", labels_from_boxes(boxes, calibration()))
    result = kitti_result([truth], [read_labels(tmp_path / "0.txt")])
    counted = [row for row in result.rows if row.boxes]
    assert len(counted) > 30
    assert all(row.exact == pytest.approx(100) for row in counted)


def test_generated_streets_can_be_scored_without_a_camera():
    frames = [StreetFrames(count=2, first_seed=7).frame(index).boxes for index in (0, 1)]
    truth = [labels_without_camera(boxes) for boxes in frames]
    found = [labels_without_camera(replace(boxes, scores=np.linspace(0.1, 1, len(boxes)))) for boxes in frames]
    names = sorted({name for boxes in frames for name in boxes.names})
    result = kitti_result(truth, found, min_overlap=dict.fromkeys(names, 0.7), measures=("bev", "3d"))
    for name in names:
        count = sum(boxes.names.count(name) for boxes in frames)
        for measure in ("bev", "3d"):
            assert result.row(name, measure, "easy").boxes == count
            assert result.row(name, measure, "hard").exact == pytest.approx(100)
    assert {row.measure for row in result.rows} == {"bev", "3d"}


def test_boxes_without_camera_keep_their_overlaps():
    a, b = detections(2, 30), detections(3, 30)
    b = replace(b, centers=a.centers + (b.centers - a.centers) * 0.05)
    for overlap, measure in ((bev_iou, "bev"), (iou_3d, "3d")):
        values = overlap(a.array(), b.array(), paired=True)
        for one in range(0, 30, 5):
            truth, found = (
                labels_without_camera(Boxes(x.centers[[one]], x.sizes[[one]], x.yaw[[one]], ("Car",), scores=score))
                for x, score in ((a, None), (b, np.ones(1)))
            )
            for least, expected in ((values[one] - 1e-9, 100), (values[one] + 1e-9, 0)):
                row = kitti_result([truth], [found], min_overlap={"Car": least}).row("Car", measure, "easy")
                assert row.exact == expected


def test_nuscenes_files_give_back_boxes_scores_velocities_and_attributes(tmp_path):
    made = {"a": detections(0), "b": detections(1, 3), "c": detections(2, 0)}
    poses = {**POSES, "c": np.eye(4)}
    write_nuscenes_results(tmp_path / "results.json", made, poses)
    again = read_nuscenes_results(tmp_path / "results.json", poses)
    assert list(again) == ["a", "b", "c"]
    for token, boxes in made.items():
        found = again[token]
        assert found.names == boxes.names
        assert found.attributes == boxes.attributes
        np.testing.assert_array_equal(found.scores, boxes.scores)
        np.testing.assert_array_equal(found.sizes, boxes.sizes)
        np.testing.assert_allclose(found.centers, boxes.centers, atol=1e-9)
        np.testing.assert_allclose(found.velocities, boxes.velocities, atol=1e-12)
        np.testing.assert_allclose(np.exp(1j * found.yaw), np.exp(1j * boxes.yaw), atol=1e-12)
    truth = [replace(boxes, scores=None) for boxes in made.values()]
    result = nuscenes_result(truth, list(again.values()), classes=("car", "pedestrian"))
    assert result.nds == pytest.approx(1, abs=1e-6)


def test_the_file_has_the_form_of_nuscenes(tmp_path):
    """By hand: one box ahead of a vehicle that has turned a quarter to the left."""
    boxes = Boxes(np.array([[10.0, 0, 0]]), np.array([[4.0, 2, 1.5]]), np.zeros(1), ("vehicle.car",),
                  velocities=np.array([[3.0, np.nan]]), scores=np.array([0.75]))  # fmt: skip
    pose = tilted(math.pi / 2, 0, (100.0, 200, 1))
    write_nuscenes_results(tmp_path / "results.json", {"t": boxes}, {"t": pose})
    content = json.loads((tmp_path / "results.json").read_text())
    assert content["meta"]["use_lidar"] is True
    (record,) = content["results"]["t"]
    assert record["sample_token"] == "t"
    assert record["translation"] == pytest.approx([100, 210, 1])
    assert record["size"] == [2, 4, 1.5]
    assert record["rotation"] == pytest.approx([math.sqrt(0.5), 0, 0, math.sqrt(0.5)])
    assert record["velocity"] == pytest.approx([0, 3])
    assert (record["detection_name"], record["detection_score"], record["attribute_name"]) == ("car", 0.75, "")
    world = read_nuscenes_results(tmp_path / "results.json")["t"]
    assert world.centers[0] == pytest.approx([100, 210, 1])
    assert world.yaw[0] == pytest.approx(math.pi / 2)


def test_wrong_detections_are_not_written(tmp_path):
    path = tmp_path / "results.json"
    for boxes, poses, message in (
        (detections(0), {}, "boxes need scores and the frame a pose"),
        (replace(detections(0), scores=None), POSES, "boxes need scores"),
        (replace(detections(0), names=("animal",) * 6), POSES, "frame a: 'animal' is no class"),
    ):
        with pytest.raises(DataFileError, match=message):
            write_nuscenes_results(path, {"a": boxes}, poses)
    assert not path.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[:-40], "expected json with 'results'"),
        (lambda text: text.replace('"results"', '"result"'), "expected json with 'results'"),
        (lambda text: "[]", "expected json with 'results'"),
        (
            lambda text: text.replace('"detection_score"', '"score"', 1),
            r"frame a, row 0: KeyError\('detection_score'\)",
        ),
        (lambda text: text.replace('"car"', '"lorry"', 1), "frame a, row 0: expected finite numbers"),
        (lambda text: text.replace('"size": [\n', '"size": [\n NaN,', 1), "see size"),
        (lambda text: text.replace('"translation": [\n', '"translation": [\n Infinity,', 1), "see translation"),
        (lambda text: text.replace('"a": [', '"z": ['), "1 of 1 frames have no pose, first z"),
    ],
)
def test_files_of_another_form_are_refused(tmp_path, change, message):
    path = tmp_path / "results.json"
    write_nuscenes_results(path, {"a": detections(0)}, POSES)
    path.write_text(change(path.read_text()))
    with pytest.raises(DataFileError, match=message) as error:
        read_nuscenes_results(path, POSES)
    assert error.value.path == path
    with pytest.raises(DataFileError, match="is not there"):
        read_nuscenes_results(tmp_path / "none.json")
