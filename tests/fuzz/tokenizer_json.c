/* tests/fuzz/tokenizer_json.c  tokenizer.json of the tokenizers library. */
#include "tests/fuzz/fuzz.h"
#include "tests/vocab_use.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = { 0 };
    struct vocab *v;

    fuzz_file("tokenizer.json", data, size);
    v = vocab_open_unjailed(fuzz_folder(), &err);
    if (v && vocab_choose_profile(v, "gpt2", vocab_size(v) + 3, 0, 1, &err))
        vocab_use(v);
    vocab_close(v);
    return 0;
}
