import pytest
import torch

from spikevox.layers import (
    AveragePool3d,
    GlobalMaxPool,
    GlobalMeanPool,
    GlobalSumPool,
    Linear,
    MaxPool3d,
    SparseTensor,
)

BACKENDS = ("minkowski", "torch_ops", "compiled")
REDUCTIONS = {GlobalMeanPool: torch.mean, GlobalSumPool: torch.sum, GlobalMaxPool: lambda v, dim: v.amax(dim)}


def random_tensor(batch_size, backend=None, samples=None, seed=0):
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randint(0, 5, (6 * batch_size, 4), generator=generator)
    rows[:, 0] = torch.randint(0, samples or batch_size, (len(rows),), generator=generator)
    rows = torch.unique(rows, dim=0)
    rows = rows[torch.randperm(len(rows), generator=generator)]
    features = torch.randn(len(rows), 3, generator=generator, dtype=torch.float64)
    return features, rows, SparseTensor(features, rows, batch_size=batch_size, backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("pool", REDUCTIONS, ids=lambda p: p.__name__)
def test_global_pools_and_heads_keep_batch_order_for_every_batch_size(pool, backend):
    head = Linear(3, 2).double()
    for batch_size in range(1, 65):
        features, rows, x = random_tensor(batch_size, backend, seed=batch_size)
        result = pool()(head(x))
        assert result.shape == (batch_size, 2)
        for sample in range(batch_size):
            own = head(features[rows[:, 0] == sample])
            expected = REDUCTIONS[pool](own, dim=0) if len(own) else torch.zeros(2, dtype=torch.float64)
            assert torch.allclose(result[sample], expected, atol=1e-12)


@pytest.mark.parametrize("pool", REDUCTIONS, ids=lambda p: p.__name__)
def test_empty_samples_give_zero_rows_and_one_voxel_gives_itself(pool):
    x = SparseTensor(torch.tensor([[4.0, -2.0]]), torch.tensor([[1, 7, 7, 7]]), batch_size=3)
    assert pool()(x).tolist() == [[0, 0], [4, -2], [0, 0]]
    empty = SparseTensor(torch.zeros(0, 2), torch.zeros(0, 4, dtype=torch.int32), batch_size=2)
    assert pool()(empty).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("pool", "reduce"), [(MaxPool3d, lambda v: v.amax(0)), (AveragePool3d, lambda v: v.mean(0))])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, 2, 0), (3, 2, 1), (3, 1, 1)])
def test_local_pools_equal_a_search_for_neighbours(backend, pool, reduce, kernel, stride, padding):
    _, _, x = random_tensor(3, backend)
    y = pool(kernel, stride=stride)(x)
    for site, value in zip(y.coordinates, y.features, strict=True):
        low = site[1:] - padding
        near = (x.coordinates[:, 1:] >= low).all(1) & (x.coordinates[:, 1:] < low + kernel).all(1)
        own = x.features[near & (x.coordinates[:, 0] == site[0])]
        assert torch.allclose(value, reduce(own), atol=1e-12)


def test_time_steps_are_pooled_one_by_one():
    steps = torch.randn(2, 3, 4)
    x = SparseTensor(steps, torch.tensor([[0, 0, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0]]), batch_size=2, time_steps=2)
    pooled = GlobalMeanPool()(x)
    assert pooled.shape == (2, 2, 4)
    assert torch.allclose(pooled[1], GlobalMeanPool()(x.step(1)))
    assert MaxPool3d(2)(x).features.shape == (2, 2, 4)


def test_pools_have_right_gradients():
    features = torch.randn(6, 2, dtype=torch.float64, requires_grad=True)
    coordinates = torch.tensor([[0, i, 0, 0] for i in range(6)])

    def run(values):
        x = SparseTensor(values, coordinates, batch_size=2)
        return MaxPool3d(2)(x).features, AveragePool3d(3, stride=1)(x).features, GlobalMaxPool()(x), GlobalMeanPool()(x)

    assert torch.autograd.gradcheck(run, features)
