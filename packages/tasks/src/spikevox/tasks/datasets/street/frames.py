"""Generated streets as frames to learn from, like those of a data set on disk."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Literal

from spikevox.tasks.datasets import pandaset_label, semantickitti_label
from spikevox.tasks.datasets.frame import LidarFrame
from spikevox.tasks.datasets.lidar_file import pick
from spikevox.tasks.datasets.street.classes import STREET_CLASSES, label_numbers
from spikevox.tasks.datasets.street.lidar import find_sensor
from spikevox.tasks.datasets.street.scene import Street
from spikevox.tasks.datasets.street.style import CITY, SUBURB
from spikevox.tasks.errors import ConfigError

_STYLES = MappingProxyType({"city": CITY, "suburb": SUBURB})
_LABELS: Mapping[str, Mapping[int, str]] = MappingProxyType(
    {
        "street": dict(enumerate(STREET_CLASSES)),
        "pandaset": pandaset_label.LABEL_NAMES,
        "semantickitti": semantickitti_label.LABEL_NAMES,
    }
)


class StreetFrames:
    """One sweep of each of many streets, made when it is asked for.

    Streets of other seeds have nothing in common: splits are made by ``first_seed`` and ``count``.

    Args:
        count: number of streets.
        first_seed: seed of the first; the others follow.
        sensor: what looks at them, ``"pandar64"``, ``"hdl64"`` or ``"hdl32"``.
        sweep: which sweep of each street, in tenths of a second after its first.
        style: how full they are, ``"city"`` or ``"suburb"``.
        labels: whose label numbers the points have: ``"street"``, ``"pandaset"`` or ``"semantickitti"``.
        keep: whether frames stay in memory once they are made, some 4 MB each.

    Attributes:
        label_names: number of each label to its name.
        frames: ``SEED/SWEEP`` of each frame.

    Raises:
        ConfigError: no street, a negative seed or sweep, or an unknown sensor, style or data set.

    Example:
        >>> streets = StreetFrames(count=2, first_seed=7)
        >>> streets.frames
        ('0007/0000', '0008/0000')
    """

    def __init__(
        self,
        count: int,
        *,
        first_seed: int = 0,
        sensor: Literal["pandar64", "hdl64", "hdl32"] = "pandar64",
        sweep: int = 0,
        style: Literal["city", "suburb"] = "city",
        labels: Literal["street", "pandaset", "semantickitti"] = "street",
        keep: bool = False,
    ) -> None:
        if count < 1 or first_seed < 0 or sweep < 0:
            raise ConfigError(
                f"expected a count from 1, a first_seed and a sweep from 0, got {count}, {first_seed} and {sweep}."
            )
        for what, name, known in (("style", style, _STYLES), ("labels", labels, _LABELS)):
            if name not in known:
                raise ConfigError(f"unknown {what} {name!r}; there are {', '.join(known)}.")
        self.lidar, self.style = find_sensor(sensor), _STYLES[style]
        # A dict, as a mapping proxy cannot go to the processes of a loader.
        self.label_names, self._numbers = dict(_LABELS[labels]), label_numbers(labels)
        self.seeds = range(first_seed, first_seed + count)
        self.sweep = sweep
        self.frames = tuple(f"{seed:04d}/{sweep:04d}" for seed in self.seeds)
        self._kept: dict[int, LidarFrame] | None = {} if keep else None

    def __len__(self) -> int:
        return len(self.frames)

    def frame(self, index: int) -> LidarFrame:
        """Points (P, 4) x, y, z, intensity with labels, instances, boxes, pose and time.

        Raises:
            IndexError: no such street.
        """
        pick(index, self.frames)
        if self._kept is None:
            return self._make(index)
        if index not in self._kept:
            self._kept[index] = self._make(index)
        return self._kept[index]

    def _make(self, index: int) -> LidarFrame:
        frame = Street(self.seeds[index], lidar=self.lidar, style=self.style).frame(self.sweep)
        return replace(frame, labels=self._numbers[frame.labels])
