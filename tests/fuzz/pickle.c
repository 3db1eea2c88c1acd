/* tests/fuzz/pickle.c  The pickle machine alone. */
#include "engine/load/pickle.h"

#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pickle p;
    struct err err = { 0 };
    uint32_t root;
    struct rd r;

    pickle_init(&p);
    rd_init(&r, data, size);
    while (pickle_read(&p, &r, "fuzz", &root, &err)) {
        pickle_get(&p, root, "state_dict");
        pickle_is_str(&p, root, "x");
    }
    pickle_free(&p);
    return 0;
}
