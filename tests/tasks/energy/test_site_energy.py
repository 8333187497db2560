"""Energy site by site: against loops over sites, and against the counts of whole layers."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from spikevox.layers import ILIF, SparseConv3d, SparseTensor, SubmanifoldConv3d
from spikevox.layers.backbones import UNet
from spikevox.layers.energy import count_operations, load_table
from spikevox.tasks import cli, load_config
from spikevox.tasks.energy import SiteEnergyRecorder, measure_energy, site_energy_scenes
from spikevox.tasks.errors import ConfigError

TINY = str(Path(__file__).resolve().parents[2] / "robustness" / "tiny.py")
ARITHMETIC = load_table("horowitz_45nm").arithmetic["float32"]
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::ResourceWarning")


def tensor(channels=3, steps=None):
    generator = np.random.default_rng(0)
    cells = np.unique(generator.integers(0, 9, (150, 3)), axis=0)
    shape = (len(cells), channels) if steps is None else (steps, len(cells), channels)
    features = torch.tensor(2 * generator.normal(size=shape), dtype=torch.float32)
    return SparseTensor(features, torch.tensor(np.insert(cells, 0, 0, axis=1)), batch_size=1, time_steps=steps)


@torch.no_grad()
def test_a_site_costs_its_spikes_times_its_neighbours_times_the_channels():
    """By hand: 0.9 pJ an addition, 4.6 pJ a multiplication with addition (Horowitz 2014, 45 nm)."""
    model = nn.Sequential(SubmanifoldConv3d(3, 4), ILIF(levels=4), SparseConv3d(4, 5, kernel_size=2, stride=2))
    x = tensor()
    with SiteEnergyRecorder(model, {"0": "reals", "2": "spikes"}, ARITHMETIC) as recorder:
        model(x)
    stem, strided = recorder.found
    sites = {tuple(row) for row in x.coordinates[:, 1:].tolist()}
    spikes = model[1](model[0](x)).features.tolist()
    for row, place in enumerate(x.coordinates[:, 1:].tolist()):
        near = [(place[0] + i, place[1] + j, place[2] + k) for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1)]
        neighbours = sum(other in sites for other in near)
        assert stem.energy[row] == pytest.approx(neighbours * 3 * 4 * 4.6)
        # Of a kernel as wide as its stride, each site has one.
        assert strided.energy[row] == pytest.approx(sum(spikes[row]) * 5 * 0.9)
    assert stem.coordinates.tolist() == x.coordinates[:, 1:].tolist()


@pytest.mark.parametrize("steps", [None, 2])
@torch.no_grad()
def test_sites_add_up_to_the_counts_of_each_layer(steps):
    torch.manual_seed(0)
    model = UNet(in_channels=3, size="small", batch_norm_momentum=1.0)
    x = tensor(steps=steps)
    model.train()(x)
    counts = count_operations(model, x)
    layers = {layer.name: layer for layer in counts.layers if layer.reads}
    with SiteEnergyRecorder(
        model.eval(), {name: layer.reads for name, layer in layers.items()}, ARITHMETIC
    ) as recorder:
        model(x)
    assert [site.name for site in recorder.found] == list(layers)
    assert sum(layer.acs for layer in layers.values()) > 0
    for site in recorder.found:
        layer = layers[site.name]
        expected = layer.acs * 0.9 if layer.reads == "spikes" else layer.macs * 4.6
        assert site.energy.sum() == pytest.approx(expected)
    model(x)
    assert len(recorder.found) == len(layers)


def test_the_command_writes_a_page_whose_energies_are_those_of_the_report(tmp_path, capsys):
    work, page = str(tmp_path / "run"), tmp_path / "energy.html"
    assert cli.main(["train", TINY, "--work-dir", work, "--set", "train_cfg.max_epochs=1"]) == 0
    weights = f"{work}/weights.safetensors"
    assert cli.main(["energy", TINY, weights, "--samples", "1", "--html", str(page)]) == 0
    assert "energy.html, " in capsys.readouterr().out
    scenes = json.loads(re.search(r'id="manifest">([^<]*)<', page.read_text(encoding="utf-8"))[1])["scenes"]
    assert len(scenes) == 1
    assert sum(layer["shown"] for layer in scenes[0]["layers"]) == 1
    (scene,) = site_energy_scenes(load_config(TINY), weights, samples=[0])
    report = measure_energy(load_config(TINY), weights, samples=1)
    rows = {row.name: row.picojoules["spiking"].synaptic for row in report.layers if row.reads}
    assert {layer.name: layer.fields["energy"].data.sum() for layer in scene.layers} == pytest.approx(rows)
    with pytest.raises(ConfigError, match="there is no sample 20; GeneratedShapes has 20"):
        next(site_energy_scenes(load_config(TINY), weights, samples=[20]))
