"""What an experiment may hold: its sections, and the keywords of every class that it names."""

import inspect
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from spikevox.tasks.errors import ConfigError

KEYS = (
    "model",
    "train_dataloader",
    "val_dataloader",
    "test_dataloader",
    "train_cfg",
    "optim_wrapper",
    "param_scheduler",
    "custom_hooks",
    "randomness",
    "spike_rate",
    "distillation",
    "vote_transforms",
)
REQUIRED = ("model", "train_dataloader", "train_cfg", "optim_wrapper")
# mmengine's other keys: the runner sets them, so a value in a config would be ignored.
RESERVED = (
    "val_cfg",
    "test_cfg",
    "val_evaluator",
    "test_evaluator",
    "default_hooks",
    "data_preprocessor",
    "auto_scale_lr",
    "load_from",
    "resume",
    "work_dir",
    "launcher",
    "env_cfg",
    "log_processor",
    "log_level",
    "visualizer",
    "default_scope",
    "experiment_name",
    "model_wrapper_cfg",
)
# Sections without a class. The keys that are numbers come with the least value.
_SECTIONS: dict[str, dict[str, int | None]] = {
    "train_dataloader": {"batch_size": 1, "num_workers": 0, "dataset": None},
    "val_dataloader": {"batch_size": 1, "pictures": 0, "dataset": None},
    "test_dataloader": {"batch_size": 1, "fragments": 1, "dataset": None},
    "train_cfg": {"max_epochs": 1, "val_interval": 1},
    "randomness": {"seed": 0, "deterministic": None},
    "spike_rate": {"target": None, "weight": None, "over": None, "ramp": None},
    "distillation": {"weights": None, "weight": None, "temperature": None},
}
_SECTION_NEEDS = {
    "train_dataloader": ("batch_size", "dataset"),
    "train_cfg": ("max_epochs",),
    "spike_rate": ("target",),
    "distillation": ("weights",),
}
_PARAMWISE = (
    "custom_keys",
    "bias_lr_mult",
    "bias_decay_mult",
    "norm_decay_mult",
    "flat_decay_mult",
    "dwconv_decay_mult",
    "dcn_offset_lr_mult",
    "bypass_duplicate",
)
_PACKAGES = ("spikevox", "torch.nn", "torch.optim", "mmengine")
# Read by mmengine before the class is built.
_OPTIM_WRAPPER = {"constructor", "paramwise_cfg"}
_SCHEDULER = {"convert_to_iter_based"}
_HOOK = {"priority"}
# What a data set passes on to its pipeline, which is not its base.
_PIPELINE = {"columns", "features", "grid", "reduce", "transforms", "random_margin"}


def unknown_key(key: str, part: str, known: Iterable[str]) -> str:
    """Text about a key that does not exist: the nearest known one, or all of them."""
    known = sorted(known)
    close = get_close_matches(part, known, n=1, cutoff=0.6)
    hint = f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(known)}."
    return f"unknown key {key!r}{hint}"


def known_keys(place: tuple[str, ...], node: Mapping[str, Any]) -> set[str]:
    """Keys that a dict of an experiment may have; those it has, where nothing is known about it.

    Args:
        place: the keys and list positions that lead to the dict.
        node: the dict.
    """
    if not place:
        return set(KEYS)
    if place[-1] == "paramwise_cfg":
        return set(_PARAMWISE)
    if len(place) == 1 and place[0] in _SECTIONS:
        return set(_SECTIONS[place[0]])
    arguments = _arguments(node.get("type"))
    return arguments | {"type"} if arguments else set(node)


def check_config(config: Mapping[str, Any], where: str) -> None:
    """Checks the sections of an experiment and every ``dict(type=Class, ...)`` in it.

    Raises:
        ConfigError: a part that is missing, a key that does not exist, or a value of the wrong kind; names the place.
    """
    missing = [key for key in REQUIRED if key not in config]
    if missing:
        raise ConfigError(f"{where}: {', '.join(missing)} missing; an experiment needs {', '.join(REQUIRED)}.")
    for name, numbers in _SECTIONS.items():
        if name in config:
            _check_section(name, config[name], numbers, where)
    _check_classes(config, where)
    _check_node(config, (), where)


