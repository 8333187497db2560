"""Files of published weights into ours and back: checked whole, written whole or not at all."""

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from spikevox.layers import ILIF, Neuron
from spikevox.layers.convert import (
    PUBLISHED,
    ConversionError,
    ConversionReport,
    Recognised,
    from_published,
    recognise,
    strip_wrappers,
    to_published,
)
from spikevox.tasks.atomic import write_atomically
from spikevox.tasks.build import build
from spikevox.tasks.checkpoint import load_strictly, read_plain, save_weights, versions
from spikevox.tasks.config import load_config, to_plain
from spikevox.tasks.errors import CheckpointError, ConfigError
from spikevox.tasks.predictor import load_described
from spikevox.tasks.published import EXPERIMENTS, KINDS, published_input, published_model
from spikevox.tasks.runner import describe
from spikevox.tasks.segmentation import Segmenter

CONTAINERS = {"pointcept": "state_dict", "openpcdet": "model_state"}
# What stands before names that the training code of each framework writes on one GPU.
_PREFIXES = {"pointcept": "backbone.", "openpcdet": ""}


# Backbones that are taken out of a file of a whole detector, and those detectors.
_ALONE = {"voxel8x": ("single_stage", "voxel_rcnn"), "voxelnext": ("voxelnext_detector",)}


class _Ignored:
    """Stands for numpy's numbers, such as a best score that is stored beside the weights: nobody needs it."""

    def __new__(cls, *_: Any) -> "_Ignored":
        return super().__new__(cls)

    def __setstate__(self, state: Any) -> None:
        pass


_STAND_INS = [
    (_Ignored, name)
    for name in (
        "numpy.core.multiarray.scalar",
        "numpy._core.multiarray.scalar",
        "numpy.dtype",
        "numpy.dtypes.Float64DType",
        "numpy.dtypes.Float32DType",
        "numpy.dtypes.Int64DType",
    )
]


class PublishedFile(NamedTuple):
    """Content of a published file.

    Attributes:
        framework: whose container it is.
        prefix: what stood before all names.
        tensors: without it.
    """

    framework: str
    prefix: str
    tensors: dict[str, Tensor]


def import_weights(
    path: str | Path,
    target: str | Path,
    *,
    framework: str = "auto",
    network: str = "auto",
    config: str | Path | None = None,
    spconv: int | None = None,
) -> ConversionReport:
    """A published file as weights of ours.

    Args:
        path: a file of Pointcept (``state_dict``) or OpenPCDet (``model_state``), written by ``torch.save``.
        target: ``.safetensors``.
        framework: ``"pointcept"``, ``"openpcdet"`` or ``"auto"``.
        network: ``"classifier"``, ``"segmenter"``, ``"single_stage"``, ``"voxel_rcnn"``, ``"voxelnext_detector"``; ``"voxel8x"``
            or ``"voxelnext"``, the 3D backbone of a detector, whose other parts are left out; or ``"auto"``, which leaves
            nothing out.
        config: experiment that the weights are for: its model, voxels and classes stand in the file, and its data has
            to be there. By default those of the published training.
        spconv: 1 or 2; by default what the shapes tell.

    Returns:
        What became of each tensor.

    Raises:
        CheckpointError: a file that is missing, truncated, of another form, or would run code.
        ConversionError: a network that is not known here, or tensors that do not fit it; nothing is written.
        ConfigError: options, a config or a number of features or classes that do not fit.
    """
    target = _target(path, target, weights=True)
    if network not in ("auto", *PUBLISHED):
        raise ConfigError(f"unknown network {network!r}; there are auto, {', '.join(PUBLISHED)}.")
    file = read_published(path, framework)
    found = _recognised(file, network, path)
    facts, notes = _experiment(found, config)
    model = build(facts.pop("network"))
    _check_neurons(model, str(config or path))
    options: dict[str, Any] = {"prefix": file.prefix, "spconv": spconv, "alone": network in _ALONE}
    conversion = _named(path, lambda: from_published(file.tensors, model.state_dict(), found.name, **options))
    load_strictly(model, conversion.tensors, str(path))
    report = conversion.report
    report.notes += [*notes, *_edge_note(model)]
    published = {"network": found.name, "prefix": file.prefix, "spconv": report.spconv, "file": Path(path).name}
    save_weights(target, model, {**facts, "seed": None, "published": published, "versions": versions()})
    return report


