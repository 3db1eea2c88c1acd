/* tests/fuzz/tf_index.c  The index of a TensorFlow checkpoint. Checksums are
 * not compared in this build, else nothing would get past them. */
#include "engine/load/names.h"
#include "engine/load/tf.h"

#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tensor_table t;
    struct err err = { 0 };
    uint32_t shards;

    tensor_table_init(&t);
    if (tf_index_read(fuzz_fd(data, size), 0, "fuzz", &t, &shards, &err)) {
        fuzz_walk(&t);
        if (names_translate(&t, &err))
            fuzz_walk(&t);
    }
    tensor_table_free(&t);
    return 0;
}
