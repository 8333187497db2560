import re

import numpy as np
import pytest

from spikevox.encoding import SpikevoxError
from spikevox.tasks.errors import ViewError
from spikevox.tasks.view import (
    BoxLayer,
    Classes,
    PointLayer,
    Scene,
    SiteEnergy,
    SpikeLayer,
    Values,
    VoxelLayer,
    energy_scene,
    save_page,
)

CENTRES = np.zeros((2, 3))
SPIKES = np.ones((1, 2, 2), int)
WRONG = [
    (lambda: PointLayer("scan", np.zeros((0, 3))), "scan has no points"),
    (lambda: PointLayer("scan", np.zeros((4, 2))), "places of scan must be numbers (N, 3), got float64 (4, 2)"),
    (lambda: PointLayer("scan", np.array([["a"] * 3])), "places of scan must be numbers"),
    (
        lambda: PointLayer("scan", [[0, 0, np.nan], [1, 1, 1]]),
        "1 of 2 places of scan are NaN or infinite (first rows: [0])",
    ),
    (lambda: PointLayer("scan", [[0, 0, 2e6]]), "1 of 1 places reach 1e+06 m"),
    (lambda: PointLayer("scan", CENTRES, {"range": Values(np.zeros(3))}), "2 places and 3 rows of 'range'"),
    (lambda: Values([1.0, np.inf]), "1 of 2 values are NaN or infinite"),
    (lambda: Values(np.zeros((2, 2))), "values must be numbers (N)"),
    (lambda: Classes(np.zeros(2), ["a"]), "classes must be whole numbers (N,), got float64 (2,)"),
    (lambda: Classes(np.array([0, 1, -2]), ["a"]), "2 of 3 classes lie outside -1 to 0"),
    (lambda: VoxelLayer("grid", CENTRES, 0), "grid: size must be one or three positive numbers"),
    (lambda: VoxelLayer("grid", CENTRES, (1, 2)), "grid: size must be one or three positive numbers"),
    (lambda: VoxelLayer("grid", CENTRES, np.nan), "grid: size must be one or three positive numbers"),
    (
        lambda: SpikeLayer("neuron", CENTRES, 1, np.ones((2, 2), int), 3),
        "counts must be whole numbers (time steps, levels, 2)",
    ),
    (lambda: SpikeLayer("neuron", CENTRES, 1, np.ones((1, 1, 2)), 3), "counts must be whole numbers"),
    (lambda: SpikeLayer("neuron", CENTRES, 1, SPIKES, 0), "1 to 65535 channels"),
    (lambda: SpikeLayer("neuron", CENTRES, 1, 4 * SPIKES, 3), "counts lie in 0 to 3"),
    (lambda: SpikeLayer("neuron", CENTRES, 1, -SPIKES, 3), "counts lie in 0 to 3"),
    (lambda: SpikeLayer("neuron", CENTRES, 1, np.array([[[1, 1], [1, 2]]]), 3), "never grow with the level"),
    (lambda: BoxLayer("cars", np.zeros((1, 6))), "cars must have shape (B, 7)"),
    (lambda: BoxLayer("cars", [[np.nan] * 7]), "1 of 1 cars have numbers that are not finite"),
    (lambda: BoxLayer("cars", [[2e6, 0, 0, 1, 1, 1, 0]]), "cars: a box reaches beyond 1e+06 m"),
    (lambda: BoxLayer("cars", np.ones((2, 7)), ["a"]), "2 boxes and 1 texts"),
    (lambda: Scene("empty", []), "empty: a scene needs at least one layer"),
    (
        lambda: Scene("twice", [PointLayer("a", CENTRES), PointLayer("a", CENTRES)]),
        "two layers of one kind are called 'a'",
    ),
    (lambda: save_page("page.html", []), "a page needs at least one scene"),
    (
        lambda: save_page("page.html", [Scene("odd", ["points"])]),
        "a scene shows layers of points, voxels, spikes and boxes",
    ),
    (lambda: energy_scene("none", []), "none: no layer has sites"),
    (
        lambda: energy_scene("less", [SiteEnergy("conv", CENTRES.astype(int), (1, 1, 1), [1, -1])]),
        "conv: an energy is at least 0",
    ),
]


@pytest.mark.parametrize(("make", "text"), WRONG, ids=[text for _, text in WRONG])
def test_what_cannot_be_shown_is_refused_with_its_name_and_rows(make, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ViewError, match=re.escape(text)) as error:
        make()
    assert isinstance(error.value, SpikevoxError)
    assert list(tmp_path.iterdir()) == []


def test_points_without_fields_are_coloured_by_height_and_no_box_is_no_fault():
    cloud = PointLayer("scan", np.array([[0, 0, 5], [1, 1, 7]], np.int32))
    assert cloud.fields["height"].data.tolist() == [5, 7]
    assert len(BoxLayer("found", np.zeros((0, 7))).boxes) == 0


def test_energy_lies_where_the_sites_are_and_the_dearest_layer_is_shown():
    """Middles by hand: a site at 2 of stride 2 and voxels of half a metre from -1 on covers 0 to 1 m."""
    layers = [
        SiteEnergy("cheap", np.array([[0, 0, 0]]), (1, 1, 1), np.array([1.0])),
        SiteEnergy("dear", np.array([[2, 2, 2], [4, 2, 2]]), (2, 2, 2), np.array([2e6, 1e6])),
        SiteEnergy("none", np.zeros((0, 3), int), (4, 4, 4), np.zeros(0)),
    ]
    scene = energy_scene("shape", layers, corner=(-1, -1, -1), voxel_size=(0.5, 0.5, 0.5), xyz=np.zeros((1, 3)))
    assert [(layer.name, layer.shown) for layer in scene.layers] == [
        ("cheap", False),
        ("dear", True),
        ("points", False),
    ]
    assert scene.layers[1].centres.tolist() == [[0.5, 0.5, 0.5], [1.5, 0.5, 0.5]]
    assert scene.layers[1].size == (1, 1, 1)
    assert scene.layers[1].fields["energy"].unit == "pJ"
    assert scene.notes == ["3 µJ on 3 sites of 2 layers"]