def export_weights(
    path: str | Path, target: str | Path, *, framework: str, spconv: int | None = None, prefix: str | None = None
) -> ConversionReport:
    """Weights of ours as a file that the published code loads.

    Args:
        path: weights or checkpoint of a Classifier, a Segmenter, a detector, or a Voxel8x or VoxelNeXtBackbone.
        target: the file.
        framework: ``"pointcept"`` or ``"openpcdet"``.
        spconv: 1 or 2; by default what the weights came from, 2 where they were trained here.
        prefix: put before every name; by default what the weights came with, or what the framework writes.

    Returns:
        What became of each tensor.

    Raises:
        CheckpointError: weights that cannot be read.
        ConversionError: tensors that the published network has no place for; nothing is written.
        ConfigError: options that do not fit, or a network that the framework does not have.
    """
    target = _target(path, target, weights=False)
    network, facts = load_described(path)
    if type(network) not in KINDS:
        raise ConfigError(f"{path} holds a {type(network).__name__}, which is none of the published networks.")
    name = KINDS[type(network)]
    _check_neurons(network, str(path))
    if framework != PUBLISHED[name].framework:
        raise ConfigError(
            f"{path} holds a {name}, which is a network of {PUBLISHED[name].framework}, not of {framework}."
        )
    # Absent in weights that were trained here.
    origin = facts.get("published")
    origin = origin if isinstance(origin, dict) else {}
    if prefix is None:
        prefix = str(origin.get("prefix", _PREFIXES[framework]))
    version = spconv or origin.get("spconv", 2)
    conversion = _named(path, lambda: to_published(network.state_dict(), name, prefix=prefix, spconv=version))
    conversion.report.notes += _edge_note(network)
    buffer = io.BytesIO()
    torch.save({CONTAINERS[framework]: conversion.tensors}, buffer)
    write_atomically(target, buffer.getvalue())
    return conversion.report


def read_published(path: str | Path, framework: str = "auto") -> PublishedFile:
    """Tensors of a published file, without what wrappers put before their names.

    Raises:
        CheckpointError: a file that is missing, truncated, of another form, or would run code.
        ConfigError: an unknown framework.
    """
    if framework not in ("auto", *CONTAINERS):
        raise ConfigError(f"unknown format {framework!r}; there are auto, {', '.join(CONTAINERS)}.")
    content = read_plain(path, stand_ins=_STAND_INS)
    keys = [str(key) for key in content] if isinstance(content, Mapping) else []
    wanted = list(CONTAINERS) if framework == "auto" else [framework]
    held = [name for name in wanted if CONTAINERS[name] in keys]
    if len(held) != 1:
        raise CheckpointError(
            f"{path} is no file of {' or '.join(wanted)}: it should hold {' or '.join(CONTAINERS[name] for name in wanted)} "
            f"and holds {', '.join(keys[:5]) or 'no names'}."
        )
    tensors = content[CONTAINERS[held[0]]]
    _check_tensors(tensors, str(path))
    prefix = strip_wrappers(tensors)
    return PublishedFile(held[0], prefix, {name[len(prefix) :]: tensor.detach() for name, tensor in tensors.items()})


