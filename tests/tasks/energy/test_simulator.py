"""What the event simulator counts while it replays spikes is what is counted here for the same spikes, on trained networks."""

from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from spikevox.encoding import collate
from spikevox.layers import SparseTensor, native
from spikevox.layers.deploy import record_events, simulate, to_integer
from spikevox.layers.energy import count_operations
from spikevox.tasks.build import build
from spikevox.tasks.config import load_config
from spikevox.tasks.predictor import load_described
from spikevox.tasks.session import test_options as options_of_test

APPS = Path(__file__).resolve().parents[3] / "apps"


@contextmanager
def firing(network, emitted):
    """Neurons emit what they are told: those of the network in integers, which differ from the float network's."""

    def hook(name):
        return lambda _module, _inputs, output: output.replace(emitted[name])

    handles = [m.register_forward_hook(hook(n)) for n, m in network.named_modules() if n in emitted]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def compare(network, call, x):
    integers = to_integer(network, [x], call=call)
    result = integers(x)
    found = simulate(integers.program, record_events(integers.program, result.tables, result.sites, x.batch_size))
    assert found.unequal == 0
    sources = {layer.name.split(" ")[0]: layer.sources for layer in integers.program.layers}
    neuron, emitted = None, {}
    for layer in count_operations(network, x, call=call).layers:
        if layer.kind == "neuron":
            neuron = layer.name
        elif layer.reads == "spikes":
            # Channels side by side are tables of their own in the program.
            tables = [result.tables[source.table] for source in sources[layer.name]]
            emitted[neuron] = torch.from_numpy(np.concatenate(tables, axis=1).astype(np.float32))
    with firing(network, emitted):
        counts = count_operations(network, x, call=call)
    traces = {trace.name.split(" ")[0]: trace for trace in found.layers}
    compared = 0
    for layer in counts.weighted():
        trace = traces[layer.name]
        assert (trace.additions, trace.products) == ((layer.acs, 0) if layer.reads == "spikes" else (0, layer.macs))
        assert trace.events == layer.spikes
        compared += layer.acs
    assert compared == sum(trace.additions for trace in found.layers) > 0


def tensor(dataset, rows):
    samples = [dataset[i] for i in rows]
    batch = collate(samples) if hasattr(samples[0], "coordinates") else dataset.validation_batch(samples)
    backend = "compiled" if native.available() else "torch_ops"
    return SparseTensor(batch.features, batch.coordinates, batch_size=len(rows), backend=backend)


def test_shapes_of_modelnet10(data):
    data("modelnet10")
    dataset = build(options_of_test(load_config(APPS / "modelnet" / "classify_t.py", [])))
    network, _ = load_described(APPS / "modelnet" / "weights" / "classify_t.safetensors")
    compare(network.eval(), network.logits, tensor(dataset, range(0, len(dataset), 91)))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["segment", "detect"])
def test_generated_streets(name):
    """Of a detector, its sparse backbone."""
    dataset = build(options_of_test(load_config(APPS / "synthetic" / f"{name}.py", [])))
    network, _ = load_described(APPS / "synthetic" / "weights" / f"{name}.safetensors")
    call = network.backbone if name == "detect" else lambda x: network.head(network.backbone(x))
    compare(network.eval(), call, tensor(dataset, [0]))
