"""Objects from ``dict(type=Class, ...)``."""

from collections.abc import Mapping
from typing import Any

from spikevox.encoding.errors import SpikevoxError
from spikevox.tasks.errors import ConfigError


def build(node: Any, **defaults: Any) -> Any:
    """Builds ``dict(type=Class, ...)``; anything that is not such a dict is returned as it is.

    Raises:
        ConfigError: the class does not take these arguments.
    """
    if not isinstance(node, Mapping) or "type" not in node:
        return node
    options = {**defaults, **node}
    kind = options.pop("type")
    try:
        return kind(**options)
    except SpikevoxError:
        raise
    except TypeError as error:
        raise ConfigError(f"{getattr(kind, '__name__', kind)} cannot be built: {error}.") from error
