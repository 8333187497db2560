"""A LiDAR-like view of a surface: one return a ray, range noise, occlusion, drop-out, clutter."""

from dataclasses import dataclass

import numpy as np

from spikevox.tasks.datasets.solids import Array, Generator, unit_sphere


@dataclass(frozen=True)
class Scanner:
    """How a shape is posed and seen.

    Attributes:
        points: points a view; fewer returns are filled up by repetition.
        noise: standard deviation of the range, in metres.
        occlusion: largest share of the returns that a half plane in front hides.
        tilt: largest tilt of the shape, in degrees.
        clutter: share of points spread over the box of the view.
        distractors: most patches (wall, post, ball) beside the shape.
        azimuth_step: angle between neighbouring rays in a ring, in degrees.
        elevation_step: angle between rings, in degrees.
    """

    points: int = 512
    noise: float = 0.02
    occlusion: float = 0.35
    tilt: float = 20.0
    clutter: float = 0.03
    distractors: int = 3
    azimuth_step: float = 0.6
    elevation_step: float = 1.1

    def view(self, surface: Array, generator: Generator) -> Array:
        """Points (points, 3) of one view from 3 to 5 m, in the frame of the shape's centre."""
        shape = surface / np.linalg.norm(surface - surface.mean(axis=0), axis=1).max() * generator.uniform(0.8, 1.2)
        shape = shape @ _pose(generator, np.radians(self.tilt)).T
        for _ in range(int(generator.integers(0, self.distractors + 1))):
            shape = np.concatenate([shape, _distractor(generator)])
        distance, elevation = generator.uniform(3.0, 5.0), np.radians(generator.uniform(0, 45))
        seen = shape + np.array([distance * np.cos(elevation), 0, -distance * np.sin(elevation)])
        span = np.linalg.norm(seen, axis=1)
        first = self._first_returns(seen, span)
        rays = seen[first] / span[first, None]
        returns = shape[first] + rays * generator.normal(0, self.noise, (len(first), 1))
        returns = returns[self._visible(rays, generator)]
        returns = returns[generator.random(len(returns)) < generator.uniform(0.7, 1.0)]
        clutter = int(self.clutter * len(returns))
        spread = generator.uniform(returns.min(axis=0), returns.max(axis=0), (clutter, 3))
        return self._fill(np.concatenate([returns, spread]), generator)

    def _first_returns(self, seen: Array, span: Array) -> np.ndarray:
        """Rows of the nearest point of each ray."""
        azimuth = np.floor(np.arctan2(seen[:, 1], seen[:, 0]) / np.radians(self.azimuth_step)).astype(np.int64)
        elevation = np.floor(np.arcsin(seen[:, 2] / span) / np.radians(self.elevation_step)).astype(np.int64)
        ray = azimuth * 65536 + elevation
        order = np.lexsort((span, ray))
        ordered = ray[order]
        return order[np.append(True, ordered[1:] != ordered[:-1])]

    def _visible(self, rays: Array, generator: Generator) -> np.ndarray:
        angle = generator.uniform(0, 2 * np.pi)
        side = rays[:, 1] * np.cos(angle) + rays[:, 2] * np.sin(angle)
        return side <= np.quantile(side, 1 - self.occlusion * generator.random())

    def _fill(self, returns: Array, generator: Generator) -> Array:
        chosen = generator.permutation(len(returns))[: self.points]
        extra = generator.integers(0, len(returns), self.points - len(chosen))
        return returns[np.concatenate([chosen, extra])]


def _pose(generator: Generator, largest_tilt: float) -> Array:
    """Any turn about z, then a tilt about a random horizontal axis."""
    yaw, heading, tilt = generator.uniform(0, 2 * np.pi), generator.uniform(0, 2 * np.pi), generator.random()
    tilt *= largest_tilt
    turn = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
    x, y = np.cos(heading), np.sin(heading)
    cross = np.array([[0, 0, y], [0, 0, -x], [-y, x, 0]])
    return (np.eye(3) + np.sin(tilt) * cross + (1 - np.cos(tilt)) * cross @ cross) @ turn


def _distractor(generator: Generator) -> Array:
    """A patch of wall, a post or a ball, beside the shape."""
    count = 800
    kind = int(generator.integers(0, 3))
    if kind == 0:
        patch = (generator.random((count, 3)) - 0.5) * [generator.uniform(0.3, 1.0), 0.02, generator.uniform(0.3, 1.2)]
    elif kind == 1:
        patch = (generator.random((count, 3)) - 0.5) * [0.1, 0.1, generator.uniform(0.6, 1.6)]
    else:
        patch = unit_sphere(generator, count) * generator.uniform(0.1, 0.25)
    angle = generator.uniform(0, 2 * np.pi)
    place = np.array([np.cos(angle), np.sin(angle), 0]) * generator.uniform(0.9, 1.4)
    return patch @ _pose(generator, 0.0).T + place + [0, 0, generator.uniform(-0.5, 0.5)]
