"""A spinning LiDAR: where its rays go and how well they come back."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from spikevox.tasks.errors import ConfigError


@dataclass(frozen=True)
class Lidar:
    """Rays on a grid of beams and horizontal steps, all sent at one instant: a sweep is not bent by the vehicle's motion.

    Attributes:
        elevations: degrees of each beam above the horizon, rising.
        steps: rays of a beam in one turn.
        height: metres of the sensor above the ground.
        range_noise: standard deviation of a range, in metres.
        drop_out: share of returns lost whatever they hit.
        reach: metres at which half of the rays come back from a white surface met head on.
        max_range: metres beyond which nothing is reported.
        min_range: metres below which nothing is reported.
        gain: factor of all intensities.
        sees_roof: some rays of the lowest beams end on the vehicle's own roof, as in data that is not cleaned of it.

    Raises:
        ValueError: beams that do not rise or reach 90 degrees, or a step count, height or range that is not positive.
    """

    elevations: tuple[float, ...]
    steps: int
    height: float = 1.73
    range_noise: float = 0.02
    drop_out: float = 0.05
    reach: float = 250.0
    max_range: float = 120.0
    min_range: float = 1.0
    gain: float = 1.0
    sees_roof: bool = False

    def __post_init__(self) -> None:
        degrees = np.asarray(self.elevations, dtype=np.float64)
        if degrees.size == 0 or (np.diff(degrees) <= 0).any() or np.abs(degrees).max() >= 90:
            raise ValueError(f"elevations rise from above -90 to below 90 degrees, got {self.elevations}.")
        if self.steps < 1 or min(self.height, self.reach, self.min_range) <= 0 or self.max_range <= self.min_range:
            raise ValueError(
                "steps, height, reach and min_range are positive and max_range is larger than min_range, got "
                f"{self.steps}, {self.height}, {self.reach}, {self.min_range} and {self.max_range}."
            )
        if self.range_noise < 0 or not 0 <= self.drop_out < 1:
            raise ValueError(
                f"range_noise is from 0 on and drop_out in [0, 1), got {self.range_noise} and {self.drop_out}."
            )

    @cached_property
    def tangents(self) -> NDArray[np.float64]:
        """(beams,) metres up a metre outwards, rising."""
        return np.tan(np.radians(np.asarray(self.elevations, dtype=np.float64)))

    @cached_property
    def azimuths(self) -> NDArray[np.float64]:
        """(steps,) radians from the x axis, from -pi on, rising."""
        width = 2 * np.pi / self.steps
        return np.linspace(-np.pi + width / 2, np.pi - width / 2, self.steps)


def _pandar64() -> tuple[float, ...]:
    # A sixth of a degree about the horizon, a degree around it, coarse at both ends.
    low = [-25.0, -19.0, *range(-14, -6)]
    return (*low, *(np.round(-6 + np.arange(49) / 6, 3)), 3.04, 5.06, 8.06, 11.03, 14.88)


def _hdl64() -> tuple[float, ...]:
    # Where KITTI's rings lie, seen from the scans' origin: two blocks of beams.
    return (*np.round(-23.6 + 0.495 * np.arange(32), 3), *np.round(-7.46 + 0.337 * np.arange(32), 3))


PANDAR64 = Lidar(_pandar64(), steps=1800, height=2.2, drop_out=0.03, reach=350.0, max_range=200.0, sees_roof=True)
# KITTI's scans of objects end at 80 m, and its intensities are spread over the whole of 0 to 1.
HDL64 = Lidar(_hdl64(), steps=2083, height=1.73, drop_out=0.05, reach=150.0, max_range=80.0, min_range=2.0, gain=7.3)
# The beams of a Velodyne HDL-32E, which nuScenes has, and its mean intensity; its scans were not fitted any further.
HDL32 = Lidar(
    tuple(np.round(-30.67 + np.arange(32) * 4 / 3, 3)), steps=1084, height=1.84, reach=150.0, max_range=100.0, gain=1.4
)
SENSORS: Mapping[str, Lidar] = MappingProxyType({"pandar64": PANDAR64, "hdl64": HDL64, "hdl32": HDL32})


def find_sensor(name: str) -> Lidar:
    """A sensor by its name in SENSORS.

    Raises:
        ConfigError: an unknown name.
    """
    if name not in SENSORS:
        raise ConfigError(f"unknown sensor {name!r}; there are {', '.join(SENSORS)}.")
    return SENSORS[name]
