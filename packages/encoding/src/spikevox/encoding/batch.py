"""Clouds to one batch: the only thing that passes between data and model."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from spikevox.encoding.errors import PointCloudError
from spikevox.encoding.grouping import group_rows
from spikevox.encoding.labels import IGNORE_LABEL
from spikevox.encoding.report import VoxelReport
from spikevox.encoding.voxels import Voxels


class VoxelBatch(NamedTuple):
    """Voxels of several clouds.

    Attributes:
        coordinates: (N, 4) int32: sample, x, y, z; unique and in lexicographic order.
        features: (N, F) float32.
        labels: int64, (B,) one class a cloud or (N,) one label a voxel; ``None`` where there are none.
        batch_size: B; a sample without voxels counts.
        report: what became of every point.
    """

    coordinates: Tensor
    features: Tensor
    labels: Tensor | None
    batch_size: int
    report: VoxelReport


def collate(
    clouds: Sequence[Voxels], *, samples: Sequence[int] | None = None, ignore_label: int = IGNORE_LABEL
) -> VoxelBatch:
    """Joins clouds into one batch; empty clouds keep their place.

    Voxels that coincide, where ``samples`` puts several clouds under one index (Mix3D), are merged: their
    features are averaged, and labels that disagree become ``ignore_label`` and are counted as conflicts.

    Args:
        clouds: voxels with equal feature columns; all with class labels, all with voxel labels, or none.
        samples: sample index of each cloud, ``0, 1, ...`` by default.
        ignore_label: label of merged voxels that disagree.

    Raises:
        PointCloudError: no clouds, or clouds that differ in feature columns or in the labels they carry.
    """
    if not clouds:
        raise PointCloudError("collate needs at least one cloud; an empty cloud still counts as one.")
    indices = list(range(len(clouds))) if samples is None else [int(s) for s in samples]
    _check_clouds(clouds, indices)
    batch_size = max(indices) + 1
    report = sum((cloud.report for cloud in clouds), VoxelReport())
    coordinates = np.concatenate(
        [np.insert(c.coordinates, 0, i, axis=1) for c, i in zip(clouds, indices, strict=True)]
    ).astype(np.int32)
    features = np.concatenate([cloud.features for cloud in clouds])
    labels = _voxel_labels(clouds)
    groups = group_rows(coordinates)
    duplicates = len(groups.rows) - len(groups.starts)
    first = groups.rows[groups.starts]
    if duplicates:
        ordered = features[groups.rows].astype(np.float64)
        features = (np.add.reduceat(ordered, groups.starts) / groups.sizes[:, None]).astype(np.float32)
        conflicts = 0
        if labels is not None:
            lowest = np.minimum.reduceat(labels[groups.rows], groups.starts)
            highest = np.maximum.reduceat(labels[groups.rows], groups.starts)
            labels, conflicts = (
                np.where(lowest == highest, lowest, ignore_label),
                int((lowest != highest).sum()),
            )
        report = report + VoxelReport(kept=-duplicates, merged=duplicates, label_conflicts=conflicts)
    else:
        features = features[first]
        labels = None if labels is None else labels[first]
    tensor_labels = _class_labels(clouds, indices, batch_size) if labels is None else torch.from_numpy(labels)
    return VoxelBatch(
        torch.from_numpy(coordinates[first]), torch.from_numpy(features), tensor_labels, batch_size, report
    )


def _check_clouds(clouds: Sequence[Voxels], indices: Sequence[int]) -> None:
    if len(indices) != len(clouds) or min(indices) < 0:
        raise PointCloudError(
            f"samples must give one index from 0 on for each of {len(clouds)} clouds, got {list(indices)}."
        )
    names = clouds[0].feature_names
    for cloud in clouds:
        if cloud.feature_names != names:
            raise PointCloudError(
                f"{cloud.source}: features {cloud.feature_names} differ from {names} of {clouds[0].source}."
            )
    for attribute in ("label", "labels"):
        missing = [getattr(cloud, attribute) is None for cloud in clouds]
        if any(missing) and not all(missing):
            position = missing.index(True)
            raise PointCloudError(
                f"{clouds[position].source}: cloud {position} has no {attribute}, others of the batch do."
            )


def _voxel_labels(clouds: Sequence[Voxels]) -> np.ndarray | None:
    parts = [cloud.labels for cloud in clouds if cloud.labels is not None]
    return np.concatenate(parts) if parts else None


def _class_labels(clouds: Sequence[Voxels], indices: Sequence[int], batch_size: int) -> Tensor | None:
    if clouds[0].label is None:
        return None
    labels = torch.full((batch_size,), IGNORE_LABEL, dtype=torch.int64)
    for cloud, index in zip(clouds, indices, strict=True):
        labels[index] = int(cloud.label)  # type: ignore[arg-type]
    return labels
