/* engine/prompt.c  What the model reads, and where its window starts.
 *
 * Learned absolute positions allow no shifted cache: when the window is full
 * its start moves, and what is left is read again. To pay that rarely, a move
 * frees a quarter of the positions at once; to leave the model a whole
 * thought to start from, it goes on to the next boundary within the third
 * that follows. The rule looks at text and tokens alone, never at time, so
 * the same story moves its window at the same places.
 *
 * Text is not cut into tokens here: how many a stretch makes is found by
 * encoding it. So the rule holds for every tokenizer, and costs about ten
 * encodings of a window for a move.
 */
#include "engine/prompt.h"

#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/unicode.h"
#include "engine/sentence.h"

/* A text of more bytes per position than this has outgrown the window: it is
 * not encoded whole to find that out. */
enum { BYTES_PER_POSITION = 64, LOOK_BACK = 1024, BEFORE = 512 };

struct id_run {
    size_t at, len; /* its text */
    int *ids;
    size_t n, cap;
};

void
prompt_init(struct prompt *p, const struct vocab *v, const char *tok_hash,
            int P)
{
    memset(p, 0, sizeof *p);
    p->vocab = v;
    p->tok_hash = tok_hash;
    p->P = P;
}

static void
clear(struct prompt *p)
{
    for (size_t i = 0; i < p->n_runs; i++)
        free(p->runs[i].ids);
    p->n_runs = 0;
    p->len = p->win = 0;
    p->tok.n = 0;
}

void
prompt_finish(struct prompt *p)
{
    clear(p);
    free(p->runs);
    free(p->text);
    free(p->tok.v);
}

size_t
prompt_window(const struct prompt *p)
{
    return p->story + p->win;
}

/* --- characters --- */

/* The character boundary at `at` or behind it. */
static size_t
boundary(const struct prompt *p, size_t at)
{
    while (at < p->len && ((unsigned char)p->text[at] & 0xC0) == 0x80)
        at++;
    return at;
}

const char *
prompt_tail(const struct prompt *p, size_t most, size_t *len)
{
    size_t at = p->len > most ? boundary(p, p->len - most) : 0;

    *len = p->len - at;
    return p->text ? p->text + at : "";
}

/* --- tokens --- */

static void
push(struct tok_ids *t, const int *ids, size_t n)
{
    if (n && t->n + n > t->cap)
        t->v = mem_grow(t->v, &t->cap, t->n + n, sizeof *t->v);
    if (n)
        memcpy(t->v + t->n, ids, n * sizeof *ids);
    t->n += n;
}

static void
add_text(struct prompt *p, const char *text, size_t len)
{
    if (p->len + len > p->cap)
        p->text = mem_grow(p->text, &p->cap, p->len + len, 1);
    if (len)
        memcpy(p->text + p->len, text, len);
    p->len += len;
}

/* How many ids of r stand before byte `from`, and in *at where the text of
 * the next one begins. false when ids and text do not agree: then only the
 * text can be used. */
static bool
cut_run(const struct prompt *p, const struct id_run *r, size_t from,
        size_t *skip, size_t *at)
{
    size_t back = r->at > BEFORE ? boundary(p, r->at - BEFORE) : 0;
    struct detok *d = detok_new(p->vocab, p->text + back, r->at - back);
    char *out = NULL;
    size_t len = 0, cap = 0;
    bool found = false;

    for (size_t i = 0; i < r->n; i++) {
        if (!found && r->at + len >= from) {
            found = true;
            *skip = i;
            *at = r->at + len;
        }
        detok_add(d, r->ids[i], &out, &len, &cap);
    }
    if (!found) {
        *skip = r->n;
        *at = r->at + len;
    }
    found = len == r->len && (!len || !memcmp(out, p->text + r->at, len));
    free(out);
    detok_free(d);
    return found && *at <= r->at + r->len;
}

/* Tokens of the text from byte `from` on, as a window that starts there. */
static bool
tokens_from(const struct prompt *p, size_t from, struct tok_ids *out,
            struct err *err)
{
    const struct profile *f = vocab_profile(p->vocab);
    size_t pos = from;

    out->n = 0;
    if (f->begin >= 0 && (f->head_always || p->story + from == 0))
        push(out, &f->begin, 1);
    for (size_t i = 0; i < p->n_runs; i++) {
        const struct id_run *r = &p->runs[i];
        size_t skip = 0, at = r->at;

        if (r->at + r->len < from || (r->at < from && !r->n))
            continue;
        if (r->at < from && !cut_run(p, r, from, &skip, &at))
            continue;
        if (at > pos &&
            !vocab_encode_prompt(p->vocab, p->text + pos, at - pos, out, err))
            return false;
        if (r->n > skip) /* a span may have bytes and no ids */
            push(out, r->ids + skip, r->n - skip);
        pos = r->at + r->len;
    }
    return pos >= p->len ||
           vocab_encode_prompt(p->vocab, p->text + pos, p->len - pos, out, err);
}

/* --- the window --- */

/* The earliest start (a character boundary behind the present one) that
 * leaves at most `keep` tokens. */
static bool
least_cut(const struct prompt *p, size_t keep, size_t *cut, struct err *err)
{
    struct tok_ids t = { 0 };
    size_t lo = p->win, hi = p->len, span = keep * 4;
    bool ok = true;

    /* From behind, in growing stretches: a long text is not read whole. */
    for (; span < p->len - p->win; span *= 2) {
        size_t at = boundary(p, p->len - span);

        ok = tokens_from(p, at, &t, err);
        if (!ok || t.n > keep) {
            lo = at;
            break;
        }
        hi = at;
    }
    while (ok && hi > lo + 1) {
        size_t mid = lo + (hi - lo) / 2;

        ok = tokens_from(p, boundary(p, mid), &t, err);
        if (t.n > keep)
            lo = mid;
        else
            hi = mid;
    }
    free(t.v);
    *cut = boundary(p, hi);
    return ok;
}

