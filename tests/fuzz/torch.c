/* tests/fuzz/torch.c  What torch.save wrote: the archive, or the form before
 * 1.6, pickles and storages in a row. */
#include "engine/load/foreign.h"

#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tensor_table t;
    struct meta meta = { 0 };
    struct err err = { 0 };

    tensor_table_init(&t);
    if (torch_read(fuzz_fd(data, size), 0, "fuzz", &t, &meta, &err))
        fuzz_walk(&t);
    tensor_table_free(&t);
    meta_free(&meta);
    return 0;
}
