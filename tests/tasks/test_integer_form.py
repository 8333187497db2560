"""Shipped networks in integers: as accurate on ModelNet10, and the same to the last bit in torch, numpy and C."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from layers.deploy.test_player import COMPILER, compiled, results
from spikevox.encoding import collate
from spikevox.layers import SparseTensor, native
from spikevox.layers.deploy import load_pack, record_events, save_events, save_pack, simulate, to_integer
from spikevox.tasks import load_predictor
from spikevox.tasks.build import build
from spikevox.tasks.config import load_config
from spikevox.tasks.datasets import GeneratedShapes
from spikevox.tasks.predictor import load_described
from spikevox.tasks.session import test_options as options_of_test

APPS = Path(__file__).resolve().parents[2] / "apps"


def tensor(dataset, rows):
    batch = collate([dataset[i] for i in rows])
    backend = "compiled" if native.available() else "torch_ops"
    return SparseTensor(batch.features, batch.coordinates, batch_size=batch.batch_size, backend=backend)


@pytest.fixture
def modelnet(data):
    data("modelnet10")
    config = load_config(APPS / "modelnet" / "classify_t.py", [])
    test = options_of_test(config)
    training = {**config["train_dataloader"]["dataset"], "transforms": test["transforms"], "random_margin": 0}
    return build(training), build(test)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["classify_t", "classify_t_sparse"])
def test_accuracy_is_within_half_a_point_of_float(modelnet, name):
    training, test = modelnet
    network = load_predictor(APPS / "modelnet" / "weights" / f"{name}.safetensors").network
    integers = to_integer(network, [tensor(training, range(0, len(training), 125))], call=network.logits)
    right = np.zeros(2)
    for start in range(0, len(test), 64):
        rows = range(start, min(start + 64, len(test)))
        x = tensor(test, rows)
        with torch.no_grad():
            logits = network.logits(x), integers(x).output
        right += [(one.argmax(dim=1).numpy() == test.labels()[rows]).sum() for one in logits]
    assert right[0] / len(test) > 0.92
    assert (right[0] - right[1]) / len(test) <= 0.005


@pytest.mark.skipif(COMPILER is None, reason="there is no C compiler (cc)")
@pytest.mark.parametrize("count", [4, pytest.param(100, marks=pytest.mark.slow)])
def test_logits_are_equal_bit_for_bit_in_torch_numpy_and_c(request, tmp_path, count):
    network = load_predictor(APPS / "modelnet" / "weights" / "classify_t.safetensors").network
    try:
        dataset = request.getfixturevalue("modelnet")[1]
        rows = range(0, 7 * count, 7)
    except pytest.skip.Exception:
        # No data is at hand: shapes that are made here.
        grid = {"voxel_size": 0.05, "origin": "minimum"}
        dataset, rows = GeneratedShapes("test", count=count, grid=grid, features=("xyz", "offset")), range(count)
    integers = to_integer(network, [tensor(dataset, rows[:8])], call=network.logits)
    save_pack(integers.program, tmp_path / "pack.npz")
    program = load_pack(tmp_path / "pack.npz")
    paths, in_torch, in_numpy = [], [], []
    for row in rows:
        x = tensor(dataset, [row])
        result = integers(x)
        events = record_events(program, result.tables, result.sites, 1)
        found = simulate(program, events)
        assert found.unequal == 0
        assert found.compared > 1000
        in_torch.append(result.output.numpy())
        in_numpy.append(found.outputs[0])
        paths.append(tmp_path / f"{row}.events")
        save_events(events, paths[-1])
    player = compiled(tmp_path, "-O2")
    subprocess.run([player, tmp_path / "pack.npz", tmp_path / "out", *paths], check=True)
    in_c = list(results(tmp_path / "out"))
    assert len(in_c) == len(in_numpy) == count
    for one, two, three in zip(in_torch, in_numpy, in_c, strict=True):
        assert one.tobytes() == two.tobytes() == three.tobytes()
    assert len({one.tobytes() for one in in_c}) == count
    shutil.rmtree(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["segment", "detect"])
def test_street_networks_fire_the_same_spikes_in_torch_and_numpy(name):
    """And in their binary form in integers; of a detector, its sparse backbone."""
    dataset = build(options_of_test(load_config(APPS / "synthetic" / f"{name}.py", [])))
    network = load_described(APPS / "synthetic" / "weights" / f"{name}.safetensors")[0]
    sample = dataset[0]
    batch = collate([sample]) if hasattr(sample, "coordinates") else dataset.validation_batch([sample])
    x = SparseTensor(batch.features, batch.coordinates, batch_size=1, backend="torch_ops")
    call = network.backbone if name == "detect" else lambda x: network.head(network.backbone(x))
    integers = to_integer(network, [x], call=call)
    result, binary = integers(x), integers(x, binary=True)
    assert all(np.array_equal(one, other) for one, other in zip(result.tables, binary.tables, strict=True))
    events = record_events(integers.program, result.tables, result.sites, 1)
    found = simulate(integers.program, events)
    assert found.unequal == 0
    assert found.compared > 100_000
    assert sum(layer.additions for layer in found.layers) > 10**8
