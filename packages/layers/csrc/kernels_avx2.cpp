// For x86 with AVX2 and FMA; compiled with flags of its own, called only where the processor has both.
#ifdef SPIKEVOX_X86
#define SPIKEVOX_VECTOR_BYTES 32
#define SPIKEVOX_TABLE kAvx2
#define SPIKEVOX_NAME "avx2"
#include "kernels.inc"
#endif
