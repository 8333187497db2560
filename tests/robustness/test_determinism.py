"""Same seed, same machine, same weights. On MinkowskiEngine that holds for one thread, on our kernels for more as well."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from spikevox.layers import native
from spikevox.layers.backends import minkowski

HERE = Path(__file__).parent


def trained(folder, threads, backend):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", HERE / "train_and_hash.py", HERE / "tiny.py", folder, str(threads), backend],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": str(threads)},
    )
    assert done.returncode == 0, done.stderr
    return re.search(r"hash (\w{64})", done.stdout).group(1)


@pytest.mark.parametrize(("threads", "backend"), [(1, "minkowski"), (1, "compiled"), (2, "compiled")])
def test_two_trainings_with_one_seed_are_bit_equal(threads, backend, tmp_path):
    there = {"minkowski": minkowski.available(), "compiled": native.available()}
    if not there[backend]:
        pytest.skip(f"the backend {backend!r} is not there")
    assert trained(tmp_path / "one", threads, backend) == trained(tmp_path / "other", threads, backend)
