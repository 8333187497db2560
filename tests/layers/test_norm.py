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


def test_momentum_can_be_changed_and_none_is_the_mean_over_batches():
    batches = [torch.randn(9, 2) + 3 for _ in range(3)]
    ours = BatchNorm(2)
    ours.momentum = 1.0
    ours(batches[0])
    assert torch.allclose(ours.running_mean, batches[0].mean(dim=0), atol=1e-6)
    for synchronise in (False, True):
        ours, theirs = BatchNorm(2, momentum=None, synchronise=synchronise), torch.nn.BatchNorm1d(2, momentum=None)
        for batch in batches:
            ours(batch)
            theirs(batch)
        assert torch.allclose(ours.running_mean, theirs.running_mean, atol=1e-6)
        assert torch.allclose(ours.running_var, theirs.running_var, atol=1e-6)
    ours = BatchNorm(2)
    torch.optim.swa_utils.update_bn(batches, ours)
    assert torch.allclose(ours.running_mean, theirs.running_mean, atol=1e-6)


@pytest.mark.parametrize("options", [{"channels": 0}, {"eps": -1.0}, {"momentum": 1.5}, {"momentum": float("nan")}])
def test_parameters_out_of_their_range_are_refused(options):
    with pytest.raises(LayerError, match="needs channels from 1, eps from 0 and momentum"):
        BatchNorm(**{"channels": 2, **options})


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


def run_two_processes(parts, synchronise, tmp_path):
    processes = []
    for rank, part in enumerate(parts):
        np.save(tmp_path / f"{rank}.npy", part.numpy())
        script = Path(__file__).with_name("norm_rank.py")
        words = [rank, 2, tmp_path / "store", tmp_path / f"{rank}.npy", tmp_path / f"{rank}.npz", int(synchronise)]
        processes.append(subprocess.Popen([sys.executable, "-W", "ignore", script, *map(str, words)]))
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    return [np.load(tmp_path / f"{rank}.npz") for rank in range(2)]


def alone(rows):
    norm, values = BatchNorm(3).double(), rows.clone().requires_grad_()
    result = norm(values)
    (result**3).sum().backward()
    return norm, values, result


@pytest.mark.parametrize("sizes", [(5, 5), (9, 2), (7, 0)])
def test_two_processes_equal_one_with_all_rows(sizes, tmp_path):
    parts = [torch.randn(n, 3, dtype=torch.float64) for n in sizes]
    found = run_two_processes(parts, True, tmp_path)
    norm, whole, result = alone(torch.cat(parts))
    for name, expected in (("result", result.detach()), ("gradient", whole.grad)):
        np.testing.assert_allclose(np.concatenate([f[name] for f in found]), expected, atol=1e-10)
    np.testing.assert_allclose(sum(f["weight_gradient"] for f in found), norm.weight.grad, atol=1e-10)
    for part in found:
        np.testing.assert_allclose(part["variance"], norm.running_var, atol=1e-10)


def test_processes_that_do_not_synchronise_never_wait_for_each_other(tmp_path):
    """One process has a single row, the case in which the statistics come from sums."""
    parts = [torch.randn(n, 3, dtype=torch.float64) for n in (1, 9)]
    for part, found in zip(parts, run_two_processes(parts, False, tmp_path), strict=True):
        norm, values, result = alone(part)
        np.testing.assert_allclose(found["result"], result.detach(), atol=1e-12)
        np.testing.assert_allclose(found["gradient"], values.grad, atol=1e-12)
        np.testing.assert_allclose(found["variance"], norm.running_var, atol=1e-12)
