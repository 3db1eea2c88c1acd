/* engine/kernels/tiled_neondot.c  aarch64 with the dot product of bytes. */
#define LEVEL tiled_neondot
#define HAS_DOT
#include "engine/kernels/tiled_neon.h"
