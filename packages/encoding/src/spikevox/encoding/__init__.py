"""Point clouds and signals to counted voxels and spike trains."""

from typing import TYPE_CHECKING

from spikevox.encoding.lazy import lazy_exports

if TYPE_CHECKING:
    from spikevox.encoding.batch import VoxelBatch, collate
    from spikevox.encoding.coders import (
        delta_decode,
        delta_encode,
        direct_decode,
        direct_encode,
        latency_decode,
        latency_encode,
        rate_decode,
        rate_encode,
    )
    from spikevox.encoding.errors import CoordinateRangeError, PointCloudError, SpikevoxError
    from spikevox.encoding.fourier import FourierFeatures
    from spikevox.encoding.grid import VoxelGrid
    from spikevox.encoding.labels import labels_to_points, majority_labels
    from spikevox.encoding.points import check_points
    from spikevox.encoding.report import VoxelReport
    from spikevox.encoding.spike_train import SpikeTrain, SpikeTrainError, round_half_up
    from spikevox.encoding.storage import pack_spikes, unpack_spikes
    from spikevox.encoding.voxels import Voxels, voxelize

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "batch": ("VoxelBatch", "collate"),
        "coders": (
            "delta_decode",
            "delta_encode",
            "direct_decode",
            "direct_encode",
            "latency_decode",
            "latency_encode",
            "rate_decode",
            "rate_encode",
        ),
        "errors": ("CoordinateRangeError", "PointCloudError", "SpikevoxError"),
        "fourier": ("FourierFeatures",),
        "grid": ("VoxelGrid",),
        "labels": ("labels_to_points", "majority_labels"),
        "points": ("check_points",),
        "report": ("VoxelReport",),
        "spike_train": ("SpikeTrain", "SpikeTrainError", "round_half_up"),
        "storage": ("pack_spikes", "unpack_spikes"),
        "voxels": ("Voxels", "voxelize"),
    },
    distribution="spikevox-encoding",
)
