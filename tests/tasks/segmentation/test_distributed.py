import os
import subprocess
import sys
from pathlib import Path

import numpy as np

SCRIPT = Path(__file__).parent / "distributed_loss.py"


def gradient(path, processes):
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *launch, str(SCRIPT), str(path)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return np.load(path)


def test_two_processes_have_the_loss_and_gradient_of_one(tmp_path):
    one, two = (gradient(tmp_path / f"{count}.npz", count) for count in (1, 2))
    # float64: only the order of sums differs.
    np.testing.assert_allclose(two["loss"], one["loss"], rtol=1e-10)
    np.testing.assert_allclose(two["gradient"], one["gradient"], rtol=0, atol=1e-10 * np.abs(one["gradient"]).max())
    assert np.abs(one["gradient"]).max() > 1e-3
