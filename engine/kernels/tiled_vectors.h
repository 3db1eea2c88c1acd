/* engine/kernels/tiled_vectors.h  Vectors of VW numbers, for tiled_*.c. */
typedef float vf __attribute__((vector_size(4 * VW)));
typedef int vi __attribute__((vector_size(4 * VW)));
typedef unsigned vu __attribute__((vector_size(4 * VW)));
/* The same in memory: any alignment, may lie over other types. */
typedef float vfmem __attribute__((vector_size(4 * VW), aligned(4), may_alias));
typedef unsigned vumem
    __attribute__((vector_size(4 * VW), aligned(2), may_alias));

#define INLINE static inline __attribute__((always_inline))