def _check_tensors(tensors: Any, path: str) -> None:
    """Plain tensors under names, each no larger than what is stored of it."""
    if not isinstance(tensors, Mapping) or not tensors:
        raise CheckpointError(f"{path} holds no tensors where they should be.")
    for name, tensor in tensors.items():
        plain = type(tensor) in (Tensor, nn.Parameter) and tensor.layout == torch.strided and not tensor.is_quantized
        if not isinstance(name, str) or not plain or tensor.device.type != "cpu":
            raise CheckpointError(f"{path}: {name!r} is no plain tensor but {type(tensor).__name__}.")
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise CheckpointError(
                f"{path}: {name} claims {tuple(tensor.shape)}, more than is stored of it; such a file is damaged or made to "
                "fill the memory."
            )


def _recognised(file: PublishedFile, network: str, path: str | Path) -> Recognised:
    found = _named(path, lambda: recognise(file.tensors))
    if found.name in _ALONE.get(network, ()):
        found = found._replace(name=network, num_classes=None)
    if network not in ("auto", found.name):
        raise ConversionError(f"{path} holds a {found.name}, not a {network}.")
    if PUBLISHED[found.name].framework != file.framework:
        raise ConversionError(f"{path} is a file of {file.framework}, but its names are those of another framework.")
    return found


def _named(path: str | Path, convert: Callable[[], Any]) -> Any:
    """The file's name in front of what goes wrong with its tensors."""
    try:
        return convert()
    except ConversionError as error:
        report = error.report
        raise ConversionError(f"{path}: {error}{_advice(report)}", report) from error


def _advice(report: ConversionReport | None) -> str:
    """Where only the parts of a detector behind its 3D backbone do not fit."""
    if report is None or report.framework != "openpcdet":
        return ""
    faults = [*report.missing, *report.unexpected, *report.shapes, *report.not_finite]
    if not faults or any(fault.startswith("backbone_3d.") for fault in faults):
        return ""
    backbone = "voxelnext" if report.network.startswith("voxelnext") else "voxel8x"
    return f"\nThese are no heads known here: --network {backbone} converts the 3D backbone alone."


def _experiment(found: Recognised, config: str | Path | None) -> tuple[dict[str, Any], list[str]]:
    """Facts of a weights file with the model to build under ``"network"``, and notes for the report."""
    if config is None:
        network = published_model(found)
        note = EXPERIMENTS[found.name].note
        return {**published_input(found), "network": network, "model": to_plain(network)}, [note] if note else []
    loaded = load_config(config)
    model = loaded["model"]
    if KINDS.get(model["type"]) != found.name:
        raise ConfigError(f"{config} is for a {model['type'].__name__}, the file holds a {found.name}.")
    facts = describe(loaded, build(loaded["train_dataloader"]["dataset"]))
    kept = {key: facts[key] for key in ("model", "voxels", "class_names")}
    return {**kept, "network": dict(model)}, []


def _edge_note(network: Any) -> list[str]:
    """Where our network keeps voxels that the published one leaves out."""
    if not isinstance(network, Segmenter) or network.backbone.down[0][0].conv.extent is not None:
        return []
    return [
        "the published network leaves out the last voxels of an odd extent, this one keeps them: UNet(grid='input') leaves "
        "them out too"
    ]


def _check_neurons(network: Any, source: str) -> None:
    """The published code has its neurons built in: I-LIF of four levels, one time step."""
    neurons = [m for m in network.modules() if isinstance(m, Neuron)]
    if any(type(m) is not ILIF or m.levels != 4 for m in neurons) or getattr(network, "time_steps", 1) != 1:
        raise ConfigError(
            f"{source}: the published networks have ILIF(levels=4) in one time step, this one has "
            f"{', '.join(sorted({repr(m) for m in neurons}))} in {getattr(network, 'time_steps', 1)}."
        )


def _target(path: str | Path, target: str | Path, *, weights: bool) -> Path:
    target = Path(target)
    if (target.suffix == ".safetensors") is not weights:
        raise ConfigError(
            f"{target}: weights of ours are written as .safetensors, files for the published code as .pth or .pt."
        )
    if target.resolve() == Path(path).resolve():
        raise ConfigError(f"{target} is the file that is read: write to another.")
    return target
