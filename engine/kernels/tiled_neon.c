/* engine/kernels/tiled_neon.c  aarch64, any of them. */
#define LEVEL tiled_neon
#include "engine/kernels/tiled_neon.h"
