/* engine/stop.c  When a run ends, as far as its text says so.
 *
 * Tokens come in one by one; the stopper answers how many of those still
 * unsettled are now sure to belong to the story. Invariant: text[] is the
 * text of the unsettled tokens, len[] their lengths, and no stop string
 * stands anywhere in it.
 */
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/unicode.h"
#include "engine/gen.h"
#include "engine/sentence.h"

enum { EQUAL_MAX = 6, PARAGRAPH_EXTRA_MIN = 200 };

/* --- the knobs --- */

/* "完||\\n\\n" into its strings; an empty one is none. */
static void
split_stops(struct stopper *s, const char *p)
{
    size_t n = 0, start = 0;

    s->n_stops = 0;
    for (;; p++) {
        bool bar = p[0] == '|' && p[1] == '|';

        if (bar || !*p) {
            if (n > start)
                s->n_stop[s->n_stops++] = n - start;
            start = n;
            if (!*p)
                return;
            p++;
        } else if (p[0] == '\\' && (p[1] == 'n' || p[1] == '\\')) {
            s->stop[n++] = *++p == 'n' ? '\n' : '\\';
        } else {
            s->stop[n++] = *p;
        }
    }
}

void
stopper_knobs(struct stopper *s, const struct knobs *k)
{
    s->left += k->length - s->length;
    s->length = k->length;
    s->min_length = k->min_length;
    s->stop_at = (enum stop_at)k->stop_at;
    split_stops(s, k->stop);
}

void
stopper_init(struct stopper *s, const struct knobs *k, int64_t left,
             const char *before, size_t n_before)
{
    struct sentence st = { 0 };

    memset(s, 0, sizeof *s);
    s->length = k->length;
    s->left = left;
    stopper_knobs(s, k);
    for (size_t i = 0; i < n_before;) {
        uint32_t cp;

        i += uni_decode(before + i, n_before - i, &cp);
        sentence_add(&st, cp);
    }
    s->quote_open = st.quote_open;
    s->at = left <= 0 ? (int)st.at : SENTENCE_MID;
}

bool
stopper_may_end(const struct stopper *s)
{
    return s->sentence_done && s->length - s->left >= s->min_length;
}

void
stopper_finish(struct stopper *s)
{
    free(s->text);
    free(s->len);
    s->text = NULL;
    s->len = NULL;
}

/* --- the text --- */

static void
keep(struct stopper *s, const char *text, size_t len)
{
    if (s->n_text + len > s->cap_text)
        s->text = mem_grow(s->text, &s->cap_text, s->n_text + len, 1);
    if (len)
        memcpy(s->text + s->n_text, text, len);
    s->n_text += len;
    if (s->n_len == s->cap_len)
        s->len = mem_grow(s->len, &s->cap_len, s->n_len + 1, sizeof *s->len);
    s->len[s->n_len++] = len;
}

/* The first n tokens leave the queue. */
static void
settle(struct stopper *s, size_t n)
{
    size_t bytes = 0;

    for (size_t i = 0; i < n; i++)
        bytes += s->len[i];
    s->n_text -= bytes;
    if (s->n_text)
        memmove(s->text, s->text + bytes, s->n_text);
    s->n_len -= n;
    if (s->n_len)
        memmove(s->len, s->len + n, s->n_len * sizeof *s->len);
    s->n_end = s->n_end > n ? s->n_end - n : 0;
}

/* Where the first stop string begins in the unsettled text; n_text: nowhere. */
static size_t
find_stop(const struct stopper *s)
{
    size_t first = s->n_text;
    const char *stop = s->stop;

    for (size_t i = 0; i < s->n_stops; stop += s->n_stop[i++]) {
        const char *p =
            s->n_text ? memmem(s->text, s->n_text, stop, s->n_stop[i]) : NULL;

        if (p && (size_t)(p - s->text) < first)
            first = (size_t)(p - s->text);
    }
    return first;
}

/* Bytes at the end of the unsettled text that a stop string may begin with. */
static size_t
may_be_stop(const struct stopper *s)
{
    size_t longest = 0;
    const char *stop = s->stop;

    for (size_t i = 0; i < s->n_stops; stop += s->n_stop[i++]) {
        size_t n = s->n_stop[i] - 1;

        if (n > s->n_text)
            n = s->n_text;
        for (; n > longest; n--)
            if (!memcmp(s->text + s->n_text - n, stop, n))
                longest = n;
    }
    return longest;
}

/* Unsettled tokens that end at byte `upto` or before; one without text at
 * `upto` may belong to what follows and does not count. */
static size_t
tokens_before(const struct stopper *s, size_t upto, size_t *rest)
{
    size_t n = 0, end = 0, counted = 0;

    for (size_t i = 0; i < s->n_len && end + s->len[i] <= upto; i++) {
        end += s->len[i];
        if (s->len[i] || end < upto) {
            n = i + 1;
            counted = end;
        }
    }
    *rest = upto - counted;
    return n;
}

