import math

import numpy as np
import pytest

from oracles.ray_march import first_ground, first_solid
from spikevox.tasks.datasets.street.ground import Ground, cast_ground
from spikevox.tasks.datasets.street.layout import lay_out
from spikevox.tasks.datasets.street.lidar import HDL64, PANDAR64, Lidar
from spikevox.tasks.datasets.street.primitives import BOX, CYLINDER, ELLIPSOID, Primitives
from spikevox.tasks.datasets.street.ray_cast import cast
from spikevox.tasks.datasets.street.style import CITY

NAMES = {BOX: "box", CYLINDER: "cylinder", ELLIPSOID: "ellipsoid"}
SMALL = Lidar(tuple(np.linspace(-24.0, 14.0, 12)), steps=120, min_range=0.1)
STEP = 0.004


def table(kind, center, half, yaw=None, taper=None, density=None):
    count = len(kind)
    return Primitives(
        kind=np.asarray(kind),
        center=np.asarray(center, dtype=np.float64),
        half=np.asarray(half, dtype=np.float64),
        yaw=np.zeros(count) if yaw is None else np.asarray(yaw),
        taper=np.zeros((count, 2)) if taper is None else np.asarray(taper),
        density=np.full(count, np.inf) if density is None else np.asarray(density),
        owner=np.arange(count),
    )


def random_solids(generator, count=25):
    angle, away = generator.uniform(-np.pi, np.pi, count), generator.uniform(4, 11, count)
    half = generator.uniform(0.2, 1.5, (count, 3))
    kind = generator.integers(0, 3, count)
    taper = np.where(kind[:, None] == BOX, generator.uniform(-0.1, 0.4, (count, 2)), 0.0)
    taper = np.minimum(taper, 0.45 * half[:, :2] / half[:, 2:])
    center = np.column_stack([away * np.cos(angle), away * np.sin(angle), generator.uniform(-3, 3, count)])
    return table(kind, center, half, generator.uniform(-np.pi, np.pi, count), taper)


@pytest.mark.parametrize("seed", range(3))
def test_rays_meet_the_solid_that_walking_along_them_meets(seed):
    generator = np.random.default_rng(seed)
    solids = random_solids(generator)
    returns = cast(solids, SMALL, generator)
    rows = zip(solids.kind, solids.center, solids.half, solids.yaw, solids.taper, strict=True)
    plain = [(NAMES[int(kind)], *rest) for kind, *rest in rows]
    wrong = 0
    chosen = generator.choice(len(returns.distance), 250, replace=False)
    for ray in chosen:
        beam, step = divmod(int(ray), SMALL.steps)
        direction = (SMALL.azimuths[step], math.radians(SMALL.elevations[beam]))
        distance, which = first_solid(plain, direction, STEP, 14.0)
        same = returns.primitive[ray] == which and (
            which < 0 or -1e-9 <= distance - returns.distance[ray] <= STEP + 1e-9
        )
        wrong += not same
    # A step may leap over an edge that the ray cuts by less than 4 mm.
    assert wrong <= 1
    assert (returns.primitive[chosen] >= 0).sum() > 40


def test_the_window_of_a_solid_holds_all_its_rays():
    """Without windows: one solid that surrounds the sensor makes every ray a candidate."""
    generator = np.random.default_rng(4)
    solids = random_solids(generator, 40)
    each = [cast(solids.take(np.array([row])), SMALL, generator) for row in range(len(solids))]
    together = cast(solids, SMALL, generator)
    assert np.array_equal(together.distance, np.min([one.distance for one in each], axis=0))


def test_the_cosine_is_that_of_the_angle_to_the_surface():
    wall = table([BOX], [[5.0, 0.0, 0.0]], [[0.5, 20.0, 20.0]])
    returns = cast(wall, SMALL, np.random.default_rng(0))
    hit = np.flatnonzero(returns.primitive == 0)
    beam, step = np.divmod(hit, SMALL.steps)
    expected = np.cos(SMALL.azimuths[step]) / np.hypot(1, SMALL.tangents[beam])
    front = returns.distance[hit] * np.cos(SMALL.azimuths[step]) < 4.5 + 1e-9
    np.testing.assert_allclose(returns.cosine[hit][front], expected[front], atol=1e-12)
    ball = cast(table([ELLIPSOID], [[6.0, 0.0, 0.0]], [[2.0, 2.0, 2.0]]), SMALL, np.random.default_rng(0))
    for ray in np.flatnonzero(ball.primitive == 0):
        beam, step = divmod(int(ray), SMALL.steps)
        ahead = np.array([np.cos(SMALL.azimuths[step]), np.sin(SMALL.azimuths[step]), SMALL.tangents[beam]])
        normal = (ball.distance[ray] * ahead - [6.0, 0.0, 0.0]) / 2.0
        assert ball.cosine[ray] == pytest.approx(-normal @ ahead / np.linalg.norm(ahead), abs=1e-9)


