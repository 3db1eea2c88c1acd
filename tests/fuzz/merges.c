/* tests/fuzz/merges.c  vocab.json, merges.txt, then added_tokens.json. */
#include "tests/fuzz/fuzz.h"
#include "tests/vocab_use.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t len;
    const uint8_t *p = fuzz_part(&data, &size, &len);
    struct err err = { 0 };
    struct vocab *v;

    fuzz_file("vocab.json", p, len);
    p = fuzz_part(&data, &size, &len);
    fuzz_file("merges.txt", p, len);
    p = fuzz_part(&data, &size, &len);
    fuzz_file("added_tokens.json", len ? (const void *)p : "{}", len ? len : 2);
    v = vocab_open_unjailed(fuzz_folder(), &err);
    if (v && vocab_choose_profile(v, "gpt2", vocab_size(v) + 3, -1, -1, &err))
        vocab_use(v);
    vocab_close(v);
    return 0;
}
