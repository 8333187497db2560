import math

import pytest
import torch

from spikevox.encoding import FourierFeatures, PointCloudError


def features(count, seed=0, **options):
    return FourierFeatures(3, count, generator=torch.Generator().manual_seed(seed), **options)


def points(count, seed=1):
    return torch.rand(count, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) - 0.5


def mmd(one, other, scale):
    """Maximum mean discrepancy under exp(-scale^2 |x - y|^2 / 2), by its definition."""

    def mean_kernel(a, b):
        return torch.exp(-(scale**2) * torch.cdist(a, b) ** 2 / 2).mean()

    return (mean_kernel(one, one) - 2 * mean_kernel(one, other) + mean_kernel(other, other)).clamp(min=0).sqrt()


def test_distances_of_embeddings_approach_the_mmd_as_one_over_the_root():
    one, other = points(30, 1) * 0.4, points(40, 2)
    exact = mmd(one, other, 3.0)
    joined = torch.cat([one, other])
    voxel = torch.tensor([0] * 30 + [1] * 40)
    errors = []
    for count in (64, 4096):
        draws = [features(count, seed, scale=3.0).embed(joined, voxel, 2) for seed in range(40)]
        found = torch.stack([(e[0] - e[1]).norm() for e in draws])
        errors.append(float((found - exact).pow(2).mean().sqrt()))
    # 64 times the frequencies: an eighth of the error, within the spread of 40 draws.
    assert errors[0] / errors[1] == pytest.approx(8, rel=0.5)


def test_voxels_of_equal_mean_but_other_shape_differ():
    line = torch.tensor([[-0.4, 0, 0], [0.4, 0, 0]], dtype=torch.float64)
    cross = torch.tensor([[0, -0.4, 0], [0, 0.4, 0]], dtype=torch.float64)
    embedded = features(256, scale=3.0).embed(torch.cat([line, cross]), torch.tensor([0, 0, 1, 1]), 2)
    assert torch.equal(line.mean(dim=0), cross.mean(dim=0))
    assert (embedded[0] - embedded[1]).norm() > 0.3


def test_features_have_length_one_and_period_one():
    phi = features(32, draw="periodic", scale=2.0)
    x = points(10)
    assert torch.allclose(phi(x).norm(dim=1), torch.ones(10, dtype=torch.float64))
    assert torch.allclose(phi(x), phi(x + 1), atol=1e-12)
    assert phi(x.float()).dtype == torch.float32


def test_a_spectrum_is_drawn_by_weight():
    spectrum = (torch.tensor([[1.0, 0, 0], [0, 2.0, 0]]), torch.tensor([1.0, 3.0]))
    matrix = features(4000, draw="spectrum", spectrum=spectrum).matrix
    assert (matrix[:, 1] == 2).double().mean() == pytest.approx(0.75, abs=4 * math.sqrt(0.75 * 0.25 / 4000))


def test_an_empty_voxel_is_zero_and_the_seed_is_kept():
    embedded = features(8).embed(points(2), torch.tensor([0, 2]), 3)
    assert embedded[1].abs().max() == 0
    assert torch.equal(features(8, 5).matrix, features(8, 5).matrix)


@pytest.mark.parametrize("options", [{"scale": 0.0}, {"draw": "uniform"}, {"draw": "spectrum"}])
def test_invalid_options_are_refused(options):
    with pytest.raises(PointCloudError, match="must be"):
        features(4, **options)
    with pytest.raises(PointCloudError, match="must be positive"):
        features(0)
