"""Generated streets as frames to learn from, like those of a data set on disk."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from spikevox.tasks.datasets.frame import LidarFrame
from spikevox.tasks.datasets.lidar_file import pick
from spikevox.tasks.datasets.street.classes import STREET_CLASSES
from spikevox.tasks.datasets.street.lidar import find_sensor
from spikevox.tasks.datasets.street.scene import Street
from spikevox.tasks.errors import ConfigError


class StreetFrames:
    """One sweep of each of many streets, made when it is asked for.

    Streets of other seeds have nothing in common: splits are made by ``first_seed`` and ``count``.

    Args:
        count: number of streets.
        first_seed: seed of the first; the others follow.
        sensor: what looks at them, ``"pandar64"``, ``"hdl64"`` or ``"hdl32"``.
        sweep: which sweep of each street, in tenths of a second after its first.

    Attributes:
        label_names: number of each class to its name.
        frames: ``SEED/SWEEP`` of each frame.

    Raises:
        ConfigError: no street, a negative seed or sweep, or an unknown sensor.

    Example:
        >>> streets = StreetFrames(count=2, first_seed=7)
        >>> streets.frames
        ('0007/0000', '0008/0000')
    """

    label_names: Mapping[int, str] = MappingProxyType(dict(enumerate(STREET_CLASSES)))

    def __init__(
        self,
        count: int,
        *,
        first_seed: int = 0,
        sensor: Literal["pandar64", "hdl64", "hdl32"] = "pandar64",
        sweep: int = 0,
    ) -> None:
        if count < 1 or first_seed < 0 or sweep < 0:
            raise ConfigError(
                f"expected a count from 1, a first_seed and a sweep from 0, got {count}, {first_seed} and {sweep}."
            )
        self.lidar = find_sensor(sensor)
        self.seeds = range(first_seed, first_seed + count)
        self.sweep = sweep
        self.frames = tuple(f"{seed:04d}/{sweep:04d}" for seed in self.seeds)

    def __len__(self) -> int:
        return len(self.frames)

    def frame(self, index: int) -> LidarFrame:
        """Points (P, 4) x, y, z, intensity with labels, instances, boxes, pose and time.

        Raises:
            IndexError: no such street.
        """
        pick(index, self.frames)
        return Street(self.seeds[index], lidar=self.lidar).frame(self.sweep)
