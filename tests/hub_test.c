/* tests/hub_test.c  What a hub answers, and the models that are known: no
 * network. For downloads see get_test.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/mem.h"
#include "src/fetch.h"
#include "src/gitblob.h"
#include "src/hub.h"

static void
a_git_blob_has_its_sum(void **state)
{
    struct gitblob *g = gitblob_new(6);
    char hex[41];

    gitblob_add(g, "hel", 3);
    gitblob_add(g, "lo\n", 3);
    gitblob_finish(g, hex); /* printf 'hello\n' | git hash-object --stdin */
    assert_string_equal(hex, "ce013625030ba8dba906f756967f9e9ca394464a");
}

static void
files_are_chosen_from_a_list(void **state)
{
    static const struct {
        const char *list, *chosen; /* NULL: refused */
    } rows[] = {
        { "vocab.txt config.json model.safetensors pytorch_model.bin x.h5",
          "config.json vocab.txt model.safetensors" },
        { "vocab.txt pytorch_model.bin tf_model.h5",
          "vocab.txt pytorch_model.bin" },
        { "vocab.json pytorch_model-00001-of-00002.bin "
          "pytorch_model-00002-of-00002.bin pytorch_model.bin.index.json",
          "vocab.json pytorch_model-00001-of-00002.bin "
          "pytorch_model-00002-of-00002.bin pytorch_model.bin.index.json" },
        { "vocab.json model-00001-of-00002.safetensors "
          "model.safetensors.index.json",
          NULL },
        { "vocab.json model-00001-of-00002.safetensors pytorch_model.bin "
          "model.safetensors.index.json",
          "vocab.json pytorch_model.bin" },
        { "a.gguf", "a.gguf" },
        { "a.gguf b.gguf", NULL },
        { "../a.gguf", NULL },
        { "model.safetensors", NULL },
        { "vocab.txt ../model.safetensors x/model.safetensors", NULL },
        { "", NULL },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *text = xstrdup("{\"siblings\":["), *more, *names, *rest, *name;
        struct hub_model m;
        struct err err = { 0 };
        char have[1024] = "";
        bool ok;

        names = rest = xstrdup(rows[i].list);
        while ((name = strsep(&rest, " ")) && *name) {
            more = xasprintf("%s%s{\"rfilename\":\"%s\",\"size\":1}", text,
                             name == names ? "" : ",", name);
            free(text);
            text = more;
        }
        more = xasprintf("%s]}", text);
        ok = hub_read_list(&m, more, strlen(more), &err);
        assert_int_equal(ok, rows[i].chosen != NULL);
        for (size_t k = 0; ok && k < m.n; k++)
            snprintf(have + strlen(have), sizeof have - strlen(have), "%s%s",
                     k ? " " : "", m.files[k].name);
        if (ok)
            assert_string_equal(have, rows[i].chosen);
        else
            assert_int_equal(err.kind, ERR_MODEL);
        hub_model_finish(&m);
        free(names);
        free(more);
        free(text);
    }
}

/* Rubbish where numbers and sums should be is no number and no sum. */
static void
rubbish_in_a_list_is_nothing(void **state)
{
    static const char text[] =
        "{\"sha\":\"../x\",\"tags\":[1,\"license:gpl\"],\"cardData\":[],"
        "\"siblings\":[7,{\"rfilename\":\"vocab.txt\",\"size\":-1,"
        "\"blobId\":\"XY\"},{\"rfilename\":\"model.safetensors\",\"size\":"
        "\"9\","
        "\"lfs\":{\"sha256\":5,\"size\":99999999999999999}}]}";
    struct hub_model m;
    struct err err = { 0 };

    assert_true(hub_read_list(&m, text, sizeof text - 1, &err));
    assert_string_equal(m.revision, "main");
    assert_string_equal(m.licence, "gpl");
    assert_int_equal(m.n, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_true(m.files[i].size == FETCH_UNKNOWN);
        assert_string_equal(m.files[i].sha256, "");
        assert_string_equal(m.files[i].git, "");
    }
    hub_model_finish(&m);
}

static void
known_models_are_found(void **state)
{
    for (size_t i = 0; i < hub_n_known; i++) {
        assert_true(hub_is_repo(hub_known[i].repo));
        assert_ptr_equal(hub_find(strchr(hub_known[i].repo, '/') + 1),
                         &hub_known[i]);
        assert_ptr_equal(hub_find(hub_known[i].repo), &hub_known[i]);
    }
    assert_null(hub_find("gpt3"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_git_blob_has_its_sum),
        cmocka_unit_test(known_models_are_found),
        cmocka_unit_test(files_are_chosen_from_a_list),
        cmocka_unit_test(rubbish_in_a_list_is_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
