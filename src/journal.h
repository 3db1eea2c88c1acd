/* src/journal.h  Bytes that survive: a file that only grows.
 *
 * What is appended has been through write(2) when the call returns, or waits
 * in memory and the state says so. A thread of its own syncs, at most once a
 * second and when asked. The journal knows nothing of what the bytes mean,
 * only that they are lines. Main thread only, but for journal_emergency().
 */
#ifndef JIELONG_JOURNAL_H
#define JIELONG_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/err.h"

#include "src/record.h"

struct journal;

enum journal_open {
    JOURNAL_OPEN,     /* ours to write */
    JOURNAL_NEW,      /* no such file: made at the first append */
    JOURNAL_HELD,     /* another program has it open */
    JOURNAL_NO_LOCKS, /* this file system knows no locks */
    JOURNAL_NO_WRITE, /* we may read it, not write */
    JOURNAL_NO_READ   /* err says why */
};

struct journal_options {
    bool read_only; /* no lock, no writing */
    /* A whole new copy of all lines, for a file whose beginning can no longer
     * be read back; appended to out. */
    void (*snapshot)(void *ud, struct bytes *out);
    void *ud;
};

/* Opens path and gives its bytes (*data with a NUL behind, free). Where the
 * answer is neither OPEN nor NEW the journal can only be read, but may be
 * moved; NULL and err with NO_READ. Never writes. */
struct journal *journal_open(const char *path,
                             const struct journal_options *opt,
                             enum journal_open *how, char **data, size_t *len,
                             struct err *err);
/* Writes, syncs (waiting a few seconds at most), unlocks. */
void journal_close(struct journal *j);

enum journal_state {
    JOURNAL_FINE,
    JOURNAL_WAITING, /* bytes are only in memory: errno of journal_error() */
    JOURNAL_SLOW     /* the same, since the disk does not answer */
};

/* Queues whole lines and writes all that waits. */
void journal_append(struct journal *j, const char *s, size_t len);
/* Tries again to write what waits, and looks after what the thread has done.
 * Returns whether nothing waits any more. */
bool journal_flush(struct journal *j);
/* Asks the thread to sync now. */
void journal_commit(struct journal *j);
enum journal_state journal_state(const struct journal *j);
int journal_error(const struct journal *j);
bool journal_dirty(const struct journal *j); /* something is not synced */
/* Where the lines go now: not the opened path once they were diverted. */
const char *journal_path(const struct journal *j);

enum journal_event { /* since the last call */
    JOURNAL_QUIET,
    JOURNAL_DIVERTED,  /* the file was changed by others: a copy goes on */
    JOURNAL_REMADE,    /* the file was removed: all of it stands there again */
    JOURNAL_RENEWED    /* after a sync error a fresh copy took its place */
};
enum journal_event journal_event(struct journal *j);
/* Was the file changed or replaced by others? Looks, does nothing. */
bool journal_foreign(const struct journal *j);

/* Goes on in a new file at path with all lines so far. false: errno. */
bool journal_move(struct journal *j, const char *path);
/* Best effort of a dying program: write(2) and fdatasync(2), nothing else.
 * Async-signal-safe. */
void journal_emergency(struct journal *j);

/* Before each system call that changes a file: returns 0 to let it happen or
 * an errno to fail with; for WRITE, *len may be made shorter. For tests. */
enum journal_call {
    JOURNAL_CALL_OPEN, JOURNAL_CALL_WRITE, JOURNAL_CALL_SYNC,
    JOURNAL_CALL_TRUNCATE, JOURNAL_CALL_RENAME, JOURNAL_CALL_RESERVE
};
typedef int (*journal_fault_fn)(void *ud, enum journal_call call, size_t *len);
void journal_fault_hook(journal_fault_fn fn, void *ud);

#endif
