"""Output sites from the compiled library are those of the other backends."""

import numpy as np
import pytest
import torch
from torch import nn

from spikevox.encoding.errors import CoordinateRangeError
from spikevox.layers import BackendError, CoordinateMaps, SparseConv3d, SparseTensor, event
from spikevox.layers.backends.compiled_sites import strided_sites, striding
from spikevox.layers.backends.geometry import KernelGeometry

pytestmark = pytest.mark.compiled


def cloud(backend, stride=1, seed=0):
    generator = np.random.default_rng(seed)
    rows = np.unique(generator.integers(0, [3, 13, 13, 13], (700, 4)) - [0, 4, 4, 4], axis=0) * [
        1,
        stride,
        stride,
        stride,
    ]
    features = torch.from_numpy(generator.normal(size=(len(rows), 3)))
    return SparseTensor(features, torch.from_numpy(rows), batch_size=3, tensor_stride=stride, backend=backend)


@pytest.mark.parametrize("seed", range(40))
def test_they_are_those_of_torch(seed):
    generator = np.random.default_rng(seed)
    kernel, stride, dilation = (tuple(generator.integers(1, 5, 3).tolist()) for _ in range(3))
    options = {
        "kernel_size": kernel,
        "stride": stride,
        "dilation": dilation,
        "padding": tuple(generator.integers(0, 4, 3).tolist()),
        "sites": ["covered", "stride"][seed % 2],
        "extent": tuple(generator.integers(3, 9, 3).tolist()) if seed % 3 == 0 else None,
    }
    layer = SparseConv3d(3, 2, **options).double()
    scale = int(generator.integers(1, 4))
    found, expected = (layer(cloud(name, scale)) for name in ("compiled", "torch_ops"))
    assert torch.equal(found.coordinates, expected.coordinates)
    assert found.tensor_stride == expected.tensor_stride
    torch.testing.assert_close(found.features, expected.features)


def test_rounded_sites_know_nothing_of_padding():
    x = cloud("torch_ops")
    layer = SparseConv3d(3, 5, kernel_size=(2, 4, 3), stride=(1, 2, 1), padding=(2, 0, 2), sites="stride").double()
    with torch.inference_mode():
        expected = layer(x)
    found = event.compile(nn.Sequential(layer))(x).output
    assert torch.equal(found.coordinates, expected.coordinates)
    assert torch.allclose(found.features, expected.features)


def test_what_cannot_be_addressed_is_an_error_of_the_library_and_left_to_torch_by_the_backend():
    top = 2**29
    rows = torch.tensor([[0, -top, -top, -top], [0, top, top, top]], dtype=torch.int32)
    geometry = KernelGeometry((1, 1, 1), (1, 1, 1), (0, 0, 0), (1, 1, 1))
    with pytest.raises(CoordinateRangeError, match="at most 62 fit"):
        strided_sites(rows, striding(geometry, (1, 1, 1), floor=False, extent=None))
    near = torch.tensor([[0, 2**30, 2**30, 2**30]], dtype=torch.int32)
    layer = SparseConv3d(1, 1, kernel_size=1, stride=1, padding=2**30)
    with pytest.raises(CoordinateRangeError, match="leave the range of int32"):
        layer(SparseTensor(torch.ones(1, 1), near, batch_size=1, backend="compiled"))


def test_numbers_beyond_int32_are_left_to_torch():
    rows = torch.tensor([[0, 4, 4, 4], [0, 5, 4, 4]], dtype=torch.int32)
    layer = SparseConv3d(1, 1, kernel_size=1, stride=2**32 + 2, sites="stride")
    found = layer(SparseTensor(torch.ones(2, 1), rows, batch_size=1, backend="compiled"))
    assert found.coordinates.tolist() == [[0, 0, 0, 0]]


def test_sites_that_do_not_ascend_never_reach_the_library():
    maps = CoordinateMaps(1, "compiled")
    with pytest.raises(BackendError, match="sites must ascend without repetition; row 1 does not"):
        maps.insert(torch.zeros(3000, 4, dtype=torch.int32), (1, 1, 1))


def test_wrong_input_is_refused():
    how = striding(KernelGeometry((2, 2, 2), (2, 2, 2), (0, 0, 0), (1, 1, 1)), (1, 1, 1), floor=True, extent=None)
    with pytest.raises(TypeError, match=r"inputs must have shape \(N, 4\)"):
        strided_sites(torch.zeros(3, 3, dtype=torch.int32), how)
    with pytest.raises(TypeError, match=r"inputs must be a contiguous torch\.int32"):
        strided_sites(torch.zeros(3, 4), how)
    assert strided_sites(torch.zeros(0, 4, dtype=torch.int32), how).shape == (0, 4)