def _check_section(name: str, section: Any, numbers: Mapping[str, int | None], where: str) -> None:
    if not isinstance(section, Mapping):
        raise ConfigError(f"{where}: {name} must be a dict, got {section!r}.")
    for key in _SECTION_NEEDS.get(name, ()):
        if key not in section:
            raise ConfigError(f"{where}: {name} needs {key}.")
    for key, least in numbers.items():
        value = section.get(key, least)
        if least is not None and (not isinstance(value, int) or isinstance(value, bool) or value < least):
            raise ConfigError(f"{where}: {name}.{key} must be a whole number of at least {least}, got {value!r}.")


def _check_classes(config: Mapping[str, Any], where: str) -> None:
    """Objects stand where objects are needed."""
    objects = {"model": config["model"], "optim_wrapper": config["optim_wrapper"]}
    for name in ("train_dataloader", "val_dataloader", "test_dataloader"):
        if name in config:
            objects[f"{name}.dataset"] = config[name].get("dataset")
    for name in ("param_scheduler", "custom_hooks", "vote_transforms"):
        entries = config.get(name, [])
        if not isinstance(entries, list | tuple):
            raise ConfigError(f"{where}: {name} must be a list of dict(type=Class, ...), got {entries!r}.")
        objects |= {f"{name}.{position}": entry for position, entry in enumerate(entries)}
    for name, value in objects.items():
        if not isinstance(value, Mapping) or "type" not in value:
            raise ConfigError(f"{where}: {name} must be dict(type=Class, ...), got {value!r}.")
    if "optimizer" not in config["optim_wrapper"]:
        raise ConfigError(f"{where}: optim_wrapper needs optimizer=dict(type=..., lr=...).")


def _check_node(node: Any, place: tuple[str, ...], where: str) -> None:
    if isinstance(node, Mapping):
        label = ".".join(place)
        if "type" in node:
            _check_type(node["type"], label, where)
        known = known_keys(place, node)
        for name in node:
            if name not in known:
                kind = f"{node['type'].__name__} has " if "type" in node else ""
                raise ConfigError(f"{where}: {label}: {kind}{unknown_key(name, name, known)}")
        items = [(str(key), value) for key, value in node.items()]
    elif isinstance(node, list | tuple):
        items = [(str(position), value) for position, value in enumerate(node)]
    else:
        return
    for key, value in items:
        _check_node(value, (*place, key), where)


def _check_type(kind: Any, label: str, where: str) -> None:
    if not isinstance(kind, type):
        raise ConfigError(f"{where}: {label}.type must be an imported class, as in type=Classifier, got {kind!r}.")
    if not any(kind.__module__ == package or kind.__module__.startswith(f"{package}.") for package in _PACKAGES):
        raise ConfigError(
            f"{where}: {label}.type is {kind.__module__}.{kind.__qualname__}; classes of {', '.join(_PACKAGES)} are allowed."
        )


def _arguments(kind: Any) -> set[str]:
    """Keyword arguments of a class, those that it passes on included; empty for anything else."""
    if not isinstance(kind, type):
        return set()
    names: set[str] = set()
    for base in kind.__mro__:
        if "__init__" not in vars(base):
            continue
        parameters = inspect.signature(base.__init__).parameters  # type: ignore[misc]
        names |= {name for name, p in parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            break
    return (names | _passed_on(kind)) - {"self"}


def _passed_on(kind: type) -> set[str]:
    """Keywords that are read on behalf of a class. Told by the names of its bases: to import them takes seconds."""
    bases = {base.__name__ for base in kind.__mro__}
    families = {
        "VoxelDataset": _PIPELINE,
        "BaseOptimWrapper": _OPTIM_WRAPPER,
        "_ParamScheduler": _SCHEDULER,
        "Hook": _HOOK,
    }
    return {name for family, names in families.items() if family in bases for name in names}
