/* src/recover.c  Reads the records of a story file, damaged or not.
 *
 * Reading never stops at a fault: it goes on at the next line break, and in a
 * damaged line it looks for whole records (a lost line break fuses two, a
 * block of NULs may end right before one).
 *
 * Numbers grow by one. A jump forward is a gap: records are lost. A step back
 * means that two copies of the file went on by themselves and were put
 * together, or that a write was repeated. A repeated record is passed over;
 * what follows a step back gets new numbers, as do its references to what lies
 * in that stretch. A stretch ends where a number is above all before: that is
 * how we go on writing after it.
 */
#include "src/recover.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"

#include "src/story_tree.h"

#define PROGRESS_STEP (1u << 20)
#define BAD_MAX       (64u << 20)
#define FIRST_LINE    "{\"n\":0,\"t\":\"jl\","

struct seen {
    uint64_t n;
    uint32_t sum;
};

struct reader {
    struct story *s;
    const struct storyfile_options *opt;
    struct recovery *out;
    uint64_t last;        /* number of the last record, as the story has it */
    uint64_t raw;         /* the same as the file has it */
    uint64_t first, move; /* of the stretch after a step back; move 0: none */
    struct seen *seen;
    size_t n_seen, cap_seen;
    bool have;
    bool lost; /* a gap that no watcher heard of yet */
};

static bool
was_seen(const struct reader *r, uint64_t n, uint32_t sum)
{
    size_t lo = 0, hi = r->n_seen;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (r->seen[mid].n < n)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < r->n_seen && r->seen[lo].n == n && r->seen[lo].sum == sum;
}

/* The number that the record gets; false: it is a repetition. */
static bool
number(struct reader *r, const struct record *rec, uint64_t *n)
{
    uint64_t raw = rec->op.n;
    size_t *gaps = &r->out->damage.gaps;
    if (!r->have || raw > r->last) {
        *gaps += raw != (r->have ? r->last + 1 : 0);
        r->move = 0;
        *n = raw;
    } else if (r->move && raw > r->raw) {
        *gaps += raw != r->raw + 1;
        *n = raw + r->move;
    } else if (was_seen(r, raw, rec->sum)) {
        return false;
    } else {
        r->first = raw;
        r->move = r->last + 1 - raw;
        *n = r->last + 1;
        ++*gaps;
    }
    return true;
}

static uint64_t
reference(const struct reader *r, uint64_t to)
{
    return r->move && to && to >= r->first ? to + r->move : to;
}

static void
head_line(struct reader *r, struct story_op *op)
{
    if (op->min > r->out->min)
        r->out->min = op->min;
    if (op->len && !*story_title(r->s))
        op->type = OP_TITLE;
}

static bool
take_record(struct reader *r, const char *line, size_t len)
{
    struct record rec;
    size_t gaps = r->out->damage.gaps;
    uint64_t n;
    if (!record_read(line, len, story_knobs(r->s), &rec))
        return false;
    r->out->records++;
    if (number(r, &rec, &n)) {
        struct story_op *op = &rec.op;
        r->have = true;
        r->raw = op->n;
        r->last = op->n = n;
        r->seen =
            mem_grow(r->seen, &r->cap_seen, r->n_seen + 1, sizeof *r->seen);
        r->seen[r->n_seen++] = (struct seen){ n, rec.sum };
        op->p = reference(r, op->p);
        op->of = reference(r, op->of);
        if (op->type == OP_NOTE && op->to > n)
            r->last = r->raw = op->to; /* numbers given up on purpose */
        else
            op->to = reference(r, op->to);
        if (op->type == OP_HEAD_LINE)
            head_line(r, op);
        r->lost |= r->out->damage.gaps != gaps;
        if (story_replay(r->s, op) && r->opt->record) {
            r->opt->record(r->opt->ud, r->s, op, r->lost);
            r->lost = false;
        }
        r->s->next_n = r->last + 1;
    }
    record_finish(&rec);
    return true;
}

static bool
only(const char *s, size_t len, char a, char b)
{
    for (size_t i = 0; i < len; i++)
        if (s[i] != a && s[i] != b)
            return false;
    return true;
}

static void
note_damage(struct reader *r, const char *line, size_t len, size_t at,
            bool torn)
{
    struct damage *d = &r->out->damage;
    size_t zeros = 0;
    for (size_t i = 0; i < len; i++)
        zeros += line[i] == '\0';
    if (!d->torn_tail && !d->bad_lines && !d->zero_bytes)
        d->first_at = at;
    d->zero_bytes += zeros;
    if (torn)
        d->torn_tail = len;
    else if (zeros < len)
        d->bad_lines++;
    if (r->out->bad.n < BAD_MAX) {
        bytes_add(&r->out->bad, line, len);
        bytes_add(&r->out->bad, "\n", 1);
    }
}

/* One line that is no whole record as it stands. */
static void
take_damaged(struct reader *r, const char *line, size_t len, size_t at,
             bool torn)
{
    size_t pos = 0, from, to, end = 0;
    while (record_salvage(line, len, &pos, &from, &to))
        if (from >= end && take_record(r, line + from, to - from))
            end = pos = to;
    note_damage(r, line, len, at, torn && end == 0);
}

/* Could these bytes be what is left of a story's first line, or of a file that
 * was made but never reached the disk? */
static bool
looks_like_story(const char *data, size_t len)
{
    size_t n = strlen(FIRST_LINE);
    const char *lf = memchr(data, '\n', len);
    size_t line = lf ? (size_t)(lf - data) : len;
    return only(data, len, '\0', '\n') ||
           ((line >= n || !lf) &&
            !memcmp(data, FIRST_LINE, line < n ? line : n)) ||
           memmem(data, line, "\"t\":\"jl\",\"v\":", 13);
}

void
recover_story(struct story *s, const char *data, size_t len,
              const struct storyfile_options *opt, struct recovery *out)
{
    struct reader r = { .s = s, .opt = opt, .out = out };
    size_t told = 0;
    *out = (struct recovery){ .min = 1 };
    for (size_t at = 0; at < len;) {
        const char *lf = memchr(data + at, '\n', len - at);
        size_t n = lf ? (size_t)(lf - data) - at : len - at;
        if (n && !only(data + at, n, '\r', '\r') &&
            !take_record(&r, data + at, n))
            take_damaged(&r, data + at, n, at, !lf);
        at += n + 1;
        if (opt->progress && at - told >= PROGRESS_STEP) {
            told = at;
            opt->progress(opt->ud, at < len ? at : len, len);
        }
    }
    free(r.seen);
    story_close_open(s);
    out->damage.orphans = story_orphans(s);
    out->is_story = out->records || !len || looks_like_story(data, len);
}

void
recovery_finish(struct recovery *r)
{
    free(r->bad.s);
    *r = (struct recovery){ 0 };
}
