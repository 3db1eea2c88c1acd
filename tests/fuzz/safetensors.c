/* tests/fuzz/safetensors.c  The header of a safetensors file. */
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tensor_table t;
    struct err err = { 0 };

    tensor_table_init(&t);
    if (safetensors_read(fuzz_fd(data, size), 0, "fuzz", &t, &err))
        fuzz_walk(&t);
    tensor_table_free(&t);
    return 0;
}
