/* ui/layout.c  See layout.h.
 *
 * Invariant: `shown` is the head's text as of the last op, wrap holds it (as
 * soon as the measure is known), words counts it.
 */
#include "ui/layout.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/unicode.h"

#define DIFF_CHUNK   16384
#define WORD_CONTEXT 32 /* bytes beside an edit that can change its words */
#define FIRST_SLICE  (256 * 1024) /* bytes wrapped before the first frame */
#define COVER_MARGIN 8192 /* bytes past the caret that fill any screen */

void
layout_init(struct layout *l)
{
    *l = (struct layout){ .found = TEXT_NONE };
}

void
layout_leave(struct layout *l)
{
    wrap_free(l->wrap);
    if (l->shown)
        text_unref(l->shown);
    layout_init(l);
}

void
layout_finish(struct layout *l)
{
    layout_leave(l);
}

static bool
is_inside(const struct text *t, size_t at)
{
    char c;

    return at < text_len(t) && text_read(t, at, &c, 1) == 1 &&
           ((unsigned char)c & 0xC0) == 0x80;
}

/* Bytes equal at the start of both, at most max. */
static size_t
common_head(const struct text *a, const struct text *b, size_t max)
{
    char *x = xmalloc(2 * DIFF_CHUNK), *y = x + DIFF_CHUNK;
    size_t done = 0;

    while (done < max) {
        size_t n = max - done < DIFF_CHUNK ? max - done : DIFF_CHUNK;
        size_t i = 0;

        text_read(a, done, x, n);
        text_read(b, done, y, n);
        if (memcmp(x, y, n) != 0) {
            while (x[i] == y[i])
                i++;
            done += i;
            break;
        }
        done += n;
    }
    free(x);
    return done;
}

/* Bytes equal at the end of both, at most max. */
static size_t
common_tail(const struct text *a, const struct text *b, size_t max)
{
    char *x = xmalloc(2 * DIFF_CHUNK), *y = x + DIFF_CHUNK;
    size_t done = 0;

    while (done < max) {
        size_t n = max - done < DIFF_CHUNK ? max - done : DIFF_CHUNK;
        size_t i = 0;

        text_read(a, text_len(a) - done - n, x, n);
        text_read(b, text_len(b) - done - n, y, n);
        if (memcmp(x, y, n) != 0) {
            while (x[n - 1 - i] == y[n - 1 - i])
                i++;
            done += i;
            break;
        }
        done += n;
    }
    free(x);
    return done;
}

void
layout_diff(const struct text *a, const struct text *b, size_t *at, size_t *del,
            size_t *ins)
{
    size_t la = text_len(a), lb = text_len(b), min = la < lb ? la : lb;
    size_t head = common_head(a, b, min);
    size_t tail = common_tail(a, b, min - head);

    for (int i = 0; i < 3 && head > 0; i++)
        if (is_inside(a, head) || is_inside(b, head))
            head--;
    for (int i = 0; i < 3 && tail > 0; i++)
        if (is_inside(a, la - tail) || is_inside(b, lb - tail))
            tail--;
    *at = head;
    *del = la - tail - head;
    *ins = lb - tail - head;
}

/* Words in [from, to) widened by a little context. What the context holds
 * counts the same before and after, so the difference is the edit's. */
static size_t
words_around(const struct text *t, size_t from, size_t to)
{
    size_t len = text_len(t), n;
    char *s;

    from = from > WORD_CONTEXT ? from - WORD_CONTEXT : 0;
    to = len - to > WORD_CONTEXT ? to + WORD_CONTEXT : len;
    for (int i = 0; i < 3 && from > 0 && is_inside(t, from); i++)
        from--;
    for (int i = 0; i < 3 && to < len && is_inside(t, to); i++)
        to++;
    s = text_dup(t, from, to - from);
    n = uni_count_words(s, to - from);
    free(s);
    return n;
}

static size_t
shifted(size_t pos, size_t at, size_t del, size_t ins)
{
    if (pos == TEXT_NONE || pos <= at)
        return pos;
    return pos >= at + del ? pos - del + ins : at;
}

/* The version becomes t, which differs from the one shown in one place. */
static void
become(struct layout *l, const struct text *t, size_t at, size_t del,
       size_t ins)
{
    if (del > 0 || ins > 0) {
        size_t before = words_around(l->shown, at, at + del);

        l->words = l->words + words_around(t, at, at + ins) - before;
        l->top = shifted(l->top, at, del, ins);
        l->found = shifted(l->found, at, del, ins);
    }
    l->changes++;
    if (l->wrap) {
        wrap_edit(l->wrap, t, at, del, ins);
        l->busy = wrap_done(l->wrap) < text_len(t);
    }
    text_unref(l->shown);
    l->shown = text_ref((struct text *)t);
}

/* Does the op's own place describe the step from the version shown? */
static bool
place_of(const struct layout *l, const struct story_op *op, size_t *at,
         size_t *del, size_t *ins)
{
    struct node_info info;

    *at = op->at;
    *del = op->del;
    *ins = op->len;
    switch (op->type) {
    case OP_EDIT: return op->p == l->head;
    case OP_ADD: return op->of == l->head;
    case OP_RUN:
        *del = *ins = 0; /* its text comes with its tokens */
        return op->p == l->head;
    case OP_TOK:
        if (op->of != l->head || !story_node(l->story, op->of, &info))
            return false;
        *at = info.at + info.len - op->len;
        *del = 0;
        return info.len >= op->len;
    default: return false;
    }
}

static void
on_op(void *ud, const struct story_op *op)
{
    struct layout *l = ud;
    const struct text *t;
    size_t at, del, ins;

    if (!l->story)
        return;
    t = story_text(l->story);
    if (t != l->shown) {
        if (!place_of(l, op, &at, &del, &ins) || at > text_len(l->shown) ||
            del > text_len(l->shown) - at ||
            text_len(l->shown) - del + ins != text_len(t))
            layout_diff(l->shown, t, &at, &del, &ins);
        become(l, t, at, del, ins);
    }
    l->head = story_head(l->story);
}

void
layout_open(struct layout *l, struct story *s)
{
    const struct text *t = story_text(s);
    char *all;

    layout_leave(l);
    l->story = s;
    l->head = story_head(s);
    l->shown = text_ref((struct text *)t);
    all = text_dup(t, 0, text_len(t));
    l->words = uni_count_words(all, text_len(t));
    free(all);
    story_on_op(s, on_op, l);
}

void
layout_measure(struct layout *l, int measure)
{
    if (l->wrap && l->measure == measure)
        return;
    if (!l->wrap)
        l->wrap = wrap_new(measure);
    l->measure = measure;
    l->busy = l->fresh = !wrap_set(l->wrap, l->shown, measure);
    if (l->busy)
        layout_work(l, FIRST_SLICE);
    l->changes++;
}

bool
layout_work(struct layout *l, size_t budget)
{
    if (l->wrap && l->busy) {
        l->busy = !wrap_work(l->wrap, budget);
        l->fresh &= l->busy;
        l->changes++;
    }
    return l->busy;
}

bool
layout_covers(const struct layout *l, size_t at)
{
    return !l->fresh || wrap_done(l->wrap) > at + COVER_MARGIN;
}
