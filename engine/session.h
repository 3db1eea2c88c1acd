/* engine/session.h  One timeline of one model; belongs to the thread that
 * made it.
 *
 * The caller always hands the full token list; session_sync() stands exactly
 * there: it keeps the common prefix of what is cached and runs the rest. So
 * an edit at the end of a long prompt costs only the changed tokens, and
 * going back costs nothing.
 */
#ifndef JIELONG_SESSION_H
#define JIELONG_SESSION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "engine/base/err.h"

struct model;
struct session;

struct session_options {
    int n_threads;             /* 0: as many as the machine has */
    bool fast;                 /* the fast arithmetic; a model that was
                                * opened for it has it anyway */
    const atomic_bool *cancel; /* looked at before every layer; may be NULL */
    /* Progress of a long prefill, on this thread, after each slice. */
    void (*reading)(void *ud, int done, int total);
    void *ud;
};

struct session *session_new(const struct model *m,
                            const struct session_options *opt, struct err *err);
/* The same over a network alone (for tests and measurements). g is borrowed
 * till session_free. */
struct gpt2;
struct session *session_new_gpt2(const struct gpt2 *g,
                                 const struct session_options *opt,
                                 struct err *err);
void session_free(struct session *s);

/* Stand exactly at these n tokens, 1 <= n <= P. Afterwards session_logits()
 * holds the row after the last one. false: cancelled (err kind
 * ERR_CANCELLED; what was run so far stays valid as a prefix) or failed. */
bool session_sync(struct session *s, const int *ids, size_t n, struct err *err);
/* One token more. Needs room (session_n < P). */
bool session_step(struct session *s, int id, struct err *err);
/* [V], borrowed till the next sync or step. NULL before the first, and after
 * one that was cancelled. */
const float *session_logits(const struct session *s);
size_t session_n(const struct session *s);       /* tokens it stands at */
const int *session_ids(const struct session *s); /* borrowed */
/* Tokens that the last sync had to run (for tests and the status). */
size_t session_last_run(const struct session *s);
/* Bytes of KV cache and scratch. */
size_t session_bytes(const struct session *s);

/* All rows of a prompt, for `jielong logits`: row(ud, i, logits) for every i
 * in order, each borrowed during the call; row returning false stops early
 * (still true here). The session starts anew and stands at the rows told, or a
 * few further; session_logits() is NULL afterwards. */
bool session_all_logits(struct session *s, const int *ids, size_t n,
                        bool (*row)(void *ud, size_t i, const float *logits),
                        void *ud, struct err *err);

#endif
