/* tests/fuzz/config.c  config.json, then generation_config.json. */
#include "engine/load/texts.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t len;
    const uint8_t *p = fuzz_part(&data, &size, &len);
    struct texts t = { 0 };
    struct model_config c;
    struct err err = { 0 };

    fuzz_file("config.json", p, len);
    p = fuzz_part(&data, &size, &len);
    fuzz_file("generation_config.json", len ? (const void *)p : "{}",
              len ? len : 2);
    texts_add_in(&t, fuzz_folder(), "config.json");
    texts_add_in(&t, fuzz_folder(), "generation_config.json");
    config_parse(&t, fuzz_folder(), &c, &err);
    texts_close(&t);
    return 0;
}
