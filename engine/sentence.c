/* engine/sentence.c  Where a sentence ends, character by character.
 *
 * 。！？… and ! ? end a sentence; what closes a quotation or bracket after them
 * belongs to it, and so do more of them (……, ？！). A "." is an end only before
 * white space (3.14, U.S.A). The plain quote " does not say whether it opens
 * or closes: it closes when an odd number of them stands before it in the
 * line.
 */
#include "engine/sentence.h"

#include <stddef.h>

#include "engine/base/unicode.h"

static bool
among(uint32_t cp, const uint32_t *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (list[i] == cp)
            return true;
    return false;
}

static bool
ends(uint32_t cp)
{
    static const uint32_t list[] = {
        '!',
        '?',
        0x2026 /* … */,
        0x203C,
        0x2047,
        0x2048,
        0x2049,
        0x3002 /* 。 */,
        0xFF01 /* ！ */,
        0xFF0E /* ． */,
        0xFF1F /* ？ */,
        0xFF61,
    };

    return among(cp, list, sizeof list / sizeof list[0]);
}

static bool
closes(const struct sentence *s, uint32_t cp)
{
    static const uint32_t list[] = {
        '\'',
        ')',
        ']',
        '}',
        0xBB,
        0x2019 /* ’ */,
        0x201D /* ” */,
        0x203A,
        0x3009 /* 〉 */,
        0x300B /* 》 */,
        0x300D /* 」 */,
        0x300F /* 』 */,
        0x3011 /* 】 */,
        0x3015 /* 〕 */,
        0x3017,
        0x3019,
        0x301E,
        0xFE42,
        0xFE44,
        0xFF07,
        0xFF09 /* ） */,
        0xFF3D,
        0xFF5D,
        0xFF63,
    };

    if (cp == '"' || cp == 0xFF02)
        return s->quote_open;
    return among(cp, list, sizeof list / sizeof list[0]);
}

static enum sentence_at
after(const struct sentence *s, uint32_t cp)
{
    if (cp == '\n')
        return SENTENCE_LINE;
    if (ends(cp))
        return SENTENCE_END;
    if (cp == '.')
        return s->at == SENTENCE_END ? SENTENCE_END : SENTENCE_DOT;
    if (closes(s, cp) && (s->at == SENTENCE_DOT || s->at == SENTENCE_END))
        return s->at;
    return SENTENCE_MID;
}

bool
sentence_add(struct sentence *s, uint32_t cp)
{
    bool was_dot = s->at == SENTENCE_DOT;

    s->at = after(s, cp);
    if (cp == '\n')
        s->quote_open = false;
    else if (cp == '"' || cp == 0xFF02)
        s->quote_open = !s->quote_open;
    return s->at == SENTENCE_END || s->at == SENTENCE_LINE ||
           (was_dot && uni_is_white(cp));
}

bool
sentence_breaks_before(const struct sentence *s, uint32_t next)
{
    switch (s->at) {
    case SENTENCE_LINE: return true;
    case SENTENCE_END: return !ends(next) && next != '.' && !closes(s, next);
    case SENTENCE_DOT: return uni_is_white(next);
    case SENTENCE_MID: return next == '\n';
    }
    return false;
}