def test_porous_solids_return_from_inside_and_let_rays_through():
    lidar = Lidar((-1.0, 0.0, 1.0), steps=3600, min_range=0.1)
    solids = table([ELLIPSOID, BOX], [[8, 0, 0], [20, 0, 0]], [[1, 1, 1], [0.5, 9, 9]], density=[0.7, np.inf])
    returns = cast(solids, lidar, np.random.default_rng(0))
    middle = np.flatnonzero(np.abs(np.tile(lidar.azimuths, 3)) < 0.02)
    leaves = returns.primitive[middle] == 0
    # exp(-density * chord) of the rays go through a ball of 2 m.
    assert leaves.mean() == pytest.approx(1 - np.exp(-1.4), abs=0.1)
    assert ((returns.distance[middle][leaves] > 7) & (returns.distance[middle][leaves] < 9)).all()
    assert (returns.primitive[middle][~leaves] == 1).all()


def test_boxes_that_widen_upwards_are_met_up_to_their_rims():
    half = np.array([[0.3, 0.3, 1.5]])
    funnel = table([BOX], [[5.0, 0.5, 0.0]], half, np.array([0.4]), np.array([[-0.5, -0.3]]))
    returns = cast(funnel, SMALL, np.random.default_rng(0))
    plain = [("box", [5.0, 0.5, 0.0], half[0], 0.4, (-0.5, -0.3))]
    wrong = hits = 0
    for ray in np.flatnonzero(np.abs(np.tile(SMALL.azimuths, len(SMALL.elevations))) < 0.6):
        beam, step = divmod(int(ray), SMALL.steps)
        direction = (SMALL.azimuths[step], math.radians(SMALL.elevations[beam]))
        _, which = first_solid(plain, direction, STEP, 9.0)
        wrong += (which < 0) != (returns.primitive[ray] < 0)
        hits += which == 0
    assert wrong == 0
    assert hits > 30


def test_no_solids_no_returns():
    nothing = cast(random_solids(np.random.default_rng(0)).take(np.arange(0)), SMALL, np.random.default_rng(0))
    assert np.isinf(nothing.distance).all()
    assert (nothing.primitive == -1).all()


def test_a_crest_hides_the_ground_behind_it():
    waves = np.array([[1.2, 0.25, 0.0, 0.0]])
    ground = Ground(2, 3.3, 0.0, 2.0, 0.15, 0.0, (0.0, 0.0), waves, np.zeros((0, 2)))
    place = np.array([0.0, 0.0, 1.5])
    lidar = Lidar(tuple(np.linspace(-8.0, -0.3, 12)), steps=120)
    distance, _ = cast_ground(ground, place, 0.0, lidar)
    behind = 0
    for step in range(50, 70):
        for beam, elevation in enumerate(lidar.elevations):
            direction = (lidar.azimuths[step], math.radians(elevation))
            expected = first_ground(ground.height, place, direction, 0.004, 60.0)
            found = distance[beam * lidar.steps + step]
            assert (found > 59.9 and np.isinf(expected)) or abs(found - expected) < 0.1
            behind += np.isfinite(expected) and expected > 12
    assert behind > 10


@pytest.mark.parametrize("seed", range(4))
def test_rays_meet_the_ground_where_walking_along_them_does(seed):
    generator = np.random.default_rng(seed)
    ground = lay_out(CITY, generator).ground
    place = np.array([3.0, -2.0, float(ground.height(np.array(3.0), np.array(-2.0))) + 1.8])
    distance, _ = cast_ground(ground, place, 0.3, SMALL)
    wrong = 0
    for ray in generator.choice(np.flatnonzero(np.repeat(SMALL.tangents, SMALL.steps) < 0), 120, replace=False):
        beam, step = divmod(int(ray), SMALL.steps)
        direction = (SMALL.azimuths[step] + 0.3, math.radians(SMALL.elevations[beam]))
        expected = first_ground(ground.height, place, direction, 0.004, 119.0)
        found = distance[ray] if distance[ray] < 119.0 else np.inf
        wrong += not (found == expected or abs(found - expected) < 0.03)
    # The ground is sampled every 3% of the distance: a kerb seen over its edge may be met on the wrong side.
    assert wrong <= 3


@pytest.mark.parametrize(
    "options",
    [
        {"elevations": ()},
        {"elevations": (1.0, 0.0)},
        {"steps": 0},
        {"height": -1.0},
        {"drop_out": 1.0},
        {"range_noise": -1.0},
    ],
)
def test_impossible_lidars_are_refused(options):
    with pytest.raises(ValueError, match="got"):
        Lidar(**{"elevations": (0.0, 1.0), "steps": 10, **options})


def test_presets_have_the_beams_of_their_sensors():
    assert len(PANDAR64.elevations) == len(HDL64.elevations) == 64
    assert (PANDAR64.elevations[0], PANDAR64.elevations[-1]) == (-25.0, 14.88)
    assert (HDL64.elevations[0], HDL64.elevations[-1]) == (-23.6, 2.987)


def test_nothing_behind_a_wall_returns():
    hidden = random_solids(np.random.default_rng(2), 40)
    ring = [[a * 1.5, b * 1.5, 0.0] for a, b in ((1, 0), (-1, 0), (0, 1), (0, -1))]
    sizes = [[0.1, 1.6, 9.0], [0.1, 1.6, 9.0], [1.6, 0.1, 9.0], [1.6, 0.1, 9.0]]
    walls = table([BOX] * 4, ring, sizes)
    both = Primitives(**{name: np.concatenate([column, vars(hidden)[name]]) for name, column in vars(walls).items()})
    returns = cast(both, SMALL, np.random.default_rng(0))
    assert set(returns.primitive) == {0, 1, 2, 3}
