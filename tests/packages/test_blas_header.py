"""The cblas.h that MinkowskiEngine is built with computes what CBLAS says, for every order and transposition."""

import ctypes
import shutil
import subprocess
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

HEADER = Path(__file__).resolve().parents[2] / "tools" / "minkowski"
ROW_MAJOR, COLUMN_MAJOR = 101, 102
PLAIN, TRANSPOSED = 111, 112
# The header is included as MinkowskiEngine includes it, inside extern "C"; its functions are inline, hence the names.
SOURCE = """
extern "C" {
#include <cblas.h>
void multiply_float(int o, int ta, int tb, int m, int n, int k, float alpha, const float *a, int lda, const float *b,
                    int ldb, float beta, float *c, int ldc) {
  cblas_sgemm((CBLAS_ORDER)o, (CBLAS_TRANSPOSE)ta, (CBLAS_TRANSPOSE)tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
void multiply_double(int o, int ta, int tb, int m, int n, int k, double alpha, const double *a, int lda,
                     const double *b, int ldb, double beta, double *c, int ldc) {
  cblas_dgemm((CBLAS_ORDER)o, (CBLAS_TRANSPOSE)ta, (CBLAS_TRANSPOSE)tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
void add_float(int n, float alpha, const float *x, int ix, float *y, int iy) { cblas_saxpy(n, alpha, x, ix, y, iy); }
void add_double(int n, double alpha, const double *x, int ix, double *y, int iy) {
  cblas_daxpy(n, alpha, x, ix, y, iy);
}
}
"""
TYPES = {"float": (np.float32, ctypes.c_float, 1e-5), "double": (np.float64, ctypes.c_double, 1e-12)}


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    if shutil.which("c++") is None:
        pytest.skip("no C++ compiler")
    folder = tmp_path_factory.mktemp("blas")
    (folder / "calls.cpp").write_text(SOURCE)
    libraries = Path(torch.__file__).parent / "lib"
    command = ["c++", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", f"-I{HEADER}", folder / "calls.cpp"]
    command += [f"-L{libraries}", "-ltorch_cpu", f"-Wl,-rpath,{libraries}", "-o", folder / "calls.so"]
    subprocess.run(command, check=True)
    return ctypes.CDLL(str(folder / "calls.so"))


def stored(matrix, order, transposed):
    """The matrix as CBLAS wants it: a flat buffer and the step from one row (or column) to the next."""
    kept = matrix.T if transposed else matrix
    return (np.ascontiguousarray(kept) if order == ROW_MAJOR else np.asfortranarray(kept)), (
        kept.shape[1] if order == ROW_MAJOR else kept.shape[0]
    )


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize(
    ("order", "first", "second"),
    list(product((ROW_MAJOR, COLUMN_MAJOR), (PLAIN, TRANSPOSED), (PLAIN, TRANSPOSED))),
)
def test_products_equal_numpy(library, generator, kind, order, first, second):
    dtype, number, tolerance = TYPES[kind]
    a, b, c = (generator.normal(size=shape).astype(dtype) for shape in ((3, 5), (5, 4), (3, 4)))
    expected = 1.5 * a @ b - 0.5 * c
    left, left_step = stored(a, order, first == TRANSPOSED)
    right, right_step = stored(b, order, second == TRANSPOSED)
    result, result_step = stored(c, order, False)
    result = result.copy(order="K")
    pointer = ctypes.POINTER(number)
    getattr(library, f"multiply_{kind}")(
        order,
        first,
        second,
        *(3, 4, 5),
        number(1.5),
        left.ctypes.data_as(pointer),
        left_step,
        right.ctypes.data_as(pointer),
        right_step,
        number(-0.5),
        result.ctypes.data_as(pointer),
        result_step,
    )
    # Five products a sum: rounding stays within a few units in the last place.
    np.testing.assert_allclose(result, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("kind", TYPES)
def test_scaled_sums_equal_numpy(library, generator, kind):
    dtype, number, tolerance = TYPES[kind]
    x, y = generator.normal(size=(2, 6)).astype(dtype)
    expected = y.copy()
    expected[:3] += 2.5 * x[::2]
    pointer = ctypes.POINTER(number)
    x_pointer, y_pointer = x.ctypes.data_as(pointer), y.ctypes.data_as(pointer)
    getattr(library, f"add_{kind}")(3, number(2.5), x_pointer, 2, y_pointer, 1)
    np.testing.assert_allclose(y, expected, rtol=tolerance, atol=tolerance)
