// For any processor: vectors of 16 bytes, which every compiler can lower to what is there.
#define SPIKEVOX_VECTOR_BYTES 16
#define SPIKEVOX_TABLE kPortable
#define SPIKEVOX_NAME "portable"
#include "kernels.inc"
