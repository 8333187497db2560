"""Experiments as Python files: loaded, checked, overridden from the command line."""

import ast
import inspect
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
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
    "randomness",
    "vote_transforms",
)
_REQUIRED = ("model", "train_dataloader", "train_cfg", "optim_wrapper")
_STATEMENTS = (ast.Assign, ast.AnnAssign, ast.Import, ast.ImportFrom, ast.Expr, ast.Delete)
_CALLS = ("dict", "list", "tuple")
_PACKAGES = ("spikevox", "torch", "mmengine")
_REFUSED = (
    ast.Lambda,
    ast.ListComp,
    ast.SetComp,
    ast.DictComp,
    ast.GeneratorExp,
    ast.Await,
    ast.Yield,
    ast.YieldFrom,
    ast.JoinedStr,
    ast.NamedExpr,
)


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Loads an experiment.

    A config is a Python file of imports and assignments of literals, arithmetic and ``dict(...)``; ``type`` holds the
    class itself. It is a program: run none that you do not trust; the checks here catch mistakes and are no sandbox.

    Args:
        path: the file.
        overrides: ``"key.sub_key=value"``; values are Python literals, anything else is a string.

    Returns:
        The top-level names that :data:`KEYS` lists, with classes under ``type``.

    Raises:
        ConfigError: a file that is missing, does more than assign, misses a key, or has a key that does not exist.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"{path} is not there. `spikevox apps` lists the experiments that come with spikevox.")
    config = {key: value for key, value in _execute(path).items() if key in KEYS}
    missing = [key for key in _REQUIRED if key not in config]
    if missing:
        raise ConfigError(f"{path}: {', '.join(missing)} missing; an experiment needs {', '.join(_REQUIRED)}.")
    config.setdefault("randomness", {"seed": 0})
    for override in overrides:
        _override(config, override)
    check_arguments(config, str(path))
    return config


def _execute(path: Path) -> dict[str, Any]:
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    except SyntaxError as error:
        raise ConfigError(f"{path}, line {error.lineno}: {error.msg}.") from error
    names: dict[str, Any] = {}
    for statement in tree.body:
        if isinstance(statement, ast.ImportFrom) and statement.level == 1:
            # One level of inheritance: the names of a file beside this one.
            names |= _execute(path.parent / f"{statement.module}.py")
            continue
        _check_statement(statement, path)
    body = [s for s in tree.body if not (isinstance(s, ast.ImportFrom) and s.level == 1)]
    try:
        exec(compile(ast.Module(body, []), str(path), "exec"), names)
    except Exception as error:
        line = error.__traceback__.tb_next.tb_lineno if error.__traceback__ and error.__traceback__.tb_next else "?"
        raise ConfigError(f"{path}, line {line}: {type(error).__name__}: {error}") from error
    return {name: value for name, value in names.items() if not name.startswith("__")}


def _check_statement(statement: ast.stmt, path: Path) -> None:
    if not isinstance(statement, _STATEMENTS):
        raise ConfigError(
            f"{path}, line {statement.lineno}: a config only imports and assigns; "
            f"{type(statement).__name__} is not allowed. Code belongs into a package."
        )
    if isinstance(statement, ast.Import | ast.ImportFrom):
        module = statement.module if isinstance(statement, ast.ImportFrom) else statement.names[0].name
        if (module or "").split(".")[0] not in _PACKAGES:
            raise ConfigError(
                f"{path}, line {statement.lineno}: configs import from {', '.join(_PACKAGES)} only, got {module!r}."
            )
    for node in ast.walk(statement):
        called = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else None
        if isinstance(node, _REFUSED) or (isinstance(node, ast.Call) and called not in _CALLS):
            raise ConfigError(
                f"{path}, line {node.lineno}: only literals, arithmetic and {', '.join(_CALLS)}(...) are allowed in a "
                "config; write dict(type=Class, ...) where an object is wanted."
            )
    for target in getattr(statement, "targets", []):
        if isinstance(statement, ast.Assign) and isinstance(target, ast.Name):
            _check_name(target.id, path, statement.lineno)


def _check_name(name: str, path: Path, line: int) -> None:
    close = get_close_matches(name, KEYS, n=1, cutoff=0.75)
    if name not in KEYS and close:
        raise ConfigError(f"{path}, line {line}: unknown key {name!r}; did you mean {close[0]!r}?")


def _override(config: dict[str, Any], text: str) -> None:
    key, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"--set takes key=value, got {text!r}.")
    try:
        parsed = ast.literal_eval(value)
    except (ValueError, SyntaxError):
        parsed = value
    *parents, last = key.split(".")
    place = _place(config, parents, key)
    if isinstance(place, list) and last.isdigit() and int(last) < len(place):
        place[int(last)] = parsed
        return
    if not isinstance(place, dict):
        raise ConfigError(f"--set {key}: {'.'.join(parents)} has no part {last!r}.")
    allowed = set(KEYS) if place is config else set(place) | _arguments(place)
    if last not in allowed:
        raise ConfigError(_unknown(key, last, allowed))
    place[last] = parsed


def _place(config: dict[str, Any], parents: Sequence[str], key: str) -> Any:
    """The dict or list that a dotted key's parents lead to."""
    place: Any = config
    for depth, part in enumerate(parents):
        if isinstance(place, dict):
            if part not in place:
                raise ConfigError(_unknown(".".join(parents[: depth + 1]), part, place))
            place = place[part]
        elif isinstance(place, list) and part.isdigit() and int(part) < len(place):
            place = place[int(part)]
        else:
            raise ConfigError(f"--set {key}: {'.'.join(parents[:depth])} has no part {part!r}.")
    return place


def _unknown(key: str, part: str, known: Any) -> str:
    close = get_close_matches(part, list(known), n=1, cutoff=0.6)
    hint = f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(sorted(known))}."
    return f"unknown key {key!r}{hint}"


def _arguments(node: Mapping[str, Any]) -> set[str]:
    """Keyword arguments of the class under ``type``, those that it passes on to its bases included."""
    kind = node.get("type")
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
    return names - {"self"}


# Read by mmengine or by the runner before the class is built.
_EXTRA = {"type", "convert_to_iter_based", "constructor", "paramwise_cfg"}
# Where a class passes options to an object that is not its base.
_PASSED_ON = {"columns", "features", "grid", "reduce", "transforms"}


def check_arguments(node: Any, where: str) -> None:
    """Checks every ``dict(type=Class, ...)`` of a config for keywords that the class does not have.

    Raises:
        ConfigError: an unknown keyword, with the nearest known one.
    """
    if isinstance(node, Mapping):
        known = _arguments(node)
        if known:
            known = known | _EXTRA | (_PASSED_ON if "pipeline" in known or _is_dataset(node) else set())
            for name in node:
                if name not in known:
                    raise ConfigError(f"{where}: {node['type'].__name__} has {_unknown(name, name, known)}")
        for key, value in node.items():
            check_arguments(value, f"{where}: {key}")
    elif isinstance(node, list | tuple):
        for value in node:
            check_arguments(value, where)


def _is_dataset(node: Mapping[str, Any]) -> bool:
    return any(base.__name__ == "PointDataset" for base in node["type"].__mro__)


def to_plain(node: Any) -> Any:
    """A config as JSON types: a class becomes ``"module:name"``."""
    if isinstance(node, Mapping):
        return {str(key): to_plain(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [to_plain(value) for value in node]
    if isinstance(node, type):
        return f"{node.__module__}:{node.__qualname__}"
    if isinstance(node, str | int | float | bool) or node is None:
        return node
    return str(node)
