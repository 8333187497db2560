import pytest
import torch

from spikevox.layers import (
    LayerError,
    SparseConv3d,
    SparseInverseConv3d,
    SparseTensor,
    SubmanifoldConv3d,
    use_backend,
)

BACKENDS = ("minkowski", "torch_ops", "compiled")


def grid(extent, channels=2, *, batch_size=1, **options):
    axes = torch.meshgrid(torch.arange(batch_size), *[torch.arange(e) for e in extent], indexing="ij")
    coordinates = torch.stack([a.reshape(-1) for a in axes], dim=1)
    features = torch.randn(len(coordinates), channels, generator=torch.Generator().manual_seed(0))
    return SparseTensor(features, coordinates, batch_size=batch_size, **options)


@pytest.mark.parametrize("backend", BACKENDS)
def test_on_a_full_grid_it_is_the_dense_convolution_of_torch(backend):
    x = grid((5, 6, 7), backend=backend)
    conv = SparseConv3d(2, 3, kernel_size=3, stride=2, padding=1, extent=(5, 6, 7))
    # (K, in, out) with x fastest, to torch's (out, in, x, y, z).
    weight = conv.weight.reshape(3, 3, 3, 2, 3).permute(4, 3, 2, 1, 0)
    expected = torch.nn.functional.conv3d(x.dense(), weight, stride=2, padding=1)
    y = conv(x)
    assert torch.allclose(y.dense(lower=(0, 0, 0), shape=expected.shape[2:]), expected, atol=1e-5)
    assert len(y) == expected[0, 0].numel()


def test_covered_sites_of_k3_s2_p1_are_those_of_the_rule():
    """An index i feeds i / 2 if even, else (i - 1) / 2 and (i + 1) / 2."""
    x = SparseTensor(torch.ones(2, 1), torch.tensor([[0, 4, 0, 0], [0, 7, 0, 0]]), batch_size=1)
    y = SparseConv3d(1, 1, kernel_size=(3, 1, 1), stride=(2, 1, 1), padding=(1, 0, 0))(x)
    assert y.coordinates[:, 1].tolist() == [4, 6, 8]
    assert y.tensor_stride == (2, 1, 1)


def test_extent_drops_the_last_layer_on_an_odd_extent():
    x = grid((5, 2, 2))
    assert len(SparseConv3d(2, 2, kernel_size=2, stride=2)(x)) == 3
    assert len(SparseConv3d(2, 2, kernel_size=2, stride=2, extent=(5, 2, 2))(x)) == 2


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_extent_of_the_input_is_that_of_its_batch_also_for_layers_behind(backend):
    """Extents 11, 6, 5 become 5, 3, 2 and 2, 1, 1, though no site is left where the second would begin to count."""
    rows = torch.tensor([[0, 0, 0, 0], [0, 10, 0, 0], [1, 7, 5, 4], [1, 3, 3, 3]])
    x = SparseTensor(torch.ones(4, 1), rows, batch_size=2, backend=backend)
    down = SparseConv3d(1, 1, kernel_size=2, stride=2, extent="input")
    y = down(x)
    assert x.sites.extent == (11, 6, 5)
    assert y.sites.extent == (5, 3, 2)
    assert y.coordinates.tolist() == [[0, 0, 0, 0], [1, 2, 2, 2]]
    z = down(y)
    assert z.sites.extent == (2, 1, 1)
    assert z.coordinates.tolist() == [[0, 0, 0, 0], [1, 0, 0, 0]]
    overlapping = SparseConv3d(1, 1, kernel_size=3, stride=2, padding=0, extent="input")(x)
    assert overlapping.sites.extent == (5, 2, 2)
    assert SparseConv3d(1, 1, kernel_size=2, stride=2)(y).sites.extent == (2, 1, 1)


def test_a_convolution_of_stride_one_that_leads_back_keeps_its_extent():
    x = grid((4, 4, 4))
    wide = SparseConv3d(2, 2, kernel_size=3, stride=1)(x)
    again = SparseConv3d(2, 2, kernel_size=3, stride=1, extent=(4, 4, 4))(wide)
    assert again.sites is x.sites
    assert x.sites.extent == (4, 4, 4)


def test_an_extent_of_the_input_needs_sites_from_zero_on():
    x = SparseTensor(torch.ones(1, 2), torch.tensor([[0, -1, 0, 0]]), batch_size=1)
    with pytest.raises(LayerError, match=r"counts sites from zero on, and these begin at \(-1, 0, 0\)"):
        SparseConv3d(2, 2, kernel_size=2, stride=2, extent="input")(x)
    with pytest.raises(LayerError, match="'input' or None, got 'auto'"):
        SparseConv3d(2, 2, kernel_size=2, stride=2, extent="auto")


