"""LiDAR sweeps of made-up streets: every point labelled, every vehicle and person boxed, the same for the same seed."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from spikevox.tasks.datasets.frame import Boxes, LidarFrame
from spikevox.tasks.datasets.street.classes import CLASS_NUMBERS
from spikevox.tasks.datasets.street.ground import cast_ground
from spikevox.tasks.datasets.street.layout import lay_out
from spikevox.tasks.datasets.street.lidar import PANDAR64, Lidar
from spikevox.tasks.datasets.street.material import GROUND_MATERIALS, MATERIAL_NUMBERS, come_back, intensities
from spikevox.tasks.datasets.street.objects import Part
from spikevox.tasks.datasets.street.primitives import Array, Primitives
from spikevox.tasks.datasets.street.ray_cast import Returns, cast
from spikevox.tasks.datasets.street.style import CITY, StreetStyle
from spikevox.tasks.datasets.street.thing import StreetLayout, Thing

FRAME_TIME = 0.1  # seconds between sweeps
_DRIVE = 100.0  # metres of street that the vehicle drives at most


@dataclass(frozen=True)
class _Places:
    """Where all things stand at one time: (N, 3) in the street's coordinates and (N,) radians."""

    place: Array
    yaw: Array


class Street:
    """A street and a vehicle with a LiDAR that drives through it.

    Coordinates of a frame begin at the sensor: x along the vehicle, y to its left, z straight up, in metres. The world's
    axes are the street's: x along the road, z up. Velocities are those over ground, along the frame's axes.
    Points keep the order of the rays, beam after beam from the lowest. Labels are numbers of STREET_CLASSES; ``instances``
    counts from 1, and ``boxes.identities`` are the same numbers, as text. Boxes without a point are among the boxes.

    Args:
        seed: of the street; the same seed makes the same frames.
        lidar: what looks at it.
        style: how full it is.

    Example:
        >>> from spikevox.tasks.datasets.street.lidar import Lidar
        >>> frame = Street(seed=1, lidar=Lidar(elevations=(-8.0, -4.0, 0.0), steps=300)).frame(0)
        >>> frame.columns
        ('x', 'y', 'z', 'intensity')
    """

    def __init__(self, seed: int, *, lidar: Lidar = PANDAR64, style: StreetStyle = CITY) -> None:
        self.seed = seed
        self.lidar = lidar
        self.style = style

    @cached_property
    def layout(self) -> StreetLayout:
        """What stands where at time 0."""
        return lay_out(self.style, np.random.default_rng([self.seed, 0]))

    @staticmethod
    def most_sweeps(style: StreetStyle = CITY) -> int:
        """How many sweeps every street of a style has, before the fastest vehicle leaves it."""
        return int(_DRIVE / (style.speed * FRAME_TIME)) + 1

    @cached_property
    def _solids(self) -> "_Solids":
        return _Solids(self.layout.things)

    def pose(self, time: float) -> Array:
        """(4, 4) from the coordinates of the frame at ``time`` seconds to the world's."""
        ground = self.layout.ground
        x = np.array([self.layout.speed * time])
        y, turn = ground.middle(x) + self.layout.lane, float(ground.heading(x)[0])
        result = np.eye(4)
        result[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
        result[:3, 3] = x[0], y[0], ground.height(x, y)[0] + self.lidar.height
        return result

    def frame(self, index: int) -> LidarFrame:
        """Sweep ``index``, 0.1 s after the one before.

        Raises:
            IndexError: a negative index, or one at which the vehicle has left the street.
        """
        time = index * FRAME_TIME
        if index < 0 or self.layout.speed * time > _DRIVE:
            raise IndexError(f"frame {index} of street {self.seed}: the vehicle has left the street, or not yet come.")
        generator = np.random.default_rng([self.seed, 1, index])
        pose, places = self.pose(time), _stand(self.layout, time)
        returns = self._cast(places, pose, generator)
        points, labels, instances = self._points(returns, pose, generator)
        if self.lidar.sees_roof:
            _end_on_roof(points, labels, instances, self.lidar, generator)
        return LidarFrame(
            points=points.astype(np.float32),
            columns=("x", "y", "z", "intensity"),
            source=f"street_{self.seed}/{index:04d}",
            labels=labels,
            instances=instances,
            boxes=_boxes(self.layout, places, pose),
            pose=pose,
            time=time,
        )

    def _cast(self, places: _Places, pose: Array, generator: np.random.Generator) -> Returns:
        """What each ray meets first: a solid, or the ground, whose row is -1 like that of the sky."""
        heading = float(np.arctan2(pose[1, 0], pose[0, 0]))
        solids = self._solids.placed(places).seen_from(pose[:3, 3], heading)
        met = cast(solids, self.lidar, generator)
        distance, cosine = cast_ground(self.layout.ground, pose[:3, 3], heading, self.lidar)
        ground = distance < met.distance
        return Returns(
            np.where(ground, distance, met.distance),
            np.where(ground, -1, met.primitive),
            np.where(ground, cosine, met.cosine),
        )

    def _points(
        self, returns: Returns, pose: Array, generator: np.random.Generator
    ) -> tuple[Array, NDArray[np.int64], NDArray[np.int64]]:
        """Points with their intensity (P, 4), labels and instances (P,) of the rays that come back."""
        rays = np.flatnonzero(np.isfinite(returns.distance))
        row, cosine = returns.primitive[rays], returns.cosine[rays]
        beam, step = np.divmod(rays, self.lidar.steps)
        tangent = self.lidar.tangents[beam]
        ray = np.stack([np.cos(self.lidar.azimuths)[step], np.sin(self.lidar.azimuths)[step], tangent], axis=1)
        exact = ray * returns.distance[rays, None]
        ground = row < 0
        labels, material, albedo = self._solids.label[row], self._solids.material[row], self._solids.albedo[row]
        world = exact[ground] @ pose[:2, :3].T + pose[:2, 3]
        labels[ground] = self.layout.ground.classes(world[:, 0], world[:, 1])
        material[ground] = GROUND_MATERIALS[labels[ground]]
        albedo[ground] = 1.0
        length = np.hypot(1.0, tangent)
        distance = returns.distance[rays] * length
        kept = come_back(material, distance, cosine, self.lidar, generator)
        kept &= (distance < self.lidar.max_range) & (distance > self.lidar.min_range)
        bright = intensities(material, albedo, distance, cosine, self.lidar, generator)
        noise = generator.normal(0.0, self.lidar.range_noise, len(rays))
        points = np.column_stack([exact + ray * (noise / length)[:, None], bright])
        instances = np.where(ground, 0, self._solids.instance[row])
        return points[kept], labels[kept], instances[kept]


def street_frame(seed: int, index: int = 0, *, lidar: Lidar = PANDAR64, style: StreetStyle = CITY) -> LidarFrame:
    """One sweep of a street: ``Street(seed, lidar=lidar, style=style).frame(index)``."""
    return Street(seed, lidar=lidar, style=style).frame(index)


class _Solids:
    """All parts of all things as one table in the things' own axes, and what is known of each part."""

    def __init__(self, things: list[Thing]) -> None:
        parts: list[tuple[int, Part]] = [(number, part) for number, thing in enumerate(things) for part in thing.parts]
        owner = np.array([number for number, _ in parts], dtype=np.int64)
        self.table = Primitives(
            kind=np.array([part.kind for _, part in parts], dtype=np.int64),
            center=np.array([part.center for _, part in parts], dtype=np.float64),
            half=np.array([part.size for _, part in parts], dtype=np.float64) / 2,
            yaw=np.array([part.yaw for _, part in parts], dtype=np.float64),
            taper=np.array([part.taper for _, part in parts], dtype=np.float64),
            density=np.array([part.density for _, part in parts], dtype=np.float64),
            owner=owner,
        )
        self.label = np.array([CLASS_NUMBERS[part.name or things[number].name] for number, part in parts])
        self.material = np.array([MATERIAL_NUMBERS[part.material] for _, part in parts])
        self.albedo = np.array([things[number].albedo for number in owner])
        boxed = np.array([thing.size is not None for thing in things])
        self.instance = (np.cumsum(boxed) * boxed)[owner]

    def placed(self, places: _Places) -> Primitives:
        """The solids in the street's coordinates."""
        table, own = self.table, self.table.owner
        c, s = np.cos(places.yaw)[own], np.sin(places.yaw)[own]
        x, y, z = table.center.T
        turned = np.stack([x * c - y * s, x * s + y * c, z], axis=1)
        return replace(table, center=turned + places.place[own], yaw=table.yaw + places.yaw[own])


def _stand(layout: StreetLayout, time: float) -> _Places:
    """Things on the ground of their time: scenery on its middle, vehicles and people on the highest place under them."""
    things, ground = layout.things, layout.ground
    speed = np.array([thing.speed for thing in things])
    x = np.array([thing.along for thing in things]) + speed[:, 0] * time
    y = ground.middle(x) + np.array([thing.offset for thing in things]) + speed[:, 1] * time
    yaw = ground.heading(x) + np.array([thing.turn for thing in things])
    size = np.array([thing.size or (0.0, 0.0, 0.0) for thing in things])
    z = ground.height(x, y)
    for a, b in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        along, across = a * size[:, 0] / 2, b * size[:, 1] / 2
        corner = ground.height(
            x + along * np.cos(yaw) - across * np.sin(yaw),
            y + along * np.sin(yaw) + across * np.cos(yaw),
        )
        z = np.where(size[:, 0] > 0, np.maximum(z, corner), z)
    return _Places(np.stack([x, y, z], axis=1), yaw)


def _boxes(layout: StreetLayout, places: _Places, pose: Array) -> Boxes:
    things: list[Thing] = layout.things
    rows = np.array([row for row, thing in enumerate(things) if thing.size is not None], dtype=np.int64)
    size = np.array([things[row].size for row in rows], dtype=np.float64).reshape(-1, 3)
    center = places.place[rows] + np.stack([0 * size[:, 2], 0 * size[:, 2], size[:, 2] / 2], axis=1)
    yaw = places.yaw[rows] - np.arctan2(pose[1, 0], pose[0, 0])
    speed = np.array([things[row].speed for row in rows], dtype=np.float64).reshape(-1, 2)
    # Along the road means along its bend too.
    speed[:, 1] += speed[:, 0] * layout.ground.bend * places.place[rows, 0]
    return Boxes(
        centers=(center - pose[:3, 3]) @ pose[:3, :3],
        sizes=size,
        yaw=(yaw + np.pi) % (2 * np.pi) - np.pi,
        names=tuple(things[row].name for row in rows),
        identities=tuple(str(number + 1) for number in range(len(rows))),
        velocities=speed @ pose[:2, :2],
    )


def _end_on_roof(
    points: Array, labels: NDArray, instances: NDArray, lidar: Lidar, generator: np.random.Generator
) -> None:
    """Moves two fifths as many rays as a beam has, of the two lowest beams, to the vehicle's own roof."""
    low = np.flatnonzero(points[:, 2] < np.hypot(points[:, 0], points[:, 1]) * lidar.tangents[:2].max() * 0.999)
    chosen = generator.permutation(low)[: 2 * lidar.steps // 5]
    # Seen by chance paths, they lie nearer and lower than the beam itself.
    away = np.hypot(points[chosen, 0], points[chosen, 1])[:, None]
    points[chosen, :2] *= (0.2 + generator.exponential(0.3, (len(chosen), 1))) / away
    points[chosen, 2] = -generator.uniform(0.4, 0.8, len(chosen))
    points[chosen, 3] = generator.exponential(0.005, len(chosen))
    labels[chosen] = CLASS_NUMBERS["reflection"]
    instances[chosen] = 0
