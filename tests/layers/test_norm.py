import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from spikevox.layers import (
    BatchNorm,
    LayerError,
    SparseTensor,
    SubmanifoldConv3d,
    ThresholdDependentBatchNorm,
    fold_batch_norm,
)


def test_it_is_torchs_batch_norm_over_sites_and_steps():
    values = torch.randn(3, 7, 4)
    x = SparseTensor(values, torch.tensor([[0, i, 0, 0] for i in range(7)]), time_steps=3)
    ours, theirs = BatchNorm(4), torch.nn.BatchNorm1d(4, eps=1e-3, momentum=0.01)
    assert torch.allclose(ours(x).features, theirs(values.reshape(-1, 4)).view(3, 7, 4), atol=1e-6)
    assert torch.allclose(ours.running_var, theirs.running_var)
    assert torch.allclose(ours.eval()(values), theirs.eval()(values.reshape(-1, 4)).view(3, 7, 4), atol=1e-6)


def test_synchronised_statistics_of_one_process_are_the_same():
    values = torch.randn(9, 4, dtype=torch.float64)
    one, other = BatchNorm(4).double(), BatchNorm(4, synchronise=True).double()
    assert torch.allclose(one(values), other(values), atol=1e-12)
    assert torch.allclose(one.running_var, other.running_var, atol=1e-12)


def test_no_site_changes_nothing_and_one_site_gives_the_bias():
    norm = BatchNorm(2)
    norm.bias.data[:] = torch.tensor([3.0, 4.0])
    assert norm(torch.zeros(0, 2)).shape == (0, 2)
    assert norm.running_mean.tolist() == [0, 0]
    assert norm(torch.tensor([[7.0, 9.0]])).tolist() == [[3, 4]]
    assert norm.running_var.tolist() == [1, 1]
    with pytest.raises(LayerError, match="expects 2 channels"):
        norm(torch.zeros(4, 3))


def test_tdbn_scales_to_the_threshold():
    values = torch.randn(200, 2, dtype=torch.float64)
    result = ThresholdDependentBatchNorm(2, threshold=0.5, alpha=2.0, eps=0.0).double()(values)
    assert torch.allclose(result.std(dim=0, unbiased=False), torch.ones(2, dtype=torch.float64))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", [BatchNorm, ThresholdDependentBatchNorm])
def test_a_folded_convolution_equals_the_pair(kind, bias):
    x = SparseTensor(torch.randn(8, 3, dtype=torch.float64), torch.tensor([[0, i, 0, 0] for i in range(8)]))
    conv, norm = SubmanifoldConv3d(3, 5, bias=bias).double(), kind(5).double()
    norm(conv(x))
    norm.eval()
    folded = SubmanifoldConv3d(3, 5, bias=True).double()
    weight, shift = fold_batch_norm(conv.weight, conv.bias, norm)
    folded.weight.data, folded.bias.data = weight, shift
    assert torch.allclose(folded(x).features, norm(conv(x)).features, atol=1e-12)


@pytest.mark.parametrize("sizes", [(5, 5), (9, 2), (7, 0)])
def test_two_processes_equal_one_with_all_rows(sizes, tmp_path):
    parts = [torch.randn(n, 3, dtype=torch.float64) for n in sizes]
    processes = []
    for rank, part in enumerate(parts):
        np.save(tmp_path / f"{rank}.npy", part.numpy())
        script = Path(__file__).with_name("norm_rank.py")
        words = [rank, 2, tmp_path / "store", tmp_path / f"{rank}.npy", tmp_path / f"{rank}.npz"]
        processes.append(subprocess.Popen([sys.executable, "-W", "ignore", script, *map(str, words)]))
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    found = [np.load(tmp_path / f"{rank}.npz") for rank in range(2)]
    whole = torch.cat(parts).requires_grad_()
    norm = BatchNorm(3).double()
    result = norm(whole)
    (result**3).sum().backward()
    for name, expected in (("result", result.detach()), ("gradient", whole.grad)):
        np.testing.assert_allclose(np.concatenate([f[name] for f in found]), expected, atol=1e-10)
    np.testing.assert_allclose(sum(f["weight_gradient"] for f in found), norm.weight.grad, atol=1e-10)
    for part in found:
        np.testing.assert_allclose(part["variance"], norm.running_var, atol=1e-10)
