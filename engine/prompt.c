/* engine/prompt.c  What the model reads, and where its window starts.
 *
 * Learned absolute positions allow no shifted cache: when the window is full
 * its start moves, and what is left is read again. To pay that rarely, a move
 * frees a quarter of the positions at once; to leave the model a whole
 * thought to start from, it goes on to the next boundary within the quarter
 * that follows. So the first half of a window says where the next one starts,
 * long before it is needed, and that can be read ahead. The rule looks at
 * text and tokens alone, never at time or at requests, so the same story
 * moves its window at the same places.
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
    p->next_known = false;
}

void
prompt_finish(struct prompt *p)
{
    clear(p);
    free(p->runs);
    free(p->text);
    free(p->tok.v);
    free(p->next.v);
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

/* The place in [cut, upto] where a window may begin. */
static size_t
window_start(const struct prompt *p, size_t cut, size_t upto)
{
    size_t at;

    return find_paragraph(p, cut, upto, &at) || find_sentence(p, cut, upto, &at)
               ? at
               : cut;
}

/* The window starts at `win` from now on. */
static bool
start_at(struct prompt *p, size_t win, struct err *err)
{
    struct tok_ids old = p->tok;

    p->win = win;
    p->next_known = false;
    memset(&p->tok, 0, sizeof p->tok);
    if (!tokens_from(p, win, &p->tok, err)) {
        free(old.v);
        return false;
    }
    /* One character of more tokens than there are positions: its last ones. */
    if (p->tok.n == 0 && old.n > 0) {
        size_t keep = (size_t)p->P * 3 / 4, n = old.n < keep ? old.n : keep;

        push(&p->tok, old.v + old.n - n, n);
    }
    free(old.v);
    return true;
}

/* A text that is far too long: looked at from behind. */
static bool
move_window(struct prompt *p, struct err *err)
{
    size_t keep = (size_t)p->P * 3 / 4, cut;

    if (!least_cut(p, keep ? keep : 1, &cut, err))
        return false;
    return start_at(p, window_start(p, cut, cut + (p->len - cut) / 3), err);
}

/* --- the next window --- */

/* Where the text of r's first n ids ends. */
static size_t
end_of_ids(const struct prompt *p, const struct id_run *r, size_t n)
{
    size_t back = r->at > BEFORE ? boundary(p, r->at - BEFORE) : 0;
    struct detok *d = detok_new(p->vocab, p->text + back, r->at - back);
    char *out = NULL;
    size_t len = 0, cap = 0;

    for (size_t i = 0; i < n; i++)
        detok_add(d, r->ids[i], &out, &len, &cap);
    free(out);
    detok_free(d);
    return r->at + (len < r->len ? len : r->len);
}

/* The least place in [from, end] with at least n tokens before it. Which
 * places are tried does not depend on `end`: a text that grows there keeps
 * its answer. */
static bool
end_of_text(const struct prompt *p, size_t from, size_t end, size_t n,
            size_t *at, struct err *err)
{
    size_t lo = from, hi = from, step = BYTES_PER_POSITION;
    struct tok_ids t = { 0 };
    bool ok = true, found = false;

    while (ok && (!found || hi > lo + 1)) {
        size_t mid = found ? lo + (hi - lo) / 2 : lo + step;
        size_t b = mid < end ? boundary(p, mid) : end;

        t.n = 0;
        if (mid < end)
            ok = vocab_encode_prompt(p->vocab, p->text + from, b - from, &t,
                                     err);
        if (mid >= end || t.n >= n) {
            hi = mid;
            found = true;
        } else {
            lo = mid;
            step *= found ? 1 : 2;
        }
    }
    free(t.v);
    *at = hi < end ? boundary(p, hi) : end;
    return ok;
}

