"""Figures of detection by other people's programs, for the tests of ours: writes tests/golden/detection.json.

    pip install --no-deps nuscenes-devkit==1.2.0 pyquaternion==0.9.9 mmdet3d==1.4.0
    python tools/make_golden.py

Neither program is needed for anything else. Both are run without what they draw and compile with: drawing is put aside, and
mmdet3d's loops run as plain Python with the overlap of tests/oracles, since its own needs a GPU.
"""

import importlib
import json
import random
import sys
import types
from collections.abc import Callable
from importlib.metadata import files, version
from math import cos, nan, sin
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from oracles import kitti_loops, nuscenes_loops  # noqa: E402  (found only now)

SEEDS = range(12)
CLASSES, LEVELS = ("Car", "Pedestrian", "Cyclist"), ("easy", "moderate", "hard")


def nuscenes_figures() -> list[dict[str, Any]]:
    """mAP, errors and NDS of the development kit."""
    for name in ("cv2", "descartes", "fire", "shapely", "shapely.affinity", "shapely.geometry", "cachetools", "tqdm"):
        try:
            importlib.import_module(name)
        except ImportError:
            sys.modules[name] = MagicMock()
    algo, config, constants, classes, common, loaders = (
        importlib.import_module(f"nuscenes.eval.{name}")
        for name in (
            *("detection.algo", "detection.config", "detection.constants", "detection.data_classes"),
            *("common.data_classes", "common.loaders"),
        )
    )
    settings = config.config_factory("detection_cvpr_2019")
    result = []
    for seed in SEEDS:
        frames = nuscenes_loops.random_frames(random.Random(seed))
        sides = []
        for side in (0, 1):
            boxes = common.EvalBoxes()
            for token, frame in enumerate(frames):
                known = [box for box in frame[side] if box["name"] != nuscenes_loops.RACK]
                boxes.add_boxes(str(token), [classes.DetectionBox(**_fields(box, str(token))) for box in known])
            filtered = loaders.filter_eval_boxes(_Tables(frames), boxes, settings.class_range) if boxes.all else boxes
            sides.append(filtered)
        metrics = classes.DetectionMetrics(settings)
        for name in settings.class_names:
            for distance in settings.dist_ths:
                data = algo.accumulate(*sides, name, settings.dist_fcn_callable, distance)
                figure = algo.calc_ap(data, settings.min_recall, settings.min_precision)
                metrics.add_label_ap(name, distance, figure)
                for error in constants.TP_METRICS if distance == settings.dist_th_tp else ():
                    without = {
                        "traffic_cone": ("attr_err", "vel_err", "orient_err"),
                        "barrier": ("attr_err", "vel_err"),
                    }
                    value = nan if error in without.get(name, ()) else algo.calc_tp(data, settings.min_recall, error)
                    metrics.add_label_tp(name, error, value)
        errors = [float(metrics.tp_errors[error]) for error in constants.TP_METRICS]
        result.append({"seed": seed, "mean_ap": metrics.mean_ap, "errors": errors, "nds": metrics.nd_score})
    return result


def _quaternion(box: dict[str, Any]) -> list[float]:
    return [cos(box["yaw"] / 2), 0, 0, sin(box["yaw"] / 2)]


def _fields(box: dict[str, Any], token: str) -> dict[str, Any]:
    length, width, height = box["size"]
    return {
        "sample_token": token,
        "translation": box["place"],
        "ego_translation": box["place"],
        "size": (width, length, height),
        "rotation": _quaternion(box),
        "velocity": box["velocity"] or (nan, nan),
        "num_pts": box.get("points", -1),
        "detection_name": box["name"],
        "detection_score": float(box.get("score", -1.0)),
        "attribute_name": box["attribute"],
    }


class _Tables:
    """What the kit looks up to leave out bicycles in racks."""

    def __init__(self, frames: list[Any]) -> None:
        self.frames = frames

    def get(self, table: str, token: str) -> dict[str, Any]:
        if table == "sample":
            return {"anns": [f"{token} {row}" for row in range(len(self.frames[int(token)][0]))]}
        frame, row = map(int, token.split())
        box = self.frames[frame][0][row]
        length, width, height = box["size"]
        size, place = [width, length, height], list(box["place"])
        return {"category_name": box["name"], "translation": place, "size": size, "rotation": _quaternion(box)}


