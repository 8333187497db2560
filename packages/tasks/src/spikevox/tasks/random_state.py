"""States of every global generator, as plain types that a checkpoint may hold."""

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch


def random_state() -> dict[str, Any]:
    """States of torch's, numpy's and Python's generators."""
    name, keys, position, has_gauss, cached = np.random.get_state()  # noqa: NPY002  (mmengine seeds the global state)
    version, internal, gauss = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "numpy": [
            name,
            torch.from_numpy(np.asarray(keys).astype(np.int64)),
            int(position),
            int(has_gauss),
            float(cached),
        ],
        "python": [version, torch.tensor(internal, dtype=torch.int64), gauss],
    }


def set_random_state(state: Mapping[str, Any]) -> None:
    """Puts the generators back where :func:`random_state` found them."""
    torch.set_rng_state(state["torch"])
    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, cached))  # noqa: NPY002
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal.tolist()), gauss))
