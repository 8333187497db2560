"""Experiments as Python files: loaded, checked, overridden from the command line."""

import ast
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from spikevox.tasks.errors import ConfigError
from spikevox.tasks.schema import KEYS, RESERVED, check_config, known_keys, unknown_key

_STATEMENTS = (ast.Assign, ast.AnnAssign, ast.Import, ast.ImportFrom, ast.Expr)
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
        overrides: ``"key.sub_key=value"``, or ``"name=value"`` for a name that the file assigns and computes with, such
            as ``epochs``. Values are Python literals; anything else is a string.

    Returns:
        The top-level names that :data:`spikevox.tasks.schema.KEYS` lists, with classes under ``type``.

    Raises:
        ConfigError: a file that is missing, does more than assign, misses a key, or has a key that does not exist.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"{path} is not there. `spikevox apps` lists the experiments that come with spikevox.")
    settings = [_parse_override(text) for text in overrides]
    variables = {key: value for key, value in settings if "." not in key and key not in KEYS}
    used: set[str] = set()
    names = _execute(path, variables, used)
    for name in variables:
        if name not in used:
            raise ConfigError(unknown_key(name, name, KEYS))
    config = {key: value for key, value in names.items() if key in KEYS}
    config.setdefault("randomness", {"seed": 0})
    for key, value in settings:
        if key not in variables:
            _override(config, key, value)
    check_config(config, str(path))
    return config


def _parse_override(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set takes key=value, got {text!r}.")
    try:
        return key, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return key, value


def _execute(path: Path, variables: Mapping[str, Any], used: set[str], *, inherited: bool = False) -> dict[str, Any]:
    """The names that a config and the file it inherits from assign; ``used`` gets the variables that were met."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    except SyntaxError as error:
        raise ConfigError(f"{path}, line {error.lineno}: {error.msg}.") from error
    names: dict[str, Any] = {}
    body: list[ast.stmt] = []
    for statement in tree.body:
        if isinstance(statement, ast.ImportFrom) and statement.level == 1:
            names |= _execute(_base(path, statement, inherited), variables, used, inherited=True)
            continue
        _check_statement(statement, path)
        _substitute(statement, variables, used)
        body.append(statement)
    try:
        exec(compile(ast.Module(body, []), str(path), "exec"), names)
    except Exception as error:
        line = error.__traceback__.tb_next.tb_lineno if error.__traceback__ and error.__traceback__.tb_next else "?"
        raise ConfigError(f"{path}, line {line}: {type(error).__name__}: {error}") from error
    return {name: value for name, value in names.items() if not name.startswith("__")}


def _base(path: Path, statement: ast.ImportFrom, inherited: bool) -> Path:
    """The file that a config inherits from; all its names are taken over."""
    where = f"{path}, line {statement.lineno}"
    if inherited:
        raise ConfigError(f"{where}: {path.name} is itself inherited from; one level of inheritance is the most.")
    if [alias.name for alias in statement.names] != ["*"] or statement.module is None:
        raise ConfigError(f"{where}: a variant takes over everything: write `from .name import *`.")
    base = path.parent / f"{statement.module}.py"
    if not base.is_file():
        raise ConfigError(f"{where}: {base} is not there.")
    return base


def _substitute(statement: ast.stmt, variables: Mapping[str, Any], used: set[str]) -> None:
    """Puts overridden values in before anything is computed from them."""
    if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
        return
    target = statement.targets[0]
    if isinstance(target, ast.Name) and target.id in variables:
        used.add(target.id)
        value = ast.parse(repr(variables[target.id]), mode="eval").body
        _check_kind(_literal(statement.value), variables[target.id], target.id)
        statement.value = value
        for node in ast.walk(value):
            ast.copy_location(node, statement)


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, SyntaxError):
        return None


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
        # Every name that is assigned, also in an annotated or a chained assignment.
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            _check_name(node.id, path, statement.lineno)


def _check_name(name: str, path: Path, line: int) -> None:
    if name in RESERVED:
        raise ConfigError(
            f"{path}, line {line}: {name!r} is set by spikevox's runner and would be ignored here; remove it. "
            f"An experiment sets {', '.join(KEYS)}."
        )
    close = get_close_matches(name, (*KEYS, *RESERVED), n=1, cutoff=0.75)
    if name not in KEYS and close:
        raise ConfigError(f"{path}, line {line}: unknown key {name!r}; did you mean {close[0]!r}?")


def _override(config: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    place = _place(config, parents, key)
    if isinstance(place, list) and last.isdigit() and int(last) < len(place):
        _check_kind(place[int(last)], value, key)
        place[int(last)] = value
        return
    if not isinstance(place, dict):
        raise ConfigError(f"--set {key}: {'.'.join(parents)} has no part {last!r}.")
    allowed = set(place) | known_keys(tuple(parents), place)
    if last not in allowed:
        raise ConfigError(unknown_key(key, last, allowed))
    _check_kind(place.get(last), value, key)
    place[last] = value


def _check_kind(old: Any, new: Any, key: str) -> None:
    """A text in place of a number, list or dict is a value that was meant otherwise, such as ``true`` or ``1e-3x``."""
    if isinstance(old, bool):
        wrong = not isinstance(new, bool)
    elif isinstance(old, int | float):
        wrong = isinstance(new, str | bool)
    else:
        wrong = isinstance(old, list | tuple | dict) and isinstance(new, str)
    if wrong:
        raise ConfigError(
            f"--set {key}: {old!r} cannot be replaced by {new!r}; values are Python literals, such as 3, 0.5, True or [1, 2]."
        )


def _place(config: dict[str, Any], parents: Sequence[str], key: str) -> Any:
    """The dict or list that a dotted key's parents lead to."""
    place: Any = config
    for depth, part in enumerate(parents):
        if isinstance(place, dict):
            if part not in place:
                raise ConfigError(unknown_key(".".join(parents[: depth + 1]), part, place))
            place = place[part]
        elif isinstance(place, list) and part.isdigit() and int(part) < len(place):
            place = place[int(part)]
        else:
            raise ConfigError(f"--set {key}: {'.'.join(parents[:depth])} has no part {part!r}.")
    return place


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
