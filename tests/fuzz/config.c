/* tests/fuzz/config.c  config.json, then generation_config.json. */
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t len;
    const uint8_t *p = fuzz_part(&data, &size, &len);
    struct model_config c;
    struct err err = { 0 };

    fuzz_file("config.json", p, len);
    p = fuzz_part(&data, &size, &len);
    fuzz_file("generation_config.json", len ? (const void *)p : "{}",
              len ? len : 2);
    config_read(fuzz_folder(), &c, &err);
    return 0;
}
