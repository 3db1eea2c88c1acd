/* tests/originals.h  Comparing a model with what was recorded of the original
 * programs. For tests only; every function fails the running test on trouble.
 */
#ifndef JIELONG_ORIGINALS_H
#define JIELONG_ORIGINALS_H

#include <jansson.h>
#include <math.h>

#include "engine/model.h"

#include "tests/tiny_models.h"

/* A path in the shared folder's fixtures, given (free); the running test is
 * skipped when it is not at hand. */
static inline char *
shared(const char *what)
{
    const char *dir = getenv("JIELONG_TEST_SHARED");
    char *path = xasprintf("%s/fixtures/%s", dir ? dir : "", what);

    if (access(path, R_OK) == 0)
        return path;
    print_message("# SKIPPED: %s is not here\n", path);
    free(path);
    skip();
    return NULL;
}

static inline struct model *
must_open(const char *path, const struct model_options *opt)
{
    struct err err = { 0 };
    struct model *m = model_open(path, opt, &err);

    if (!m)
        fail_msg("%s", err.msg);
    return m;
}

struct rows {
    const float *want; /* rows of V from row `from` on */
    size_t V, from, n, seen;
    double worst;
};

static inline bool
compare_row(void *ud, size_t i, const float *logits)
{
    struct rows *r = ud;
    size_t k;

    assert_int_equal(i, r->seen++);
    for (k = 0; i >= r->from && k < r->V; k++) {
        double d =
            fabs((double)logits[k] - (double)r->want[(i - r->from) * r->V + k]);

        if (!(d <= r->worst))
            r->worst = d;
    }
    return true;
}

/* Largest difference between the model's logits of ids and recorded rows,
 * which begin at position `from`. */
static inline double
difference_from(const struct model *m, const int *ids, size_t n,
                const float *want, size_t from)
{
    struct rows r = { .V = (size_t)model_info(m)->n_vocab,
                      .from = from,
                      .want = want };
    struct err err = { 0 };

    if (!model_logits(m, ids, n, compare_row, &r, &err))
        fail_msg("%s", err.msg);
    assert_int_equal(r.seen, n);
    return r.worst;
}

/* The same, with all rows of a file of f32. */
static inline double
difference(const struct model *m, const int *ids, size_t n, const char *file,
           size_t from)
{
    char *data;
    size_t len;
    double worst;

    must_read(file, &data, &len);
    assert_int_equal(len, 4 * (n - from) * (size_t)model_info(m)->n_vocab);
    worst = difference_from(m, ids, n, (const float *)data, from);
    free(data);
    return worst;
}

/* Greedy continuation must be exactly these ids. */
static inline void
must_continue(const struct model *m, const char *name, const int *ids, size_t n,
              const int *want, size_t n_new)
{
    int *got = xcalloc(n_new + 1, sizeof *got);
    struct err err = { 0 };

    if (!model_greedy(m, ids, n, got, n_new, &err))
        fail_msg("%s: %s", name, err.msg);
    if (memcmp(got, want, n_new * sizeof *got) != 0)
        fail_msg("%s: greedy ids differ", name);
    free(got);
}

static inline size_t
json_ids(const json_t *list, int **ids)
{
    size_t n = json_array_size(list), i;

    *ids = xcalloc(n + 1, sizeof **ids);
    for (i = 0; i < n; i++)
        (*ids)[i] = (int)json_integer_value(json_array_get(list, i));
    return n;
}

static inline json_t *
must_load_json(const char *dir, const char *name)
{
    char *path = xasprintf("%s/%s", dir, name);
    json_t *j = json_load_file(path, 0, NULL);

    if (!j)
        fail_msg("%s cannot be read", path);
    free(path);
    return j;
}

static inline const char *
json_text_of(const json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

/* What a loader did with a broken or odd file against what it should do.
 * path is left out of the message that is shown. */
static inline void
check_expectation(const char *name, const char *expect, const char *path,
                  const struct model *m, const struct err *err)
{
    bool either = strcmp(expect, "load") != 0 && strcmp(expect, "refuse") != 0;

    if (!either && (m != NULL) != (strcmp(expect, "load") == 0))
        fail_msg("%s: %s", name, m ? "accepted" : err->msg);
    if (m)
        return;
    print_message("# %-38s %s\n", name,
                  strncmp(err->msg, path, strlen(path)) == 0
                      ? err->msg + strlen(path)
                      : err->msg);
    assert_int_equal(err_exit_status(err->kind), 3);
    assert_true(strlen(err->msg) > 20);
}

#endif