@pytest.mark.parametrize("backend", BACKENDS)
def test_results_do_not_depend_on_the_order_of_rows(backend):
    generator = torch.Generator().manual_seed(3)
    coordinates = torch.unique(torch.randint(0, 6, (80, 4), generator=generator), dim=0)
    features = torch.randn(len(coordinates), 4, generator=generator)
    order = torch.randperm(len(coordinates), generator=generator)
    conv = SubmanifoldConv3d(4, 5)
    one = conv(SparseTensor(features, coordinates, batch_size=6, backend=backend))
    other = conv(SparseTensor(features[order], coordinates[order], batch_size=6, backend=backend))
    assert torch.equal(one.coordinates, other.coordinates)
    assert torch.equal(one.features, other.features)
    assert torch.equal(other.features_in_input_order(), one.features[order])


@pytest.mark.parametrize("backend", BACKENDS)
def test_time_steps_share_one_kernel_map_and_equal_single_steps(backend):
    x = grid((3, 3, 3), channels=2, backend=backend)
    steps = torch.randn(4, len(x), 2, generator=torch.Generator().manual_seed(1))
    timed = SparseTensor(steps, x.coordinates, batch_size=1, time_steps=4, backend=backend)
    down = SparseConv3d(2, 3, kernel_size=2, stride=2, bias=True)
    up = SparseInverseConv3d(3, 2, kernel_size=2, stride=2)
    y = down(timed)
    assert y.features.shape == (4, 8, 3)
    for t in range(4):
        single = down(timed.step(t))
        assert torch.equal(y.step(t).features, single.features)
        assert torch.equal(up(y).step(t).features, up(single).features)


@pytest.mark.parametrize("backend", BACKENDS)
def test_empty_tensors_pass_every_convolution_with_gradients(backend):
    x = SparseTensor(torch.zeros(0, 2), torch.zeros(0, 4, dtype=torch.int32), batch_size=3, backend=backend)
    layers = [SubmanifoldConv3d(2, 4, bias=True), SparseConv3d(4, 6, kernel_size=3, stride=2, bias=True)]
    y = layers[1](layers[0](x))
    z = SparseInverseConv3d(6, 2, kernel_size=3, stride=2)(y)
    assert y.features.shape == (0, 6)
    assert z.sites is x.sites
    assert y.batch_size == 3
    z.features.sum().backward()
    assert layers[0].weight.grad.abs().max() == 0


def test_a_pooled_away_batch_keeps_its_empty_samples():
    x = SparseTensor(torch.ones(1, 2), torch.tensor([[2, 0, 0, 0]]), batch_size=4)
    assert SparseConv3d(2, 2, kernel_size=2, stride=2)(x).empty_samples.tolist() == [True, True, False, True]


@pytest.mark.minkowski
def test_backend_is_chosen_by_argument_then_block_then_environment(monkeypatch):
    coordinates = torch.zeros(1, 4, dtype=torch.int32)
    monkeypatch.setenv("SPIKEVOX_BACKEND", "torch_ops")
    assert SparseTensor(torch.ones(1, 1), coordinates).backend == "torch_ops"
    with use_backend("minkowski"):
        assert SparseTensor(torch.ones(1, 1), coordinates).backend == "minkowski"
        assert SparseTensor(torch.ones(1, 1), coordinates, backend="torch_ops").backend == "torch_ops"


def test_two_runs_on_one_thread_are_bit_equal():
    results = []
    for _ in range(2):
        torch.manual_seed(4)
        conv = SubmanifoldConv3d(2, 8)
        y = conv(grid((6, 6, 6)))
        y.features.square().sum().backward()
        results.append((y.features, conv.weight.grad))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: SubmanifoldConv3d(3, 4, groups=2), "multiples of groups"),
        (lambda: SubmanifoldConv3d(4, 4, kernel_size=0), "kernel_size must be one whole number or three"),
        (lambda: SubmanifoldConv3d(4, 4, kernel_size=(3, 3)), "kernel_size must be one whole number or three"),
        (lambda: SparseConv3d(4, 4, kernel_size=3, stride=0), "stride must be"),
        (lambda: SparseConv3d(4, 4, kernel_size=3, padding=-1), "padding must be"),
        (lambda: SparseConv3d(4, 4, kernel_size=3, sites="cross"), "sites must be 'covered' or 'stride'"),
        (lambda: SparseConv3d(4, 4, kernel_size="cross"), "kernel_size must be"),
    ],
)
def test_kernels_that_are_not_supported_are_refused(build, message):
    with pytest.raises(LayerError, match=message):
        build()


def test_wrong_channels_are_named():
    with pytest.raises(LayerError, match="expects 5 channels, got SparseTensor"):
        SubmanifoldConv3d(5, 4)(grid((2, 2, 2)))


def test_an_inverse_without_partner_asks_for_like():
    x = grid((4, 4, 4), tensor_stride=1)
    with pytest.raises(LayerError, match=r"no sets of sites at tensor stride .* like="):
        SparseInverseConv3d(2, 2, kernel_size=2, stride=2)(x)
    coarse = SparseConv3d(2, 2, kernel_size=2, stride=2)(x)
    with pytest.raises(LayerError, match="both must come from one input"):
        SparseInverseConv3d(2, 2, kernel_size=2, stride=2)(coarse, like=grid((4, 4, 4)))
