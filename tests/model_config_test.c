/* tests/model_config_test.c  config.json against the weights beside it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>

#include "tests/loading.h"
#include "tests/tiny_models.h"

static void
bad_configs(void **state)
{
    static const struct {
        const char *from, *to, *why;
    } rows[] = {
        { "\"n_head\": 2", "\"n_head\": 3", "do not divide" },
        { "\"n_head\": 2", "\"n_head\": 0", "n_head must be" },
        { "\"n_head\": 2", "\"n_head\": -2", "n_head must be" },
        { "\"n_head\": 2", "\"n_head\": 4294967298", "do not divide" },
        { "\"n_head\": 2", "\"n_head\": 2.5", "n_head must be" },
        { "\"n_head\": 2", "\"n_head\": \"2\"", "n_head must be" },
        { "\"n_head\": 2", "\"n_head\": null", "number of heads" },
        { "\"n_head\": 2", "\"n_head\": 1e400", "too large" },
        { "\"n_embd\": 16", "\"n_embd\": 32", "another model" },
        { "\"n_embd\": 16", "\"n_embd\": -16", "n_embd must be" },
        { "\"n_layer\": 3", "\"n_layer\": 4", "incomplete" },
        { "\"n_layer\": 3", "\"n_layer\": 1000000000000000000",
          "incomplete" },
        { "\"n_ctx\": 24", "\"n_ctx\": 0", "n_ctx must be" },
        { "\"gelu_new\"", "\"gelu_odd\"", "\"gelu_odd\" is not known" },
        { "\"gelu_new\"", "7", "must be a name" },
        { "1e-05", "0", "layer_norm_epsilon" },
        { "1e-05", "-1", "layer_norm_epsilon" },
        { "1e-05", "\"small\"", "layer_norm_epsilon" },
        { "\"n_ctx\": 24", "\"quantization_config\": {\"bits\": 4}",
          "quantised" },
        { "\"n_ctx\": 24", "\"add_cross_attention\": true", "translation" },
        { "\"n_ctx\": 24", "\"scale_attn_weights\": 1", "true or false" },
        { "\"eos_token_id\": 3", "\"eos_token_id\": [3, {}]", "eos_token" },
        { "{", "", "config.json" },
        { "{", "[{", "not a JSON object" },
    };
    char *dir = scratch_make(), *text, *config;
    size_t i, len;

    must_read(tiny("f32/config.json"), &config, &len);
    scratch_link(dir, "model.safetensors", "f32/model.safetensors");
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        text = replaced(config, rows[i].from, rows[i].to);
        assert_non_null(text);
        scratch_put(dir, "config.json", text, strlen(text));
        must_refuse(dir, "", rows[i].why);
        free(text);
    }
    for (i = 0; i < len - 2; i += 5) {
        scratch_put(dir, "config.json", config, i);
        must_refuse(dir, "config.json", "");
    }
    free(config);
    scratch_remove(dir);
}

/* Numbers that are wrong but need not be believed. */
static void
tolerated_configs(void **state)
{
    static const struct {
        const char *from, *to;
        int P;
        size_t notes;
    } rows[] = {
        { "\"vocab_size\": 61", "\"vocab_size\": 1000000000000000000", 24, 1 },
        { "\"vocab_size\": 61", "\"vocab_size\": 100", 24, 0 },
        { "\"n_positions\": 24", "\"n_positions\": 1000000000000", 24, 0 },
        { "\"n_ctx\": 24", "\"n_ctx\": 9", 9, 0 },
        { "\"n_ctx\": 24", "\"n_ctx\": null", 24, 0 },
        { "\"n_ctx\": 24", "\"n_ctx\": 1000000000000000", 24, 0 },
        { "\"n_layer\": 3", "\"n_layer\": 2", 24, 1 },
        { "\"n_layer\": 3", "\"n_layer\": null", 24, 0 },
        { "\"n_inner\": 40", "\"n_inner\": null", 24, 0 },
        { "\"n_inner\": 40", "\"n_inner\": 64", 24, 1 },
        { "\"n_ctx\": 24", "\"tie_word_embeddings\": false", 24, 1 },
        { "\"n_ctx\": 24", "\"quantization_config\": null", 24, 0 },
        { "\"n_ctx\": 24", "\"a\": {\"b\": [1, [2, {\"c\": null}]]}", 24, 0 },
    };
    char *dir = scratch_make(), *text, *config;
    struct notes notes = { 0 };
    struct gpt2 *g;
    size_t i, len;

    must_read(tiny("f32/config.json"), &config, &len);
    scratch_link(dir, "model.safetensors", "f32/model.safetensors");
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        text = replaced(config, rows[i].from, rows[i].to);
        assert_non_null(text);
        scratch_put(dir, "config.json", text, strlen(text));
        free(text);
        g = must_load(dir, &notes);
        assert_int_equal(g->P, rows[i].P);
        assert_int_equal(g->L, 3);
        if (notes.n != rows[i].notes)
            fail_msg("%s: %zu notes", rows[i].to, notes.n);
        notes_free(&notes);
        gpt2_free(g);
    }
    free(config);
    scratch_remove(dir);
}

