/* engine/load/config.c  config.json and generation_config.json.
 *
 * One table of keys; whatever else stands in the files is stepped over. A key
 * may have two names (GPT2Config's attribute_map in transformers). What a
 * number means against the weights is plan.c's business; here it must only be
 * a number that can mean anything.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/json.h"
#include "engine/base/mem.h"
#include "engine/load/load.h"
#include "engine/load/texts.h"

#define CONFIG_MAX ((size_t)16 << 20)

enum key_kind {
    COUNT,  /* a positive integer, null: absent */
    TOKEN,  /* an integer or a list of them (the first counts), null */
    SWITCH, /* true, false, null: the default */
    EPSILON,
    ACTIVATION,
    AFN,    /* the first GPT's activation, whose "gelu" is the tanh form */
    REFUSED /* anything but null and false */
};

#define AT(member) offsetof(struct model_config, member)

static const struct key {
    const char *name;
    enum key_kind kind;
    size_t at;
    bool generation; /* also looked for in generation_config.json */
    const char *why; /* REFUSED */
} keys[] = {
    { "n_head", COUNT, AT(n_head), false, NULL },
    { "num_attention_heads", COUNT, AT(n_head), false, NULL },
    { "n_embd", COUNT, AT(n_embd), false, NULL },
    { "hidden_size", COUNT, AT(n_embd), false, NULL },
    { "n_layer", COUNT, AT(n_layer), false, NULL },
    { "num_hidden_layers", COUNT, AT(n_layer), false, NULL },
    { "n_positions", COUNT, AT(n_positions), false, NULL },
    { "max_position_embeddings", COUNT, AT(n_positions), false, NULL },
    { "n_ctx", COUNT, AT(n_ctx), false, NULL },
    { "n_inner", COUNT, AT(n_inner), false, NULL },
    { "intermediate_size", COUNT, AT(n_inner), false, NULL },
    { "n_vocab", COUNT, AT(vocab_size), false, NULL },
    { "vocab_size", COUNT, AT(vocab_size), false, NULL },
    { "activation_function", ACTIVATION, AT(act), false, NULL },
    { "afn", AFN, AT(act), false, NULL },
    { "layer_norm_epsilon", EPSILON, AT(ln_eps), false, NULL },
    { "scale_attn_weights", SWITCH, AT(scale_attn), false, NULL },
    { "scale_attn_by_inverse_layer_idx", SWITCH, AT(scale_by_layer), false,
      NULL },
    { "tie_word_embeddings", SWITCH, AT(tie), false, NULL },
    { "bos_token_id", TOKEN, AT(bos), true, NULL },
    { "eos_token_id", TOKEN, AT(eos), true, NULL },
    { "add_cross_attention", REFUSED, 0, false,
      "this is the decoder of a translation model (add_cross_attention)" },
    { "quantization_config", REFUSED, 0, false,
      "the weights are quantised (quantization_config), use the original" },
};

/* Names in transformers' activations.py, and what they compute. */
static const struct {
    const char *name;
    enum activation act;
} activations[] = {
    { "gelu_new", ACT_GELU_TANH },
    { "gelu_pytorch_tanh", ACT_GELU_TANH },
    { "gelu_accurate", ACT_GELU_TANH },
    { "gelu_fast", ACT_GELU_TANH }, /* the same function to rounding */
    { "gelu", ACT_GELU_ERF },
    { "gelu_python", ACT_GELU_ERF },
    { "quick_gelu", ACT_QUICK_GELU },
    { "relu", ACT_RELU },
    { "tanh", ACT_TANH },
    { "silu", ACT_SILU },
    { "swish", ACT_SILU },
};

static bool
wrong(const struct key *k, struct err *err, const char *wanted)
{
    return err_set(err, ERR_MODEL, "%s must be %s", k->name, wanted);
}

static bool
read_token(struct json *j, const struct key *k, int64_t *out, struct err *err)
{
    int64_t v = -1;

    *out = -1;
    if (j->type == JSON_NULL)
        return true;
    if (j->type == JSON_ARRAY) {
        if (json_next(j) == JSON_INT)
            v = j->i;
        while (j->type == JSON_INT)
            json_next(j);
        if (j->type != JSON_ARRAY_END)
            return j->type != JSON_ERROR &&
                   wrong(k, err, "a token's number or a list of them");
    } else if (j->type == JSON_INT) {
        v = j->i;
    } else {
        return wrong(k, err, "a token's number or a list of them");
    }
    *out = v >= 0 ? v : -1;
    return true;
}

