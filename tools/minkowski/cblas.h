/* The four CBLAS functions that MinkowskiEngine calls, on the Fortran BLAS inside libtorch_cpu.

   A row-major product C = A B is the column-major product C' = B' A', so operands change places. */
#pragma once

enum CBLAS_ORDER { CblasRowMajor = 101, CblasColMajor = 102 };
enum CBLAS_TRANSPOSE { CblasNoTrans = 111, CblasTrans = 112, CblasConjTrans = 113 };

extern "C" {
void sgemm_(const char *, const char *, const int *, const int *, const int *, const float *, const float *,
            const int *, const float *, const int *, const float *, float *, const int *);
void dgemm_(const char *, const char *, const int *, const int *, const int *, const double *, const double *,
            const int *, const double *, const int *, const double *, double *, const int *);
void saxpy_(const int *, const float *, const float *, const int *, float *, const int *);
void daxpy_(const int *, const double *, const double *, const int *, double *, const int *);
}

// MinkowskiEngine includes this file inside extern "C", where a template may not stand.
extern "C++" {
namespace spikevox_blas {

inline char letter(CBLAS_TRANSPOSE transpose) { return transpose == CblasNoTrans ? 'N' : 'T'; }

template <typename Real, typename Product>
void gemm(Product product, CBLAS_ORDER order, CBLAS_TRANSPOSE first, CBLAS_TRANSPOSE second, int m, int n, int k,
          Real alpha, const Real *a, int a_stride, const Real *b, int b_stride, Real beta, Real *c, int c_stride) {
  const char a_letter = letter(first), b_letter = letter(second);
  if (order == CblasColMajor)
    product(&a_letter, &b_letter, &m, &n, &k, &alpha, a, &a_stride, b, &b_stride, &beta, c, &c_stride);
  else
    product(&b_letter, &a_letter, &n, &m, &k, &alpha, b, &b_stride, a, &a_stride, &beta, c, &c_stride);
}

}  // namespace spikevox_blas
}

inline void cblas_sgemm(CBLAS_ORDER order, CBLAS_TRANSPOSE first, CBLAS_TRANSPOSE second, int m, int n, int k,
                        float alpha, const float *a, int a_stride, const float *b, int b_stride, float beta, float *c,
                        int c_stride) {
  spikevox_blas::gemm(sgemm_, order, first, second, m, n, k, alpha, a, a_stride, b, b_stride, beta, c, c_stride);
}

inline void cblas_dgemm(CBLAS_ORDER order, CBLAS_TRANSPOSE first, CBLAS_TRANSPOSE second, int m, int n, int k,
                        double alpha, const double *a, int a_stride, const double *b, int b_stride, double beta,
                        double *c, int c_stride) {
  spikevox_blas::gemm(dgemm_, order, first, second, m, n, k, alpha, a, a_stride, b, b_stride, beta, c, c_stride);
}

inline void cblas_saxpy(int n, float alpha, const float *x, int x_step, float *y, int y_step) {
  saxpy_(&n, &alpha, x, &x_step, y, &y_step);
}

inline void cblas_daxpy(int n, double alpha, const double *x, int x_step, double *y, int y_step) {
  daxpy_(&n, &alpha, x, &x_step, y, &y_step);
}
