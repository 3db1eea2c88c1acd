/* tests/quant_test.c  Every block format against values of gguf-py. */
#include "engine/load/quant.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static size_t
from_hex(const char *hex, unsigned char *out)
{
    size_t n = 0;
    unsigned byte;

    for (; sscanf(hex, "%2x", &byte) == 1; hex += 2)
        out[n++] = (unsigned char)byte;
    return n;
}

/* The same bits: all these products of small numbers are exact in f32, or
 * rounded once. */
static void
golden_blocks(void **state)
{
    char path[1024], *line = NULL, name[32], hex[600];
    size_t cap = 0;
    unsigned type, seen = 0;
    FILE *f;

    snprintf(path, sizeof path, "%s/quant.txt", getenv("JIELONG_TEST_DATA"));
    f = fopen(path, "r");
    assert_non_null(f);
    while (getline(&line, &cap, f) > 0) {
        const struct quant_row *q;
        unsigned char block[256];
        float got[256];
        char *p, *end;

        if (line[0] == '#')
            continue;
        assert_int_equal(sscanf(line, "%u %31s %599s", &type, name, hex), 3);
        q = quant_find(type);
        assert_non_null(q);
        assert_string_equal(q->name, name);
        assert_int_equal(from_hex(hex, block), q->bytes);
        q->unpack(block, got);
        assert_true(getline(&line, &cap, f) > 0);
        p = line;
        for (unsigned i = 0; i < q->elems; i++, p = end) {
            float want = strtof(p, &end);

            assert_true(end > p);
            if (!(got[i] - want <= 1e-6f * (want < 0 ? -want : want) &&
                  want - got[i] <= 1e-6f * (want < 0 ? -want : want)))
                fail_msg("%s: value %u is %.9g, not %.9g", name, i,
                         (double)got[i], (double)want);
        }
        seen++;
    }
    assert_int_equal(seen, 12);
    free(line);
    fclose(f);
}

static void
other_types_are_unknown(void **state)
{
    static const uint32_t none[] = { 0,  1,  4,  5,  9,  15, 16, 17,
                                     18, 19, 21, 22, 24, 30, 31, 99 };

    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_null(quant_find(none[i]));
    assert_null(quant_find(UINT32_MAX));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_blocks),
        cmocka_unit_test(other_types_are_unknown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
