"""Fixtures that every test folder shares."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def _one_seed_one_thread():
    """Each test starts from the same state of every generator, on one thread."""
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002  (libraries under test draw from the global state)


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def data() -> Callable[[str], Path]:
    """Path of a data sample, or a skip that says what is absent."""
    root = Path(os.environ.get("SPIKEVOX_DATA", ROOT / "data"))

    def find(name: str) -> Path:
        path = root / name
        if not path.exists():
            pytest.skip(f"{name!r} is not in {root}; set SPIKEVOX_DATA to the folder that holds it")
        return path

    return find