static bool
read_activation(struct json *j, enum activation *out, struct err *err)
{
    size_t i;
    char *name;

    if (j->type != JSON_STRING)
        return err_set(err, ERR_MODEL, "activation_function must be a name");
    for (i = 0; i < sizeof activations / sizeof *activations; i++)
        if (json_is(j, activations[i].name)) {
            *out = activations[i].act;
            return true;
        }
    name = json_dup(j, NULL);
    err_set(err, ERR_MODEL, "activation_function \"%.60s\" is not known here",
            name);
    free(name);
    return false;
}

/* The value after a key of the table. */
static bool
read_value(struct json *j, const struct key *k, struct model_config *c,
           struct err *err)
{
    void *at = (char *)c + k->at;

    if (json_next(j) == JSON_ERROR)
        return false;
    if (k->kind == TOKEN)
        return read_token(j, k, at, err);
    if (j->type == JSON_NULL)
        return true; /* absent */
    switch (k->kind) {
    case COUNT:
        if (j->type != JSON_INT || j->i <= 0)
            return wrong(k, err, "a whole number above 0");
        *(int64_t *)at = j->i;
        return true;
    case SWITCH:
        if (j->type != JSON_TRUE && j->type != JSON_FALSE)
            return wrong(k, err, "true or false");
        *(bool *)at = j->type == JSON_TRUE;
        return true;
    case EPSILON:
        if ((j->type != JSON_INT && j->type != JSON_NUMBER) || !(j->d > 0) ||
            !(j->d < 1))
            return wrong(k, err, "a number between 0 and 1");
        *(double *)at = j->d;
        return true;
    case ACTIVATION: return read_activation(j, at, err);
    case AFN:
        if (j->type != JSON_STRING || !json_is(j, "gelu"))
            return read_activation(j, at, err);
        *(enum activation *)at = ACT_GELU_TANH;
        return true;
    case REFUSED:
        if (j->type == JSON_FALSE)
            return true;
        return err_set(err, ERR_MODEL, "%s", k->why);
    case TOKEN: break;
    }
    return true;
}

static bool
parse(const char *text, size_t len, bool generation, struct model_config *c,
      struct err *err)
{
    size_t n = sizeof keys / sizeof *keys, i;
    struct json j;

    json_init(&j, text, len, 16, err);
    if (json_next(&j) != JSON_OBJECT)
        return j.type != JSON_ERROR &&
               err_set(err, ERR_MODEL, "the file is not a JSON object");
    while (json_next(&j) == JSON_KEY) {
        for (i = 0; i < n; i++)
            if ((!generation || keys[i].generation) &&
                json_is(&j, keys[i].name))
                break;
        if (i == n ? !json_skip(&j) : !read_value(&j, &keys[i], c, err))
            return false;
    }
    return j.type != JSON_ERROR && json_next(&j) == JSON_END;
}

static bool
read_file(const struct texts *t, const char *dir, const char *name,
          bool generation, struct model_config *c, bool *present,
          struct err *err)
{
    char *path = xasprintf("%s/%s", dir, name), *text = NULL;
    size_t len;
    bool ok;

    *present = texts_find(t, path) != NULL;
    ok = !*present || texts_read(t, path, CONFIG_MAX, &text, &len, err);
    if (ok && *present) {
        ok = parse(text, len, generation, c, err);
        if (!ok)
            err_wrap(err, "%s", path);
    }
    if (!ok && err && err->kind != ERR_MEMORY)
        err->kind = ERR_MODEL;
    free(text);
    free(path);
    return ok;
}

static const char *const files[] = { "config.json", "hparams.json",
                                     "generation_config.json" };

bool
config_parse(const struct texts *t, const char *dir, struct model_config *c,
             struct err *err)
{
    bool generation;

    *c = (struct model_config){
        .from = files[0],
        .n_head = -1,
        .n_embd = -1,
        .n_layer = -1,
        .n_positions = -1,
        .n_ctx = -1,
        .n_inner = -1,
        .vocab_size = -1,
        .act = ACT_GELU_TANH,
        .ln_eps = 1e-5,
        .scale_attn = true,
        .tie = true,
        .bos = -1,
        .eos = -1,
    };
    if (!read_file(t, dir, files[0], false, c, &c->present, err))
        return false;
    /* What OpenAI put beside its TF1 checkpoints. */
    if (!c->present) {
        if (!read_file(t, dir, files[1], false, c, &c->present, err))
            return false;
        if (c->present)
            c->from = files[1];
    }
    return read_file(t, dir, files[2], true, c, &generation, err);
}

/* --- out of the jail: every key of the table, and where it stood --- */

#define PRESENT "present" /* 0, or 1 + the number of the file */

static void
put_int(struct meta *m, const char *name, int64_t v)
{
    meta_begin(m, name, strlen(name), META_INT, 1);
    meta_put_int(m, v);
}