def kitti_figures() -> list[dict[str, Any]]:
    """R11 and R40 of mmdet3d's version of KITTI's program."""
    (path,) = [file for file in files("mmdet3d") or () if str(file).endswith("kitti_utils/eval.py")]
    source = Path(str(path.locate())).read_text(encoding="utf-8")
    sys.modules["numba"] = plain = types.ModuleType("numba")
    plain.jit = lambda *given, **_: given[0] if given and callable(given[0]) else lambda function: function  # type: ignore[attr-defined]
    plain.prange = range  # type: ignore[attr-defined]
    module = types.ModuleType("kitti_eval")
    module.rotate_iou_gpu_eval = _ground_overlap  # type: ignore[attr-defined]
    source = source.replace("    from .rotate_iou import rotate_iou_gpu_eval\n", "")
    exec(compile(source, str(path), "exec"), module.__dict__)
    least = np.array([[[kitti_loops.LEAST[name.lower()] for name in CLASSES]] * 3])
    result = []
    for seed in SEEDS:
        frames = kitti_loops.random_frames(random.Random(seed))
        truth, found = ([_columns(frame[side]) for frame in frames] for side in (0, 1))
        figures = module.do_eval(truth, found, [0, 1, 2], least, eval_types=["bbox", "bev", "3d", "aos"])
        result.append({"seed": seed, **_rows(figures)})
    return result


def _rows(figures: Any) -> dict[str, Any]:
    places = {"bbox": (0, 4), "bev": (1, 5), "3d": (2, 6), "aos": (3, 7)}
    return {
        f"{name} {measure} {level}": [float(figures[place][i, j, 0]) for place in pair]
        for i, name in enumerate(CLASSES)
        for measure, pair in places.items()
        for j, level in enumerate(LEVELS)
    }


def _columns(boxes: list[dict[str, Any]]) -> dict[str, Any]:
    def column(get: Callable[[dict[str, Any]], Any], width: int = 0) -> Any:
        values = np.array([get(box) for box in boxes], dtype=np.float64)
        return values.reshape(-1, width) if width else values

    return {
        "name": np.array([box["name"] for box in boxes]),
        "truncated": column(lambda box: box["truncated"]),
        "occluded": column(lambda box: box["occluded"]),
        "alpha": column(lambda box: box["alpha"]),
        "bbox": column(lambda box: box["rectangle"], 4),
        "dimensions": column(lambda box: (box["size"][2], box["size"][0], box["size"][1]), 3),
        "location": column(lambda box: box["location"], 3),
        "rotation_y": column(lambda box: box["rotation_y"]),
        "score": column(lambda box: box.get("score", 0.0)),
    }


def _ground_overlap(a: Any, b: Any, criterion: int = -1) -> Any:
    """Of rows x, z, length, width, angle: intersection over union, or the intersection where ``criterion`` is 2."""
    table = np.zeros((len(a), len(b)))
    for place in np.ndindex(table.shape):
        pair = a[place[0]], b[place[1]]
        if min(row[2] for row in pair) <= 0:  # a DontCare region
            continue
        boxes = [{"size": (1, w, le), "location": (x, 0, z), "rotation_y": turn} for x, z, le, w, turn in pair]
        shared = kitti_loops.shared_ground(*boxes)
        table[place] = shared if criterion == 2 else shared / (sum(row[2] * row[3] for row in pair) - shared)
    return table


def main() -> None:
    """Writes the file."""
    path = ROOT / "tests" / "golden" / "detection.json"
    path.parent.mkdir(exist_ok=True)
    content = {
        "made by": "tools/make_golden.py, of frames that tests/oracles make from each seed",
        f"nuscenes-devkit {version('nuscenes-devkit')}": nuscenes_figures(),
        f"mmdet3d {version('mmdet3d')}": kitti_figures(),
    }
    path.write_text(json.dumps(content, indent=0) + "\n", encoding="utf-8")
    print(f"{path.relative_to(ROOT)}: {len(SEEDS)} sets of frames each")


if __name__ == "__main__":
    main()
