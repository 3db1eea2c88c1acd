/* tests/loading.h  A model's files to its weights, or a refusal in words.
 * For loader tests; include after cmocka.h. */
#ifndef JIELONG_TESTS_LOADING_H
#define JIELONG_TESTS_LOADING_H

#include <string.h>

#include "engine/gpt2.h"
#include "engine/load/fill.h"
#include "engine/load/load.h"
#include "engine/load/plan.h"

/* Everything from the path to the weights; NULL and err on refusal. */
static inline struct gpt2 *
load(const char *path, struct notes *notes, struct err *err)
{
    struct weights_source s;
    struct model_config c;
    struct plan p = { 0 };
    struct gpt2 *g = NULL;
    size_t n;

    memset(err, 0, sizeof *err);
    if (weights_open(&s, path, err) && config_read(s.dir, &c, err) &&
        plan_gpt2(&p, &s, &c, notes, err))
        g = fill_gpt2(&p, &s, &c, WT_F32, NULL, &n, err);
    plan_free(&p);
    weights_close(&s);
    return g;
}

static inline struct gpt2 *
must_load(const char *path, struct notes *notes)
{
    struct err err;
    struct gpt2 *g = load(path, notes, &err);

    if (!g)
        fail_msg("%s", err.msg);
    assert_int_equal(err.kind, ERR_NONE);
    return g;
}

/* Refused, by a sentence that names the file and says `why`. */
static inline void
must_refuse(const char *path, const char *where, const char *why)
{
    struct notes notes = { 0 };
    struct err err;
    struct gpt2 *g = load(path, &notes, &err);

    if (g)
        fail_msg("accepted, should say: %s", why);
    if (!strstr(err.msg, where) || !strstr(err.msg, why))
        fail_msg("\"%s\" lacks \"%s\" or \"%s\"", err.msg, where, why);
    assert_true(err.kind == ERR_MODEL);
    notes_free(&notes);
}

#endif