/* In the child. */
static bool
put_config(const struct texts *t, void *ud, struct meta *m, struct err *err)
{
    struct model_config c;

    if (!config_parse(t, ud, &c, err))
        return false;
    put_int(m, PRESENT, !c.present ? 0 : c.from == files[0] ? 1 : 2);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const struct key *k = &keys[i];
        const void *at = (const char *)&c + k->at;

        switch (k->kind) {
        case COUNT:
        case TOKEN: put_int(m, k->name, *(const int64_t *)at); break;
        case SWITCH: put_int(m, k->name, *(const bool *)at); break;
        case ACTIVATION:
        case AFN: put_int(m, k->name, *(const enum activation *)at); break;
        case EPSILON:
            meta_begin(m, k->name, strlen(k->name), META_REAL, 1);
            meta_put_real(m, *(const double *)at);
            break;
        case REFUSED: break;
        }
    }
    return true;
}

/* A number of the answer, in its range. */
static bool
take_key(const struct meta *m, const struct key *k, struct model_config *c)
{
    void *at = (char *)c + k->at;
    int64_t v = meta_int(m, k->name, -2);
    double d;

    switch (k->kind) {
    case COUNT: *(int64_t *)at = v; return v == -1 || v > 0;
    case TOKEN: *(int64_t *)at = v; return v >= -1;
    case SWITCH: *(bool *)at = v == 1; return v == 0 || v == 1;
    case ACTIVATION:
    case AFN:
        if (v < ACT_GELU_TANH || v > ACT_SILU)
            return false;
        *(enum activation *)at = (enum activation)v;
        return true;
    case EPSILON:
        *(double *)at = d = meta_real(m, k->name, 0);
        return d > 0 && d < 1;
    case REFUSED: break;
    }
    return true;
}

static bool
take_config(const struct meta *m, struct model_config *c)
{
    int64_t present = meta_int(m, PRESENT, -1);

    if (present < 0 || present > 2)
        return false;
    c->present = present > 0;
    c->from = files[present == 2];
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (!take_key(m, &keys[i], c))
            return false;
    return true;
}

bool
config_read(const char *dir, struct model_config *c, struct err *err)
{
    struct texts t = { 0 };
    struct meta m;
    bool ok;

    memset(c, 0, sizeof *c);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        texts_add_in(&t, dir, files[i]);
    ok = texts_parse(&t, put_config, (char *)(uintptr_t)dir, dir, &m, err);
    if (ok && !take_config(&m, c))
        ok = err_set(err, ERR_MODEL, "%s: its reader gave an impossible answer",
                     dir);
    if (m.p)
        texts_answer_free(&m);
    texts_close(&t);
    return ok;
}

/* --- the metadata of a GGUF file --- */

/* A whole number of the metadata; false when it is there and no size. */
static bool
take_count(const struct meta *m, const char *key, int64_t *out, struct err *err)
{
    int64_t v = meta_int(m, key, 0);

    if (!meta_has(m, key))
        return true;
    if (v <= 0)
        return err_set(err, ERR_MODEL, "%s must be a whole number above 0",
                       key);
    *out = v;
    return true;
}

bool
config_from_meta(const struct meta *m, struct model_config *c, struct err *err)
{
    struct meta_list l;
    const char *s = "";
    size_t len = 0;
    double eps;

    if (!meta_has(m, META_GGUF))
        return true;
    if (!meta_find(m, "general.architecture", META_TEXT, &l))
        return err_set(err, ERR_MODEL,
                       "general.architecture, which names the network, is "
                       "missing or no text");
    if (!meta_next_text(&l, &s, &len) || len != 4 || memcmp(s, "gpt2", 4) != 0)
        return err_set(err, ERR_MODEL,
                       "this GGUF file holds a model of the kind \"%.*s\", "
                       "not gpt2",
                       (int)(len > 40 ? 40 : len), s);
    c->present = true;
    c->from = "its metadata";
    eps = meta_real(m, "gpt2.attention.layer_norm_epsilon", c->ln_eps);
    if (!(eps > 0) || !(eps < 1))
        return err_set(err, ERR_MODEL,
                       "gpt2.attention.layer_norm_epsilon must be between 0 "
                       "and 1");
    c->ln_eps = eps;
    c->bos = meta_int(m, "tokenizer.ggml.bos_token_id", c->bos);
    c->eos = meta_int(m, "tokenizer.ggml.eos_token_id", c->eos);
    return take_count(m, "gpt2.context_length", &c->n_ctx, err) &&
           take_count(m, "gpt2.embedding_length", &c->n_embd, err) &&
           take_count(m, "gpt2.block_count", &c->n_layer, err) &&
           take_count(m, "gpt2.feed_forward_length", &c->n_inner, err) &&
           take_count(m, "gpt2.attention.head_count", &c->n_head, err);
}