static void
configs_are_read(void **state)
{
    static const char one[] =
        "{\"num_attention_heads\":4,\"hidden_size\":8,\"num_hidden_layers\":2,"
        "\"max_position_embeddings\":32,\"layer_norm_epsilon\":1e-3,"
        "\"activation_function\":\"gelu\",\"bos_token_id\":[7,9],"
        "\"eos_token_id\":5,\"scale_attn_weights\":false,"
        "\"scale_attn_by_inverse_layer_idx\":true}";
    static const char two[] = "{\"eos_token_id\":[6,1],\"n_head\":99}";
    char *dir = scratch_make();
    struct model_config c;
    struct err err = { 0 };

    assert_true(config_read(dir, &c, &err));
    assert_false(c.present);
    assert_int_equal(c.n_head, -1);
    assert_int_equal(c.act, ACT_GELU_TANH);
    assert_true(c.scale_attn && !c.scale_by_layer && c.tie);
    assert_true(c.ln_eps == 1e-5);
    scratch_put(dir, "config.json", one, sizeof one - 1);
    assert_true(config_read(dir, &c, &err));
    assert_true(c.present);
    assert_int_equal(c.n_head, 4);
    assert_int_equal(c.n_embd, 8);
    assert_int_equal(c.n_layer, 2);
    assert_int_equal(c.n_positions, 32);
    assert_int_equal(c.act, ACT_GELU_ERF);
    assert_true(c.ln_eps == 1e-3);
    assert_int_equal(c.bos, 7);
    assert_int_equal(c.eos, 5);
    assert_true(!c.scale_attn && c.scale_by_layer);
    scratch_put(dir, "generation_config.json", two, sizeof two - 1);
    assert_true(config_read(dir, &c, &err));
    assert_int_equal(c.bos, 7);
    assert_int_equal(c.eos, 6);
    assert_int_equal(c.n_head, 4);
    scratch_put(dir, "generation_config.json", "{", 1);
    assert_false(config_read(dir, &c, &err));
    assert_int_equal(err.kind, ERR_MODEL);
    assert_non_null(strstr(err.msg, "generation_config.json"));
    scratch_remove(dir);
}

/* nanoGPT files without biases: zeros; a Conv1D file may not lack them. */
static void
missing_biases_of_linear_files(void **state)
{
    char *dir = scratch_make(), *all, *text, *next;
    struct notes notes = { 0 };
    struct gpt2 *g;
    size_t len, i, k;
    uint64_t n;

    must_read(tiny("linear/model.safetensors"), &all, &len);
    memcpy(&n, all, 8);
    text = xstrndup(all + 8, (size_t)n);
    /* Rename every bias away: it then counts as unknown. */
    while ((next = replaced(text, ".bias\"", ".bios\""))) {
        free(text);
        text = next;
    }
    scratch_safetensors(dir, text, strlen(text), all + 8 + n, len - 8 - n);
    scratch_link(dir, "config.json", "linear/config.json");
    g = must_load(dir, &notes);
    for (i = 0; i < 3; i++)
        for (k = 0; k < 16; k++) {
            assert_true(g->layer[i].ln1_b[k] == 0);
            assert_true(g->layer[i].proj_b[k] == 0);
        }
    assert_int_equal(notes.n, 1);
    gpt2_free(g);
    notes_free(&notes);
    /* One bias alone is a fault. */
    next = replaced(text, "h.1.mlp.c_fc.bios", "h.1.mlp.c_fc.bias");
    scratch_safetensors(dir, next, strlen(next), all + 8 + n, len - 8 - n);
    must_refuse(dir, "", "is missing");
    free(next);
    free(text);
    free(all);
    scratch_remove(dir);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_configs),
        cmocka_unit_test(tolerated_configs),
        cmocka_unit_test(configs_are_read),
        cmocka_unit_test(missing_biases_of_linear_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
