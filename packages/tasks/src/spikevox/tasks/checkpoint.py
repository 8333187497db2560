"""Checkpoints of plain types, written whole or not at all; weights that carry what shapes do not tell."""

import io
import json
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from spikevox.layers import Neuron
from spikevox.tasks.atomic import write_atomically
from spikevox.tasks.errors import CheckpointError

FORMAT = 1
# Training options: a network with other values of these is still the same network.
_FREE = ("label_smoothing", "batch_norm_momentum", "synchronise", "backend", "class_weights", "lovasz")


def save_checkpoint(path: Path, content: Mapping[str, Any]) -> None:
    """Stores tensors, numbers, strings, lists and dicts."""
    buffer = io.BytesIO()
    torch.save(dict(content), buffer)
    write_atomically(path, buffer.getvalue())


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """Reads a checkpoint without running any code that it may hold.

    Raises:
        CheckpointError: a file that is missing, truncated, or holds more than plain types.
    """
    content = read_plain(path)
    if not isinstance(content, dict) or "state_dict" not in content:
        raise CheckpointError(f"{path} holds no 'state_dict'; it is no checkpoint of spikevox.")
    return content


def read_plain(path: str | Path, *, stand_ins: Sequence[tuple[Any, str]] = ()) -> Any:
    """What ``torch.save`` stored, without running any code that it may hold.

    Args:
        path: the file.
        stand_ins: classes that take the place of others, with the full names of those.

    Raises:
        CheckpointError: a file that is missing, truncated, or holds more than plain types.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path} is not there.")
    try:
        with torch.serialization.safe_globals(list(stand_ins)):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(
            f"{path} cannot be read as a checkpoint ({reason}). It is truncated, or holds objects "
            "that are no plain tensors, numbers and strings; such files are refused, as loading them runs code."
        ) from error


def versions() -> dict[str, str]:
    """Versions of what a result depends on."""
    result = {"python": platform.python_version()}
    for name in (
        "spikevox-encoding",
        "spikevox-layers",
        "spikevox-tasks",
        "torch",
        "numpy",
        "mmengine",
        "MinkowskiEngine",
    ):
        try:
            result[name] = version(name)
        except PackageNotFoundError:
            result[name] = "absent"
    return result


def neuron_facts(network: nn.Module) -> list[str]:
    """Every kind of neuron in a network with its parameters, as text."""
    return sorted({f"{type(m).__name__}({m.extra_repr()})" for m in network.modules() if isinstance(m, Neuron)})


def describe_network(network: nn.Module, facts: Mapping[str, Any]) -> str:
    """Facts about a network, its input and its training, with those that its shapes do not tell, as JSON."""
    return json.dumps({"format": FORMAT, "neurons": neuron_facts(network), **facts}, sort_keys=True)


def save_weights(
    path: str | Path, network: nn.Module, facts: Mapping[str, Any], *, tensors: Mapping[str, Tensor] | None = None
) -> None:
    """Stores weights as safetensors with their description.

    Args:
        path: the file.
        network: whose neurons are described.
        facts: further JSON types, see :func:`describe_network`.
        tensors: weights to store in place of the network's own, such as averaged ones.
    """
    kept = {name: value.contiguous() for name, value in (tensors or network.state_dict()).items()}
    write_atomically(Path(path), save_tensors(kept, metadata={"spikevox": describe_network(network, facts)}))


def read_weights(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights and facts of a file written by :func:`save_weights`, or of a training's checkpoint (``.pth``).

    Raises:
        CheckpointError: a file that is missing, truncated, or of another origin.
    """
    path = Path(path)
    if path.suffix == ".pth":
        content = load_checkpoint(path)
        return content["state_dict"], _parse_facts(content.get("facts"), path)
    if not path.is_file():
        raise CheckpointError(f"{path} is not there.")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a mapping)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} cannot be read as safetensors ({error}); it may be truncated.") from error
    return tensors, _parse_facts(metadata.get("spikevox"), path)


