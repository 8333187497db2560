import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent


def train(folder, processes, batch_size):
    command = [sys.executable, "-W", "ignore"]
    if processes > 1:
        command += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command += [HERE / "distributed.py", HERE / "tiny.py", folder, batch_size]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, env=environment, timeout=200, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return np.load(folder / "result.npz"), [line["loss"] for line in log if "loss" in line]


@pytest.mark.parametrize("batch_size", [8, 2])
def test_two_processes_equal_one_with_the_same_global_batch(tmp_path, batch_size):
    """float64, synchronised normalisation, an uneven last batch; with 2, one process meets the empty cloud alone."""
    one, losses = train(tmp_path / "one", 1, batch_size)
    two, distributed = train(tmp_path / "two", 2, batch_size)
    assert len(losses) == 5
    np.testing.assert_allclose(distributed, losses, rtol=0, atol=1e-10)
    for name in one.files:
        scale = max(1.0, np.abs(one[name]).max())
        np.testing.assert_allclose(two[name], one[name], rtol=0, atol=1e-10 * scale, err_msg=name)
