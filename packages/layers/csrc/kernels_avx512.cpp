// For x86 with AVX-512; compiled with flags of its own, called only where the processor has it.
#ifdef SPIKEVOX_X86
#include <immintrin.h>
#define SPIKEVOX_VECTOR_BYTES 64
#define SPIKEVOX_COMPRESS
#define SPIKEVOX_TABLE kAvx512
#define SPIKEVOX_NAME "avx512"
#include "kernels.inc"
#endif
