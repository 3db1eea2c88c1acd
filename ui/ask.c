/* ui/ask.c  See ask.h. The line is kept as bytes; the caret stands on
 * grapheme boundaries. */
#include "ui/ask.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/unicode.h"

#include "src/i18n.h"

#include "ui/command.h"
#include "ui/ui_state.h"

#define ASK_MAX 4096 /* bytes: the longest path */

void
ask_finish(struct ask *p)
{
    free(p->text);
    free(p->label);
    *p = (struct ask){ 0 };
}

static void
insert(struct ask *p, const char *s, size_t len)
{
    if (p->len + len > ASK_MAX)
        return;
    if (p->len + len + 1 > p->cap)
        p->text = mem_grow(p->text, &p->cap, p->len + len + 1, 1);
    memmove(p->text + p->caret + len, p->text + p->caret, p->len - p->caret);
    if (len > 0)
        memcpy(p->text + p->caret, s, len);
    p->len += len;
    p->caret += len;
    p->text[p->len] = '\0';
}

static void
cut(struct ask *p, size_t from, size_t to)
{
    memmove(p->text + from, p->text + to, p->len - to);
    p->len -= to - from;
    p->caret = from;
    p->text[p->len] = '\0';
}

void
ask_set(struct ask *p, const char *text)
{
    p->len = p->caret = 0;
    insert(p, text, strlen(text));
}

void
ask_open_labelled(struct ui *ui, const struct ask_ops *ops, const char *label,
                  const char *text)
{
    struct ask *p = &ui->ask;

    ask_finish(p);
    p->ops = ops;
    p->label = label ? xstrdup(label) : NULL;
    insert(p, text, strlen(text));
}

void
ask_open(struct ui *ui, const struct ask_ops *ops, const char *text)
{
    ask_open_labelled(ui, ops, NULL, text);
}

void
ask_close(struct ui *ui)
{
    const struct ask_ops *ops = ui->ask.ops;

    ask_finish(&ui->ask);
    if (ops && ops->closed)
        ops->closed(ui);
}

static size_t
next(const struct ask *p)
{
    if (p->caret == p->len)
        return p->len;
    return p->caret + uni_grapheme(p->text + p->caret, p->len - p->caret);
}

/* Graphemes are found from the front: the line is short. */
static size_t
prev(const struct ask *p)
{
    size_t at = 0, last = 0;

    while (at < p->caret) {
        last = at;
        at += uni_grapheme(p->text + at, p->len - at);
    }
    return last;
}

static bool
is_blank(char c)
{
    return c == ' ' || c == '/';
}

static size_t
word_back(const struct ask *p)
{
    size_t at = p->caret;

    while (at > 0 && is_blank(p->text[at - 1]))
        at--;
    while (at > 0 && !is_blank(p->text[at - 1]))
        at--;
    return at;
}

static void
paste(struct ask *p, const char *s, size_t len)
{
    size_t n;
    char *clean = paste_clean(s, len, &n);

    for (size_t i = 0; i < n; i++)
        if (clean[i] == '\n' || clean[i] == '\t')
            clean[i] = ' ';
    while (n > 0 && clean[n - 1] == ' ')
        n--;
    insert(p, clean, n);
    free(clean);
}

/* Keys that only move; true: taken. */
static bool
move_key(struct ask *p, const struct key *k)
{
    if (k->code == KEY_CTRL && k->ch == 'A')
        p->caret = 0;
    else if (k->code == KEY_CTRL && k->ch == 'E')
        p->caret = p->len;
    else if (k->code == KEY_LEFT_ARROW && k->mods == 0)
        p->caret = prev(p);
    else if (k->code == KEY_RIGHT_ARROW && k->mods == 0)
        p->caret = next(p);
    else if (k->code == KEY_HOME_KEY && k->mods == 0)
        p->caret = 0;
    else if (k->code == KEY_END_KEY && k->mods == 0)
        p->caret = p->len;
    else
        return false;
    return true;
}

/* Keys that change the line; true: taken. */
static bool
edit_key(struct ask *p, const struct key *k)
{
    if (k->code == KEY_TEXT && !(k->mods & (MOD_ALT | MOD_CTRL)))
        insert(p, k->s, k->len);
    else if (k->code == KEY_PASTE)
        paste(p, k->s, k->len);
    else if (k->code == KEY_BACKSPACE)
        cut(p, prev(p), p->caret);
    else if (k->code == KEY_DEL)
        cut(p, p->caret, next(p));
    else if (k->code == KEY_CTRL && k->ch == 'U')
        cut(p, 0, p->caret);
    else if (k->code == KEY_CTRL && k->ch == 'K')
        cut(p, p->caret, p->len);
    else if (k->code == KEY_CTRL && k->ch == 'W')
        cut(p, word_back(p), p->caret);
    else
        return false;
    return true;
}

static void
enter(struct ui *ui)
{
    const struct ask_ops *ops = ui->ask.ops;
    char *text = xstrdup(ui->ask.text);

    if (ops->enter(ui, text) && ui->ask.ops == ops)
        ask_finish(&ui->ask);
    free(text);
}

bool
ask_key(struct ui *ui, const struct key *k)
{
    struct ask *p = &ui->ask;

    if (p->ops->key && p->ops->key(ui, k))
        return true;
    if (k->code == KEY_ENTER) {
        enter(ui);
        return true;
    }
    if (move_key(p, k))
        return true;
    if (!edit_key(p, k))
        return false;
    if (p->ops->changed)
        p->ops->changed(ui, p->text);
    return true;
}

void
ask_draw(const struct ask *p, struct grid *g, int y, int *cx, int *cy)
{
    const char *label = p->label ? p->label : _(p->ops->label);
    size_t from = 0;
    char *title;
    int x, room;

    grid_fill(g, 0, y, g->cols, STYLE_PROMPT);
    title = xasprintf(_("%s: "), label);
    x = grid_text(g, 1, y, g->cols - g->cols / 4, title, strlen(title),
                  STYLE_PROMPT);
    free(title);
    room = g->cols - x - 2;
    while (from < p->caret &&
           grid_text_cols(p->text + from, p->caret - from) > room)
        from += uni_grapheme(p->text + from, p->len - from);
    grid_text(g, x, y, g->cols - 1, p->text + from, p->len - from,
              STYLE_PROMPT);
    *cx = x + grid_text_cols(p->text + from, p->caret - from);
    *cy = y;
}
