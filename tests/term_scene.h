/* tests/term_scene.h  Pictures that term_draw paints and term_test expects.
 *
 * A scene is made from its number and the size alone, so both programs make
 * the same. The characters are ones about whose width libvterm 0.1.4 and our
 * table agree; among them are all that could harm a terminal.
 */
#ifndef JIELONG_TESTS_TERM_SCENE_H
#define JIELONG_TESTS_TERM_SCENE_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "ui/grid.h"

static inline unsigned
scene_rnd(uint32_t *state, unsigned n)
{
    *state = *state * 1664525u + 1013904223u;
    return (*state >> 8) % n;
}

/* Text of n bits; returns its length, at most 16 n. */
static inline size_t
scene_text(uint32_t *state, char *s, int n)
{
    static const char *const bit[] = {
        "渡", "口", "的", "灯", "“", "”", "……", "——", "，", "。", "a", "b",
        "z ", " ", "　", "é", "e\xCC\x81", "한", "ｗ", "\t", "9", "a\xCC\x88\xCC\xA3",
        "\033[31m", "\033]0;x\007", "\x9B", "\xC2\x9B", "\u202E", "\uFEFF",
        "\xE4", "\xFF", "\r", "\010", "\016", "\033c", "\u2028", "\uE000",
        "\033P", "\177", "\xC2\x85", "\U000E0041"
    };
    size_t len = 0;

    while (n-- > 0) {
        const char *b = bit[scene_rnd(state, sizeof bit / sizeof *bit)];

        memcpy(s + len, b, strlen(b));
        len += strlen(b);
    }
    return len;
}

/* Scene n goes on from what g holds: some rows stay as they are. Row 0 begins
 * with "#n ". The caret's place is given back. */
static inline void
scene_draw(struct grid *g, unsigned n, int *cx, int *cy)
{
    uint32_t state = n * 2654435761u + 12345;
    char s[700];

    if (n % 8 == 0)
        grid_clear(g, STYLE_TEXT);
    for (int y = 0; y < g->rows; y++) {
        struct cell *last = grid_at(g, g->cols - 1, y);

        for (unsigned k = scene_rnd(&state, 3); k > 0; k--) {
            int x = (int)scene_rnd(&state, (unsigned)g->cols);
            size_t len = scene_text(&state, s, (int)scene_rnd(&state, 40));
            enum style style =
                (enum style)scene_rnd(&state, (unsigned)STYLE_COUNT);

            grid_text(g, x, y, g->cols, s, len, style);
            if (scene_rnd(&state, 5) == 0)
                grid_fill(g, x, y, (int)scene_rnd(&state, 20), style);
        }
        if (last->width == 1)
            memset(last->mark, 0, sizeof last->mark); /* see pty.h */
    }
    grid_fill(g, 0, 0, 8, STYLE_TEXT);
    snprintf(s, sizeof s, "#%u ", n);
    grid_text(g, 0, 0, g->cols, s, strlen(s), STYLE_TEXT);
    *cx = (int)scene_rnd(&state, (unsigned)g->cols);
    *cy = (int)scene_rnd(&state, (unsigned)g->rows);
}

#endif