def _parse_facts(text: Any, path: Path) -> dict[str, Any]:
    if not isinstance(text, str):
        raise CheckpointError(f"{path} carries no description of its network: it was not written by spikevox.")
    try:
        facts = json.loads(text)
    except ValueError as error:
        raise CheckpointError(f"{path}: the description of its network is damaged ({error}).") from error
    found = facts.get("format") if isinstance(facts, dict) else None
    if found != FORMAT:
        raise CheckpointError(f"{path} has format {found}, this version reads {FORMAT}.")
    return facts


def load_strictly(network: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    """Puts weights into a network that has exactly these names and shapes.

    Raises:
        CheckpointError: a report of what is missing, unexpected or of another shape; nothing is loaded then.
    """
    own = network.state_dict()
    missing = sorted(set(own) - set(tensors))
    unexpected = sorted(set(tensors) - set(own))
    shapes = sorted(
        f"{name}: {tuple(tensors[name].shape)} in the file, {tuple(own[name].shape)} in the network"
        for name in set(own) & set(tensors)
        if own[name].shape != tensors[name].shape
    )
    if missing or unexpected or shapes:
        matched = len(set(own) & set(tensors)) - len(shapes)
        raise CheckpointError(
            f"{source} does not fit the network: {matched} of {len(own)} tensors match; missing {_first(missing)}; "
            f"unexpected {_first(unexpected)}; shapes {_first(shapes)}."
        )
    network.load_state_dict(dict(tensors))


def _first(names: list[str]) -> str:
    return f"{len(names)} {names[:3]}" if names else "0"


def load_weights(network: nn.Module, path: str | Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Puts the weights of a file into a network for which they were made, and returns the file's description.

    Args:
        network: the network.
        path: as for :func:`read_weights`.
        facts: of the experiment; its model, voxels and class names must be the file's, and the network's neurons.

    Raises:
        CheckpointError: the file cannot be read, or was made for another network, input or classes.
    """
    tensors, stored = read_weights(path)
    wanted = {key: facts[key] for key in ("model", "voxels", "class_names")}
    check_facts(stored, {**wanted, "neurons": neuron_facts(network)}, str(path))
    load_strictly(network, tensors, str(path))
    return stored


def load_start(network: nn.Module, path: str | Path, facts: Mapping[str, Any]) -> None:
    """Puts weights that a training is to begin with into a network: its own kind's, or those of its first stage alone.

    A network that has a ``first_stage`` takes a file of that too, and leaves its other parts as they are.

    Raises:
        CheckpointError: as :func:`load_weights`.
    """
    make = getattr(network, "first_stage", None)
    stored: Mapping[str, Any] = read_weights(path)[1].get("model") or {}
    first = None if make is None else make()
    if first is None or stored.get("type") != _name_of(type(first)):
        load_weights(network, path, facts)
        return
    shared = {name for name, _ in first.named_children()}
    model = {key: value for key, value in facts["model"].items() if key in shared}
    options = {key: value for key, value in stored.items() if key not in shared}
    load_weights(first, path, {**facts, "model": {**options, **model}})


def _name_of(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


def check_facts(stored: Mapping[str, Any], wanted: Mapping[str, Any], source: str) -> None:
    """Compares what a file says of its network and input with a configuration.

    Raises:
        CheckpointError: they differ; both sides of every difference are named.
    """
    differences: list[str] = []
    for key, value in wanted.items():
        _compare(stored.get(key), value, key, differences)
    if differences:
        raise CheckpointError(f"{source} was made for another network or input: " + "; ".join(differences) + ".")


def _compare(stored: Any, wanted: Any, where: str, differences: list[str]) -> None:
    if isinstance(stored, dict) and isinstance(wanted, dict):
        for key in sorted(set(stored) | set(wanted)):
            if key not in _FREE:
                _compare(stored.get(key), wanted.get(key), f"{where}.{key}", differences)
    elif stored != wanted:
        differences.append(f"{where} is {stored!r} in the file and {wanted!r} in the config")
