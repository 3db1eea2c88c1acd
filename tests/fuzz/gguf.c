/* tests/fuzz/gguf.c  A GGUF header, its numbers and its vocabulary. */
#include "engine/load/gguf.h"

#include "tests/fuzz/fuzz.h"
#include "tests/vocab_use.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tensor_table t;
    struct meta meta = { 0 };
    struct model_config c = { 0 };
    struct err err = { 0 };
    struct vocab *v;

    tensor_table_init(&t);
    if (gguf_read(fuzz_fd(data, size), 0, "fuzz", &t, &meta, &err)) {
        fuzz_walk(&t);
        config_from_meta(&meta, &c, &err);
        v = vocab_in_meta(&meta) ? vocab_from_meta(&meta, "fuzz", &err) : NULL;
        if (v)
            vocab_use(v);
        vocab_close(v);
    }
    tensor_table_free(&t);
    meta_free(&meta);
    return 0;
}
