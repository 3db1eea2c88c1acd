/* tests/room_test.c  A model that does not fit into memory is refused before
 * anything is asked for, with figures and a way out.
 *
 * The files are holes: as large as they say, and taking no room. How large
 * they have to be the machine's own memory decides. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/model.h"

#include "tests/one_layer.h"
#include "tests/tiny_models.h"

enum { D = 4096, P = 64 };
#define V_MAX ((size_t)1 << 24)

static double
free_bytes(void)
{
    FILE *f = fopen("/proc/meminfo", "r");
    char line[128];
    double kb = 0;

    assert_non_null(f);
    while (fgets(line, sizeof line, f))
        if (sscanf(line, "MemAvailable: %lf", &kb) == 1)
            break;
    fclose(f);
    return kb * 1024;
}

/* GPT-2 of one layer and zeros, whose matrix of tokens is so large as BF16;
 * a machine that has more memory than any model may have is no place for it. */
static void
make_model(const char *dir, double bytes)
{
    static const char config[] = "{\"n_head\":2,\"n_ctx\":64}";
    size_t V = (size_t)(bytes / (2 * D)), at, len;
    char *path = xasprintf("%s/model.safetensors", dir), *text;
    uint64_t n;
    int fd;

    if (V >= V_MAX) {
        print_message("# SKIPPED: this machine has too much memory\n");
        skip();
    }
    text = one_layer_header(V, P, D, "BF16", &at);
    len = strlen(text);
    n = len;
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0);
    assert_true(file_write_all(fd, &n, 8, NULL));
    assert_true(file_write_all(fd, text, len, NULL));
    if (ftruncate(fd, (off_t)(8 + len + at)) != 0) {
        print_message("# SKIPPED: the file system allows no such file\n");
        skip();
    }
    close(fd);
    scratch_put(dir, "config.json", config, strlen(config));
    free(text);
    free(path);
}

static void
must_say(const char *dir, const char *type, const char *const *words)
{
    struct model_options opt = { .no_vocab_needed = true, .type = type };
    struct err err = { 0 };

    assert_null(model_open(dir, &opt, &err));
    assert_int_equal(err.kind, ERR_MEMORY);
    for (; *words; words++)
        if (!strstr(err.msg, *words))
            fail_msg("\"%s\" lacks \"%s\"", err.msg, *words);
}

static void
a_smaller_type_is_named(void **state)
{
    static const char *const f32[] = { "as f32 the model needs ", "weights ",
                                       "keys and values ", "working memory ",
                                       " are free", "take --type int8 (",
                                       "close other programs", NULL };
    static const char *const bf16[] = { "as bf16 ", "take --type int8 (",
                                        NULL };
    char *dir = scratch_make();

    /* int8 takes 9/16 of bf16: 0.73 of what is free here, bf16 1.3. */
    make_model(dir, free_bytes() * 1.3);
    must_say(dir, "f32", f32);
    must_say(dir, "bf16", bf16);
    scratch_remove(dir);
}

static void
where_none_fits_none_is_named(void **state)
{
    static const char *const words[] = { "as int4 ", "free: close other",
                                         "or take a smaller model", NULL };
    static const char *const int8[] = { "as int8 ", "or take a smaller model",
                                        NULL };
    char *dir = scratch_make();

    make_model(dir, free_bytes() * 4);
    must_say(dir, "int4", words);
    must_say(dir, "int8", int8);
    scratch_remove(dir);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_smaller_type_is_named),
        cmocka_unit_test(where_none_fits_none_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
