"""From trained weights to files for hardware: an integer weight pack, a NIR graph, a list of events."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from spikevox.encoding import collate
from spikevox.layers import SparseTensor
from spikevox.layers.deploy import IntegerNetwork, record_events, save_events, save_pack, to_integer
from spikevox.tasks.atomic import write_atomically
from spikevox.tasks.build import build
from spikevox.tasks.classification import Classifier
from spikevox.tasks.detection import SingleStageDetector, VoxelNeXt
from spikevox.tasks.errors import ConfigError
from spikevox.tasks.segmentation import Segmenter
from spikevox.tasks.session import load_network
from spikevox.tasks.session import test_options as options_of_test

FORMATS = ("pack", "nir", "events")
_BATCH = 16


class Exportable(NamedTuple):
    """A trained network and the part of it that is sparse and spikes.

    Attributes:
        network: whole.
        call: the part: takes a SparseTensor.
        what: the part in words.
        facts: of its weights.
        training: data set of the training split.
        test: data set of the test split.
    """

    network: nn.Module
    call: Callable[[Any], Any]
    what: str
    facts: dict[str, Any]
    training: Any
    test: Any

    def tensor(self, dataset: Any, rows: range) -> SparseTensor:
        """Voxels of samples as the network takes them."""
        samples = [dataset[row] for row in rows]
        batch = collate(samples) if hasattr(samples[0], "coordinates") else dataset.validation_batch(samples)
        batch = getattr(batch, "voxels", batch)
        backend = getattr(self.network, "backend", None)
        return SparseTensor(batch.features, batch.coordinates, batch_size=batch.batch_size, backend=backend)

    def integers(self, samples: int) -> IntegerNetwork:
        """The part in integers, calibrated on so many training samples, evenly spread."""
        count = min(samples, len(self.training))
        rows = [i * len(self.training) // count for i in range(count)]
        calibration = [self.tensor(self.training, range(row, row + 1)) for row in rows]
        facts: dict[str, Any] = {"part": self.what}
        facts |= {key: self.facts[key] for key in ("class_names", "voxels") if key in self.facts}
        return to_integer(self.network, calibration, call=self.call, facts=facts)


def load_exportable(config: Mapping[str, Any], weights: str | Path) -> Exportable:
    """A network with its weights, and the part of it that can be exported.

    Raises:
        CheckpointError: weights that do not fit the config.
        ConfigError: no test split, or a kind of network whose sparse part is not known.
    """
    test = build(options_of_test(config))
    training = build(dict(config["train_dataloader"]["dataset"]))
    network, facts = load_network(config, weights, test)
    return Exportable(network.eval(), *_part(network), facts, training, test)


def _part(network: Any) -> tuple[Callable[[Any], Any], str]:
    if isinstance(network, Classifier):
        return network.logits, "classifier, voxels to logits"
    if isinstance(network, Segmenter):
        return lambda x: network.head(network.backbone(x)), "segmenter, voxels to logits of each"
    if isinstance(network, SingleStageDetector):
        return network.backbone, "sparse backbone of a detector, voxels to spikes and membranes"
    if isinstance(network, VoxelNeXt):
        return network.backbone.volume, "3D part of a detector's backbone, voxels to membranes at three strides"
    raise ConfigError(f"{type(network).__name__}: it is not known which part of it is sparse.")


def export_network(
    config: Mapping[str, Any],
    weights: str | Path,
    kind: str,
    out: str | Path,
    *,
    samples: int = 32,
    index: int = 0,
) -> Iterator[str]:
    """Writes a file of a trained network.

    Args:
        config: from :func:`spikevox.tasks.config.load_config`.
        weights: .safetensors or checkpoint.
        kind: ``"pack"``, ``"nir"`` or ``"events"``.
        out: the file.
        samples: training samples that set the fixed point of the input, for ``"pack"`` and ``"events"``.
        index: test sample whose events are written.

    Yields:
        Lines that tell what was written.

    Raises:
        ConfigError: an unknown kind, or a sample that is not there.
        GraphError: a network without such a form.
    """
    if kind not in FORMATS:
        raise ConfigError(f"unknown format {kind!r}; there are {', '.join(FORMATS)}.")
    known = load_exportable(config, weights)
    yield f"part: {known.what}"
    if kind == "nir":
        from spikevox.layers.deploy import to_nir, write_nir

        graph = to_nir(known.network, call=known.call)
        _write(out, lambda path: write_nir(graph, path))
        yield f"{len(graph.nodes)} nodes, {len(graph.edges)} edges"
    else:
        integers = known.integers(samples)
        yield from _write_integers(known, integers, kind, out, index)
    yield f"written: {out}"


def _write_integers(
    known: Exportable, integers: IntegerNetwork, kind: str, out: str | Path, index: int
) -> Iterator[str]:
    if kind == "pack":
        _write(out, lambda path: save_pack(integers.program, path))
        count = sum(source.weight.size for layer in integers.program.layers for source in layer.sources)
        yield f"{len(integers.program.layers)} layers, {count} weights of int8; no sum can overflow"
        return
    if not 0 <= index < len(known.test):
        raise ConfigError(f"the test split has samples 0 to {len(known.test) - 1}, not {index}.")
    x = known.tensor(known.test, range(index, index + 1))
    result = integers(x)
    events = record_events(integers.program, result.tables, result.sites, x.batch_size)
    _write(out, lambda path: save_events(events, path))
    fired = sum(int(stream.value.astype(int).sum()) for stream in events.streams if stream.levels)
    yield f"sample {index}: {len(x)} voxels, {fired} spikes in {len(events.streams) - 1} tables of neurons"


def _write(out: str | Path, write: Callable[[Path], None]) -> None:
    """Writes a file whole or not at all."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        write(path)
        write_atomically(Path(out), path.read_bytes())


@torch.no_grad()
def score_integers(config: Mapping[str, Any], weights: str | Path, *, samples: int = 32) -> tuple[float, float]:
    """Accuracy of a classifier on its test split, in floating point and in integers.

    Raises:
        ConfigError: a network that does not classify whole clouds.
    """
    known = load_exportable(config, weights)
    if not isinstance(known.network, Classifier):
        raise ConfigError(f"the accuracy in integers is that of classifiers, not of {type(known.network).__name__}.")
    integers = known.integers(samples)
    labels = torch.as_tensor(known.test.labels())
    right = torch.zeros(2, dtype=torch.int64)
    for start in range(0, len(known.test), _BATCH):
        rows = range(start, min(start + _BATCH, len(known.test)))
        x = known.tensor(known.test, rows)
        logits = known.call(x), integers(x).output
        right += torch.stack([(one.argmax(dim=1) == labels[rows.start : rows.stop]).sum() for one in logits])
    floating, whole = (right / len(known.test)).tolist()
    return floating, whole
