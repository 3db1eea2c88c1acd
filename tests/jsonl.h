/* tests/jsonl.h  Rows of JSON for tests: lines of a file, members by name.
 *
 * For test programs over recorded data; include after cmocka.h. Files that
 * end in .xz are read through xz.
 */
#ifndef JIELONG_TESTS_JSONL_H
#define JIELONG_TESTS_JSONL_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/json.h"
#include "engine/base/mem.h"

/* --- reading lines --- */

struct lines {
    FILE *f;
    bool pipe;
    char *buf;
    size_t cap;
};

static inline bool
lines_open(struct lines *l, const char *path)
{
    size_t n = strlen(path);

    memset(l, 0, sizeof *l);
    l->pipe = n > 3 && strcmp(path + n - 3, ".xz") == 0;
    if (l->pipe) {
        char *cmd = xasprintf("xz -dc '%s' 2>/dev/null", path);

        l->f = popen(cmd, "r");
        free(cmd);
    } else {
        l->f = fopen(path, "r");
    }
    return l->f != NULL;
}

static inline bool
lines_next(struct lines *l, size_t *len)
{
    ssize_t n = getline(&l->buf, &l->cap, l->f);

    *len = n > 0 ? (size_t)n : 0;
    return n > 0;
}

static inline void
lines_close(struct lines *l)
{
    if (l->pipe)
        pclose(l->f);
    else
        fclose(l->f);
    free(l->buf);
}

/* --- one row: texts and lists of ids by name --- */

struct ids {
    int v[65536];
    size_t n;
    bool there;
};

static inline bool
find_member(struct json *j, const char *line, size_t len, const char *name)
{
    json_init(j, line, len, 0, NULL);
    if (json_next(j) != JSON_OBJECT)
        return false;
    while (json_next(j) == JSON_KEY) {
        if (json_is(j, name))
            return json_next(j) != JSON_ERROR;
        if (!json_skip(j))
            return false;
    }
    return false;
}

static inline void
get_ids(struct ids *to, const char *line, size_t len, const char *name)
{
    struct json j;

    to->n = 0;
    to->there = find_member(&j, line, len, name);
    if (!to->there)
        return;
    assert_int_equal(j.type, JSON_ARRAY);
    while (json_next(&j) == JSON_INT && to->n < 65536)
        to->v[to->n++] = (int)j.i;
    assert_int_equal(j.type, JSON_ARRAY_END);
}

static inline char *
get_text(const char *line, size_t len, const char *name, size_t *n)
{
    struct json j;

    *n = 0;
    if (!find_member(&j, line, len, name) || j.type != JSON_STRING)
        return NULL;
    return json_dup(&j, n);
}

static inline bool
get_flag(const char *line, size_t len, const char *name)
{
    struct json j;

    return find_member(&j, line, len, name) && j.type == JSON_TRUE;
}

#endif
