/* engine/kernels/attend_generic.c  Any processor: vectors of four. */
#define VW   4
#define WIDE 1
#include "engine/kernels/attend_body.h"

TABLE(attend_generic);
