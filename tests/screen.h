/* tests/screen.h  The screen as pictures: keys in, cells out, no terminal.
 *
 * The story file is real, the generator is a puppet (fake_gen.h). Pictures
 * are in English, the language of a program without messages; blanks at the
 * end of a row do not count.
 */
#ifndef JIELONG_SCREEN_H
#define JIELONG_SCREEN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/base/unicode.h"

#include "ui/ui_state.h"

#include "tests/fake_gen.h"

/* Not every test program uses every helper. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"

struct screen {
    struct ui ui;
    struct fake_gen *gen;
    struct grid g;
    int cx, cy;
    char dir[64], path[96];
};

static void
screen_draw(struct screen *s)
{
    ui_draw(&s->ui, &s->g, &s->cx, &s->cy);
}

static void
poll_turn(struct screen *s)
{
    turn_poll(s->ui.turn, s->ui.now);
    screen_draw(s);
}

static void
screen_open(struct screen *s, int cols, int rows)
{
    struct storyfile_options opt = { .create = true };
    struct err err = { 0 };
    struct storyfile *f;

    memset(s, 0, sizeof *s);
    strcpy(s->dir, "/tmp/jielong-view-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    snprintf(s->path, sizeof s->path, "%s/ferry.jl", s->dir);
    f = storyfile_open(s->path, &opt, &err);
    if (!f)
        fail_msg("%s", err.msg);
    s->gen = fake_gen_new();
    s->ui.cols = cols;
    s->ui.rows = rows;
    s->ui.mono = true;
    s->ui.now = 1000;
    grid_init(&s->g, cols, rows);
    ui_init(&s->ui, f, &s->gen->base);
    fake_loaded(s->gen);
    poll_turn(s);
}

static void
screen_close(struct screen *s)
{
    ui_finish(&s->ui);
    grid_finish(&s->g);
    unlink(s->path);
    rmdir(s->dir);
}

static void
type(struct screen *s, const char *text)
{
    struct key k = { .code = KEY_TEXT, .s = text, .len = strlen(text) };

    s->ui.now += 10;
    ui_key(&s->ui, &k);
    screen_draw(s);
}

static void
paste(struct screen *s, const char *text)
{
    struct key k = { .code = KEY_PASTE, .s = text, .len = strlen(text) };

    s->ui.now += 10;
    ui_key(&s->ui, &k);
    screen_draw(s);
}

/* Keys by name, blanks between. */
static void
press(struct screen *s, const char *names)
{
    char buf[256], *save = NULL;
    struct key k;

    snprintf(buf, sizeof buf, "%s", names);
    for (char *n = strtok_r(buf, " ", &save); n;
         n = strtok_r(NULL, " ", &save)) {
        if (!key_parse(n, &k))
            fail_msg("no key %s", n);
        s->ui.now += 10;
        ui_key(&s->ui, &k);
    }
    screen_draw(s);
}

/* The model writes this, a character at a time. */
static void
model_writes(struct screen *s, const char *text)
{
    for (size_t at = 0, len = strlen(text); at < len;) {
        char one[8] = { 0 };
        size_t n = uni_grapheme(text + at, len - at);

        memcpy(one, text + at, n);
        fake_token(s->gen, one);
        at += n;
        s->ui.now += 5;
        turn_poll(s->ui.turn, s->ui.now);
    }
    screen_draw(s);
}

static void
assert_row(struct screen *s, int y, const char *want)
{
    char *row = grid_row_text(&s->g, y);

    if (strcmp(row, want) != 0)
        fail_msg("row %d:\n  %s|\nnot\n  %s|", y, row, want);
    free(row);
}

static bool
row_has(struct screen *s, int y, const char *part)
{
    char *row = grid_row_text(&s->g, y);
    bool has = strstr(row, part) != NULL;

    free(row);
    return has;
}

static void
assert_row_has(struct screen *s, int y, const char *part)
{
    char *row = grid_row_text(&s->g, y);

    if (!strstr(row, part))
        fail_msg("row %d has no \"%s\":\n  %s|", y, part, row);
    free(row);
}

static void
assert_caret(struct screen *s, int x, int y)
{
    if (s->cx != x || s->cy != y)
        fail_msg("caret at %d,%d, not %d,%d", s->cx, s->cy, x, y);
}

static char *
story_string(struct screen *s)
{
    const struct text *t = ui_text(&s->ui);

    return text_dup(t, 0, text_len(t));
}

static void
assert_story(struct screen *s, const char *want)
{
    char *have = story_string(s);

    assert_string_equal(have, want);
    free(have);
}

#pragma GCC diagnostic pop

#endif