/* The least place with at least n of the window's tokens before it. */
static bool
place_of(const struct prompt *p, size_t n, size_t *at, struct err *err)
{
    struct tok_ids t = { 0 };
    size_t pos = p->win;
    bool ok = true, found = false;

    for (size_t i = 0; ok && !found && i <= p->n_runs; i++) {
        const struct id_run *r = i < p->n_runs ? &p->runs[i] : NULL;
        size_t end = r ? r->at : p->len, skip = 0, begin = end;

        if (r && (r->at + r->len < p->win || (r->at < p->win && !r->n)))
            continue;
        if (r && r->at < p->win && !cut_run(p, r, p->win, &skip, &begin))
            continue;
        t.n = 0;
        if (begin > pos)
            ok = vocab_encode_prompt(p->vocab, p->text + pos, begin - pos, &t,
                                     err);
        if (!ok)
            break;
        if (t.n >= n) {
            found = true;
            ok = end_of_text(p, pos, begin, n, at, err);
        } else if (r && t.n + (r->n - skip) >= n) {
            found = true;
            *at = end_of_ids(p, r, skip + n - t.n);
        } else if (r) {
            n -= t.n + (r->n - skip);
            pos = r->at + r->len;
        }
    }
    free(t.v);
    if (!found)
        *at = p->len;
    return ok;
}

/* Only what stands in the window's first half decides, and no request's end:
 * whoever comes to this window finds the same next one. */
static bool
find_next(struct prompt *p, struct err *err)
{
    size_t quarter = (size_t)p->P - (size_t)p->P * 3 / 4, cut, upto;

    if (!place_of(p, quarter ? quarter : 1, &cut, err) ||
        !place_of(p, 2 * quarter, &upto, err))
        return false;
    p->next_win = window_start(p, cut, upto);
    p->next.n = 0;
    if (!tokens_from(p, p->next_win, &p->next, err))
        return false;
    p->next_known = true;
    return true;
}

const struct tok_ids *
prompt_next(struct prompt *p, struct err *err)
{
    if (p->tok.n < (size_t)p->P * 3 / 4)
        return NULL;
    return p->next_known || find_next(p, err) ? &p->next : NULL;
}

/* One window on. Where what is left is nothing or still too long (tokens that
 * have no text, or another one), as with a text that is far too long. */
static bool
step_window(struct prompt *p, struct err *err)
{
    if (!p->next_known && !find_next(p, err))
        return false;
    if (p->next.n == 0)
        return move_window(p, err);
    return start_at(p, p->next_win, err) &&
           (p->tok.n <= (size_t)p->P || move_window(p, err));
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
    p->next_known = false;
    return true;
}

bool
prompt_fit(struct prompt *p, bool *moved, struct err *err)
{
    *moved = false;
    if (p->tok.n <= (size_t)p->P)
        return true;
    *moved = true;
    return step_window(p, err);
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
    bool outgrown = false;

    clear(p);
    p->story = story;
    *moved = true;
    for (size_t i = 0; i < n; i++) {
        if (ids_fit(p, &spans[i])) {
            struct id_run *r = new_run(p, p->len);

            r->len = spans[i].len;
            run_push(r, spans[i].ids, spans[i].n_ids);
        }
        add_text(p, spans[i].text, spans[i].len);
    }
    new_run(p, p->len); /* of what will be written */
    if (p->len / BYTES_PER_POSITION <= (size_t)p->P) {
        if (!tokens_from(p, 0, &p->tok, err))
            return false;
        *moved = p->tok.n > (size_t)p->P;
        /* a run that ended just as it outgrew the window */
        outgrown = p->tok.n <= (size_t)p->P + (size_t)p->P / 4;
    }
    return !*moved || stay_at(p, before) ||
           (outgrown ? step_window(p, err) : move_window(p, err));
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
    if (p->next_known)
        push(&p->next, &id, 1);
}

void
prompt_copy(struct prompt *dst, const struct prompt *src)
{
    clear(dst);
    dst->story = src->story;
    dst->win = src->win;
    add_text(dst, src->text, src->len);
    for (size_t i = 0; i < src->n_runs; i++) {
        const struct id_run *from = &src->runs[i];
        struct id_run *r = new_run(dst, from->at);

        r->len = from->len;
        run_push(r, from->ids, from->n);
    }
    push(&dst->tok, src->tok.v, src->tok.n);
    dst->next_known = src->next_known;
    dst->next_win = src->next_win;
    dst->next.n = 0;
    push(&dst->next, src->next.v, src->next.n);
}
