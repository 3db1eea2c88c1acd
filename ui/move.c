/* ui/move.c  Places the caret can go to: screen lines, words, clauses.
 *
 * Words are what UX 5.7 calls so: a run of Latin letters and digits, or one
 * Chinese character; clauses end after one of ，。；：！？… and at a line
 * break. Text is looked at one grapheme at a time, so a move costs what it
 * passes over, not what the story holds.
 */
#include "engine/base/unicode.h"

#include "ui/ui_state.h"

#define CLAUSE_MAX 400 /* characters a clause move passes at most */

enum unit { UNIT_SPACE, UNIT_LATIN, UNIT_WIDE, UNIT_OTHER, UNIT_BREAK };

static uint32_t
char_at(const struct text *t, size_t at)
{
    char buf[4];
    uint32_t cp = UNI_BAD;
    size_t n = text_read(t, at, buf, sizeof buf);

    if (n > 0)
        uni_decode(buf, n, &cp);
    return cp;
}

static enum unit
unit_at(const struct text *t, size_t at)
{
    uint32_t cp = char_at(t, at);

    if (cp == '\n')
        return UNIT_BREAK;
    if (cp == UNI_BAD)
        return UNIT_OTHER;
    if (uni_is_white(cp))
        return UNIT_SPACE;
    if (uni_is_letter(cp) || uni_is_number(cp) || cp == '_' || cp == '\'')
        return uni_width(cp) == 2 ? UNIT_WIDE : UNIT_LATIN;
    return UNIT_OTHER;
}

size_t
move_word(const struct text *t, size_t at, int dir)
{
    size_t len = text_len(t);

    if (dir > 0) {
        while (at < len && unit_at(t, at) == UNIT_SPACE)
            at = text_next(t, at);
        if (at < len && unit_at(t, at) == UNIT_LATIN) {
            while (at < len && unit_at(t, at) == UNIT_LATIN)
                at = text_next(t, at);
            return at;
        }
        return at < len ? text_next(t, at) : at;
    }
    while (at > 0 && unit_at(t, text_prev(t, at)) == UNIT_SPACE)
        at = text_prev(t, at);
    if (at > 0 && unit_at(t, text_prev(t, at)) == UNIT_LATIN) {
        while (at > 0 && unit_at(t, text_prev(t, at)) == UNIT_LATIN)
            at = text_prev(t, at);
        return at;
    }
    return at > 0 ? text_prev(t, at) : at;
}

static bool
ends_clause(const struct text *t, size_t at)
{
    switch (char_at(t, at)) {
    case 0xFF0C: /* ， */
    case 0x3002: /* 。 */
    case 0xFF1B: /* ； */
    case 0xFF1A: /* ： */
    case 0xFF01: /* ！ */
    case 0xFF1F: /* ？ */
    case 0x3001: /* 、 */
    case 0x2026: /* … */
    case '\n': return true;
    default: return false;
    }
}

/* Closing quotes and brackets stay with the clause they close. */
static bool
closes(const struct text *t, size_t at)
{
    switch (char_at(t, at)) {
    case 0x201D: /* ” */
    case 0x2019: /* ’ */
    case 0xFF09: /* ） */
    case 0x300D: /* 」 */
    case 0x300F: /* 』 */
    case 0x300B: /* 》 */ return true;
    default: return ends_clause(t, at) && char_at(t, at) != '\n';
    }
}

static size_t
clause_forward(const struct text *t, size_t at)
{
    size_t len = text_len(t);

    for (int i = 0; i < CLAUSE_MAX && at < len; i++) {
        bool end = ends_clause(t, at);

        at = text_next(t, at);
        if (!end)
            continue;
        while (at < len && closes(t, at))
            at = text_next(t, at);
        break;
    }
    return at;
}

static size_t
clause_back(const struct text *t, size_t at)
{
    while (at > 0 &&
           (closes(t, text_prev(t, at)) || ends_clause(t, text_prev(t, at))))
        at = text_prev(t, at);
    for (int i = 0; i < CLAUSE_MAX && at > 0; i++) {
        size_t before = text_prev(t, at);

        if (closes(t, before) || ends_clause(t, before))
            break;
        at = before;
    }
    return at;
}

size_t
move_clause(const struct text *t, size_t at, int dir)
{
    size_t step = dir > 0 ? at : text_prev(t, at);

    if ((dir > 0 && at >= text_len(t)) || (dir < 0 && at == 0))
        return at;
    /* in Latin text a word is the step */
    if (unit_at(t, step) == UNIT_LATIN || unit_at(t, step) == UNIT_SPACE)
        return move_word(t, at, dir);
    return dir > 0 ? clause_forward(t, at) : clause_back(t, at);
}

/* The last place of a screen line that still belongs to it. */
static size_t
line_last(const struct text *t, const struct wrap_line *line)
{
    size_t end = line->at + line->len;

    if (line->hard || line->len == 0)
        return end;
    return text_prev(t, end);
}

static bool
caret_line(const struct ui *ui, size_t *index, struct wrap_line *line)
{
    const struct wrap *w = ui->layout.wrap;

    if (!w)
        return false;
    *index = wrap_line_of(w, turn_caret(ui->turn));
    return wrap_get(w, *index, line);
}

size_t
move_vertical(struct ui *ui, int lines)
{
    const struct wrap *w = ui->layout.wrap;
    size_t caret = turn_caret(ui->turn), index, to;
    struct wrap_line line;

    ui->keep_goal = true;
    if (!caret_line(ui, &index, &line))
        return caret;
    if (ui->goal < 0)
        ui->goal = wrap_col_of(w, index, caret);
    if (lines < 0 && index < (size_t)-lines)
        return index == 0 ? 0 : wrap_at_col(w, 0, ui->goal);
    if (lines > 0 && wrap_lines(w) - 1 - index < (size_t)lines)
        lines = (int)(wrap_lines(w) - 1 - index);
    if (lines == 0)
        return text_len(ui_text(ui));
    index = lines < 0 ? index - (size_t)-lines : index + (size_t)lines;
    if (!wrap_get(w, index, &line))
        return caret;
    to = wrap_at_col(w, index, ui->goal);
    return to > line_last(ui_text(ui), &line) ? line_last(ui_text(ui), &line)
                                              : to;
}

/* Home: the screen line's start, then the paragraph's. */
size_t
move_line_start(const struct ui *ui)
{
    size_t caret = turn_caret(ui->turn), index;
    struct wrap_line line;

    if (!caret_line(ui, &index, &line))
        return caret;
    if (caret > line.at)
        return line.at;
    return text_line_start(ui_text(ui), caret);
}

/* End: the screen line's end, then the paragraph's. */
size_t
move_line_end(const struct ui *ui)
{
    size_t caret = turn_caret(ui->turn), index;
    struct wrap_line line;

    if (!caret_line(ui, &index, &line))
        return caret;
    if (caret < line_last(ui_text(ui), &line))
        return line_last(ui_text(ui), &line);
    return text_line_end(ui_text(ui), caret);
}
