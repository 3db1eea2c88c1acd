/* ui/theme.h  Theme files to styles; 16, 256 and true colour, or none.
 *
 * themes/NAME.theme is an ini file: one section per style, with
 *     fg, bg       #rrggbb or default
 *     fg16, bg16   0..15 or default, for 16 colours; nearest when not given
 *     attr         any of bold dim underline reverse italic
 *     mono         the same words, for NO_COLOR or color = off
 * A style is a row of style_names[]; adding one is one row, one section in
 * each theme and one row in theme.c's built-in ink. Without colour bold is
 * the writer's text, plain the model's.
 */
#ifndef JIELONG_THEME_H
#define JIELONG_THEME_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/err.h"

enum style {
    STYLE_TEXT,      /* the writer's text: the terminal's own foreground */
    STYLE_MODEL,     /* the model's text */
    STYLE_IMPORT,
    STYLE_UNSEEN,    /* above the model's window: dim */
    STYLE_GHOST,     /* candidates that are not chosen: dim */
    STYLE_ODD,       /* placeholders of what cannot be shown */
    STYLE_FOUND,     /* a match of find */
    STYLE_HINT,      /* dim help that is no text */
    STYLE_STATUS, STYLE_STATUS_MODE, STYLE_STATUS_WARN,
    STYLE_HINTS,     /* last row */
    STYLE_RULE,      /* the horizon, headings of drawers */
    STYLE_PANEL, STYLE_PANEL_LABEL, STYLE_PANEL_FOCUS,
    STYLE_BAR, STYLE_BAR_REST,
    STYLE_PROMPT,
    STYLE_COUNT
};

enum color_depth { COLOR_NONE, COLOR_16, COLOR_256, COLOR_TRUE };

enum { ATTR_BOLD = 1, ATTR_DIM = 2, ATTR_UNDERLINE = 4, ATTR_REVERSE = 8,
       ATTR_ITALIC = 16 };

#define THEME_DEFAULT (-1) /* the terminal's own colour */

struct style_look {
    int32_t fg, bg;   /* 0xRRGGBB, or THEME_DEFAULT */
    uint8_t fg16, bg16; /* 0..15, for 16 colours; 255 default */
    uint8_t attr;       /* ATTR_... with colours */
    uint8_t mono;       /* ATTR_... without */
};

#define THEME_DEFAULT16 255

struct theme {
    char name[32];
    struct style_look look[STYLE_COUNT];
};

extern const char *const style_names[STYLE_COUNT];

/* Finds NAME.theme in the themes folder; a name with a slash is a path. A
 * missing file is a failure and leaves *t alone. Unknown keys and styles and
 * bad values are skipped: true is returned, err->kind is not ERR_NONE and the
 * message is a warning that names the lines. What a theme does not say is as
 * in ink. */
bool theme_load(struct theme *t, const char *name, struct err *err);
void theme_default(struct theme *t); /* ink, compiled in */
/* Nearest of the 256 (6x6x6 cube and greys). */
int theme_rgb_to_256(int32_t rgb);
/* Nearest of the 16, in xterm's default palette. */
int theme_rgb_to_16(int32_t rgb);
/* From --color/config ("auto", "16", ...), NO_COLOR, COLORTERM, TERM colours. */
enum color_depth theme_depth(const char *want, int term_colors);

#endif