/* The first place in [from, upto] where a paragraph begins. */
static bool
find_paragraph(const struct prompt *p, size_t from, size_t upto, size_t *at)
{
    for (size_t i = from ? from : 1; i <= upto; i++) {
        if (p->text[i - 1] == '\n' && (i == p->len || p->text[i] != '\n')) {
            *at = i;
            return true;
        }
    }
    return false;
}

/* The first place there where a sentence begins. */
static bool
find_sentence(const struct prompt *p, size_t from, size_t upto, size_t *at)
{
    size_t i = from > LOOK_BACK ? boundary(p, from - LOOK_BACK) : 0;
    struct sentence st = { 0 };

    while (i <= upto && i < p->len) {
        uint32_t cp;
        size_t n = uni_decode(p->text + i, p->len - i, &cp);

        if (i >= from && sentence_breaks_before(&st, cp)) {
            /* not with the space or break that came after the last one */
            *at = uni_is_white(cp) ? i + n : i;
            return true;
        }
        sentence_add(&st, cp);
        i += n;
    }
    return false;
}

static bool
move_window(struct prompt *p, struct err *err)
{
    size_t keep = (size_t)p->P * 3 / 4, cut, upto;
    struct tok_ids old = p->tok;

    if (keep == 0)
        keep = 1;
    if (!least_cut(p, keep, &cut, err))
        return false;
    upto = cut + (p->len - cut) / 3;
    if (!find_paragraph(p, cut, upto, &p->win) &&
        !find_sentence(p, cut, upto, &p->win))
        p->win = cut;
    memset(&p->tok, 0, sizeof p->tok);
    if (!tokens_from(p, p->win, &p->tok, err)) {
        free(old.v);
        return false;
    }
    /* One character of more tokens than there are positions: its last ones. */
    if (p->tok.n == 0 && old.n > 0) {
        size_t n = old.n < keep ? old.n : keep;

        push(&p->tok, old.v + old.n - n, n);
    }
    free(old.v);
    return true;
}

/* A start chosen for an earlier request stays while it serves: else every
 * character typed at the end of a long text would move it by one. */
static bool
stay_at(struct prompt *p, size_t win)
{
    struct tok_ids t = { 0 };
    bool ok = win > 0 && win < p->len && boundary(p, win) == win &&
              (p->len - win) / BYTES_PER_POSITION <= (size_t)p->P &&
              tokens_from(p, win, &t, NULL) && t.n <= (size_t)p->P &&
              t.n >= (size_t)p->P / 4;

    if (!ok) {
        free(t.v);
        return false;
    }
    free(p->tok.v);
    p->tok = t;
    p->win = win;
    return true;
}

bool
prompt_fit(struct prompt *p, bool *moved, struct err *err)
{
    *moved = false;
    if (p->tok.n <= (size_t)p->P)
        return true;
    *moved = true;
    return move_window(p, err);
}

/* --- filling it --- */

static struct id_run *
new_run(struct prompt *p, size_t at)
{
    struct id_run *r;

    if (p->n_runs == p->cap_runs)
        p->runs =
            mem_grow(p->runs, &p->cap_runs, p->n_runs + 1, sizeof *p->runs);
    r = &p->runs[p->n_runs++];
    memset(r, 0, sizeof *r);
    r->at = at;
    return r;
}

static void
run_push(struct id_run *r, const int *ids, size_t n)
{
    if (n && r->n + n > r->cap)
        r->ids = mem_grow(r->ids, &r->cap, r->n + n, sizeof *r->ids);
    if (n)
        memcpy(r->ids + r->n, ids, n * sizeof *ids);
    r->n += n;
}

/* May the span's ids be used as they are? */
static bool
ids_fit(const struct prompt *p, const struct prompt_span *s)
{
    int V = vocab_size(p->vocab);

    if (!s->ids || !s->n_ids || !s->tok || strcmp(s->tok, p->tok_hash) != 0)
        return false;
    for (size_t i = 0; i < s->n_ids; i++)
        if (s->ids[i] < 0 || s->ids[i] >= V)
            return false;
    return true;
}

bool
prompt_set(struct prompt *p, const struct prompt_span *spans, size_t n,
           size_t story, bool *moved, struct err *err)
{
    size_t before = p->story == story ? p->win : 0;

    clear(p);
    p->story = story;
    for (size_t i = 0; i < n; i++) {
        if (ids_fit(p, &spans[i])) {
            struct id_run *r = new_run(p, p->len);

            r->len = spans[i].len;
            run_push(r, spans[i].ids, spans[i].n_ids);
        }
        add_text(p, spans[i].text, spans[i].len);
    }
    new_run(p, p->len); /* of what will be written */
    *moved = p->len / BYTES_PER_POSITION > (size_t)p->P;
    if (!*moved) {
        if (!tokens_from(p, 0, &p->tok, err))
            return false;
        *moved = p->tok.n > (size_t)p->P;
    }
    return !*moved || stay_at(p, before) || move_window(p, err);
}

void
prompt_stay(struct prompt *p, size_t story, size_t win)
{
    p->story = story;
    p->win = win > story ? win - story : 0;
}

void
prompt_add(struct prompt *p, int id, const char *text, size_t len)
{
    struct id_run *r = &p->runs[p->n_runs - 1];

    add_text(p, text, len);
    r->len += len;
    run_push(r, &id, 1);
    push(&p->tok, &id, 1);
}