/* --- loops --- */

static bool
loops(struct stopper *s, uint32_t cp)
{
    size_t n, run = 1;

    if (s->n_last == 3 * LOOP_CHARS_MAX)
        memmove(s->last, s->last + 1, --s->n_last * sizeof *s->last);
    s->last[s->n_last++] = cp;
    n = s->n_last;
    while (run < n && s->last[n - 1 - run] == cp)
        run++;
    if (run >= EQUAL_MAX)
        return true;
    for (size_t period = 2; period <= LOOP_CHARS_MAX && 3 * period <= n;
         period++) {
        const uint32_t *p = s->last + n - 3 * period;
        size_t same = 0;

        while (same < 2 * period && p[same] == p[same + period])
            same++;
        if (same == 2 * period)
            return true;
    }
    return false;
}

/* Steps over the text of a token; returns whether it closes a loop. */
static bool
read_text(struct stopper *s, const char *text, size_t len)
{
    struct sentence st = { (enum sentence_at)s->at, s->quote_open };
    bool loop = false;

    for (size_t i = 0; i < len;) {
        uint32_t cp;
        size_t n = uni_decode(text + i, len - i, &cp);

        s->sentence_done |= sentence_add(&st, cp);
        /* an ill-formed byte equals itself alone */
        loop |= loops(s, cp == UNI_BAD ? 0x80000000u | (uint8_t)text[i] : cp);
        i += n;
    }
    s->at = (int)st.at;
    s->quote_open = st.quote_open;
    return loop;
}

/* --- the verdict --- */

/* Past the length, does the run end in front of this text? */
static enum gen_why
ends_before(const struct stopper *s, const char *text, size_t len)
{
    struct sentence st = { (enum sentence_at)s->at, s->quote_open };
    uint32_t cp;

    if (s->left > 0 || !len)
        return GEN_WHY_NONE;
    uni_decode(text, len, &cp);
    if (s->stop_at == STOP_AT_SENTENCE && sentence_breaks_before(&st, cp))
        return GEN_WHY_SENTENCE;
    if (s->stop_at == STOP_AT_PARAGRAPH && cp == '\n')
        return GEN_WHY_PARAGRAPH;
    return GEN_WHY_NONE;
}

enum gen_why
stopper_now(const struct stopper *s)
{
    int64_t most =
        s->length > PARAGRAPH_EXTRA_MIN ? s->length : PARAGRAPH_EXTRA_MIN;

    if (s->left > 0)
        return GEN_WHY_NONE;
    switch (s->stop_at) {
    case STOP_AT_LENGTH: return GEN_WHY_LENGTH;
    case STOP_AT_SENTENCE:
        if (s->at == SENTENCE_LINE)
            return GEN_WHY_SENTENCE;
        if (s->extra >= STOP_EXTRA_MAX)
            return s->at == SENTENCE_END ? GEN_WHY_SENTENCE : GEN_WHY_LENGTH;
        return GEN_WHY_NONE;
    case STOP_AT_PARAGRAPH:
        if (s->at == SENTENCE_LINE)
            return GEN_WHY_PARAGRAPH;
        return s->extra >= most ? GEN_WHY_LENGTH : GEN_WHY_NONE;
    case STOP_AT_NEVER: return GEN_WHY_NONE;
    }
    return GEN_WHY_NONE;
}

/* What may be painted of a run that goes on. */
static size_t
settled(const struct stopper *s)
{
    bool waits =
        s->left <= 0 && s->at != SENTENCE_MID && s->stop_at == STOP_AT_SENTENCE;
    size_t rest, n = tokens_before(s, s->n_text - may_be_stop(s), &rest);

    /* A token without text at the very end: nothing to wait for, unless a
     * stop string or the end may begin with its character. */
    if (n < s->n_len && !s->n_stops && !waits)
        return s->n_len;
    return n;
}

struct stop_verdict
stopper_add(struct stopper *s, const char *text, size_t len)
{
    struct stop_verdict v = { GEN_WHY_NONE, 0, 0 };
    size_t at;
    bool loop;

    v.why = ends_before(s, text, len);
    if (v.why != GEN_WHY_NONE) {
        v.settled = s->n_end;
        return v;
    }
    keep(s, text, len);
    loop = read_text(s, text, len);
    s->extra = s->left > 0 ? 0 : s->extra + 1;
    s->left--;
    if (len)
        s->n_end = s->n_len;
    at = find_stop(s);
    if (at < s->n_text) {
        v.why = GEN_WHY_STOP;
        v.settled = tokens_before(s, at, &v.cut);
        return v;
    }
    v.why = stopper_now(s);
    if (v.why == GEN_WHY_NONE && loop)
        v.why = GEN_WHY_LOOP;
    v.settled = v.why == GEN_WHY_NONE ? settled(s) : s->n_len;
    settle(s, v.settled);
    return v;
}
