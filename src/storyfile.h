/* src/storyfile.h  NAME.jl: records of doc/story.md to and from ops.
 *
 * Opening applies the records again and never writes. Appending happens in
 * a watcher of the story: one write(2) per record batch, before anything is
 * painted. Syncing (fdatasync) is done by the journal's own thread at most
 * once a second and at commit points. doc/story.md has the rules.
 * Main thread only.
 */
#ifndef JIELONG_STORYFILE_H
#define JIELONG_STORYFILE_H

#include "src/story.h"

struct storyfile;

struct storyfile_options {
    bool create;        /* make the file when it is missing */
    bool read_only;     /* do not lock, never write */
    /* Progress while opening a long story: bytes done of total. */
    void (*progress)(void *ud, size_t done, size_t total);
    /* Every record of the file while it is opened, after it was applied to s,
     * borrowed; `lost`: records are missing before it. */
    void (*record)(void *ud, const struct story *s, const struct story_op *op,
                   bool lost);
    void *ud;
};

enum storyfile_state {
    STORYFILE_OK,
    STORYFILE_READ_ONLY,  /* another instance holds it, or no permission */
    STORYFILE_ELSEWHERE,  /* read-only folder: journal in the state folder */
    STORYFILE_FAILING     /* last write failed; the text is kept in memory
                           * and the write is tried again each second */
};

struct damage { /* what recovery found */
    size_t torn_tail;     /* bytes of a last record without its line end */
    size_t bad_lines;     /* lines with a wrong checksum or no JSON */
    size_t gaps;          /* jumps in the sequence numbers */
    size_t zero_bytes;    /* bytes in runs of NUL */
    size_t first_at;      /* byte offset of the first damage */
    size_t orphans;       /* nodes whose parent is lost */
};

/* NULL and err (ERR_STORY) when it cannot be opened or is no story. The file
 * is created on the first op when it is missing and create is set. */
struct storyfile *storyfile_open(const char *path,
                                 const struct storyfile_options *opt,
                                 struct err *err);
/* Writes what is pending, syncs, unlocks, frees (the story too). */
void storyfile_close(struct storyfile *f);

struct story *storyfile_story(struct storyfile *f);
const char *storyfile_path(const struct storyfile *f);
enum storyfile_state storyfile_state(const struct storyfile *f);
/* One translated sentence about the state, "" when all is well. */
const char *storyfile_message(const struct storyfile *f);
const struct damage *storyfile_damage(const struct storyfile *f);
/* A translated sentence about the damage, NULL when there is none. */
const char *storyfile_damage_text(const struct storyfile *f);

/* Commit point: asks the journal thread to sync now; does not wait. */
void storyfile_commit(struct storyfile *f);
/* Called from the main loop about once a second: retries failed writes,
 * looks whether the file was replaced. Returns true when the state changed. */
bool storyfile_tick(struct storyfile *f, int64_t now_ms);
bool storyfile_dirty(const struct storyfile *f);
/* Best effort, async-signal-safe: write(2) of what is pending, fdatasync. */
void storyfile_emergency(struct storyfile *f);

/* Imports plain text as the first edit of an empty story: byte for byte, but
 * for what Windows adds (a byte order mark, CR LF where all lines end so). */
bool storyfile_import(struct storyfile *f, const char *text, size_t len,
                      struct err *err);

#endif
