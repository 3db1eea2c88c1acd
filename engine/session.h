/* engine/session.h  Timelines of one model; they belong to the thread that
 * made the session.
 *
 * The caller always hands the full token list; session_sync() stands exactly
 * there: it keeps the common prefix of what is cached and runs the rest. So
 * an edit at the end of a long prompt costs only the changed tokens, and
 * going back costs nothing.
 *
 * A session is one timeline, lane 0, till session_fork() makes more that go
 * on from there, each its own way. A pass over the weights serves all lanes;
 * what they have in common is kept once (kv.h). A lane's logits are the bits
 * that it would have alone.
 *
 * Where a lane will soon have to stand at other tokens (the window that comes
 * next), these are read ahead beside its steps, a few with each; session_move()
 * then finds them read. Reading ahead changes when work is done, and no bit.
 */
#ifndef JIELONG_SESSION_H
#define JIELONG_SESSION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/err.h"

#define SESSION_LANES_MAX 64 /* GEN_LANES_MAX */

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

/* m is borrowed till session_free(). NULL and err (ERR_MEMORY) when there is
 * no room. opt is copied, what it points to is borrowed; NULL: all 0. */
struct session *session_new(const struct model *m,
                            const struct session_options *opt, struct err *err);
/* The same over a network alone (for tests and measurements). g is borrowed
 * till session_free. */
struct gpt2;
struct session *session_new_gpt2(const struct gpt2 *g,
                                 const struct session_options *opt,
                                 struct err *err);
/* NULL is allowed. */
void session_free(struct session *s);

/* --- lane 0 --- */

/* Stand exactly at these n tokens, 1 <= n <= P, with lane 0 alone; what any
 * lane has read, ahead or not, serves. Afterwards session_logits() holds the
 * row after the last one. false: cancelled (err kind ERR_CANCELLED; what was
 * run so far stays valid as a prefix) or failed (ERR_MEMORY; ERR_FAILED: too
 * many tokens, or an id that the model does not have). */
bool session_sync(struct session *s, const int *ids, size_t n, struct err *err);
/* One token more. Needs room (session_n < P). Errors as session_sync(). */
bool session_step(struct session *s, int id, struct err *err);
/* [V], borrowed till the next sync, step, fork or move. NULL before the first,
 * and after one that was cancelled. */
const float *session_logits(const struct session *s);
size_t session_n(const struct session *s);       /* tokens it stands at */
const int *session_ids(const struct session *s); /* borrowed */

/* --- lanes --- */

/* After a sync: lanes 0 .. n-1 stand where lane 0 stands, with its logits;
 * 1 <= n <= SESSION_LANES_MAX. false and err (ERR_MEMORY): no room for their
 * logits. */
bool session_fork(struct session *s, int n, struct err *err);
/* Bytes that n lanes may come to take beside what the session holds, when
 * each of them goes on for n_tokens tokens. */
size_t session_lanes_bytes(const struct session *s, int n, size_t n_tokens);

struct session_token {
    int lane, id;
    /* The window that the lane will move to, as far as it is known, or NULL:
     * up to n_rows of its tokens that were not read yet are, in this pass. */
    const int *next; /* borrowed during the call */
    size_t n_next;
    int n_rows;
};
/* One token more for each of these n lanes, in one pass; each stands before
 * its P-th token, none is named twice. Where it fails or is cancelled all
 * stand where they stood; errors as session_sync(). */
bool session_step_lanes(struct session *s, const struct session_token *t, int n,
                        struct err *err);
/* As session_sync for one lane, and the others stay: it stands at ids[0..n),
 * what it has read ahead serves. Errors the same. */
bool session_move(struct session *s, int lane, const int *ids, size_t n,
                  struct err *err);
/* Reads ahead at once what session_step_lanes would leave: till no more than
 * `left` of next[0..n) are unread. Errors as session_sync(). */
bool session_read_ahead(struct session *s, int lane, const int *next, size_t n,
                        size_t left, struct err *err);
/* How many of next[0..n) are not read yet. */
size_t session_unread(const struct session *s, int lane, const int *next,
                      size_t n);
/* As session_logits(), of one lane. */
const float *session_lane_logits(const struct session *s, int lane);
size_t session_lane_n(const struct session *s, int lane);

/* --- for tests and the status --- */

/* Tokens that the network ran over in the last sync, move or step. */
size_t session_last_run(const struct session *s);
/* And since the session is there. */
uint64_t session_rows(const struct session *s);
/* Bytes of scratch, logits and all pages that were ever in use. */
size_t session_bytes(const struct session *s);
/* Bytes of these pages alone. */
size_t session_kv_bytes(const struct session *s);

/* All rows of a prompt, for `jielong logits`: row(ud, i, logits) for every i
 * in order, each borrowed during the call; row returning false stops early
 * (still true here). The session starts anew and stands at the rows told, or a
 * few further; session_logits() is NULL afterwards. */
bool session_all_logits(struct session *s, const int *ids, size_t n,
                        bool (*row)(void *ud, size_t i, const float *logits),
                        void *ud, struct err *err);

#endif
