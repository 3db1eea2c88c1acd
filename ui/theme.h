/* ui/theme.h  Theme files to styles; 16, 256 and true colour, or none.
 *
 * themes/NAME.theme is an ini file: one section per style with fg, bg, attr.
 * A style is a row of style_names[]; adding one is one row and one line in
 * each theme. NO_COLOR or color=off: attributes only (bold = me, plain =
 * model), UX 3.
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
    uint8_t attr;
};

struct theme {
    char name[32];
    struct style_look look[STYLE_COUNT];
};

extern const char *const style_names[STYLE_COUNT];

/* Finds NAME.theme in the themes folder (or a path); unknown keys and styles
 * are collected in err as a warning but do not fail; a missing file does. */
bool theme_load(struct theme *t, const char *name, struct err *err);
void theme_default(struct theme *t); /* ink, compiled in */
/* Nearest of the 256 (6x6x6 cube and greys). */
int theme_rgb_to_256(int32_t rgb);
/* From --color/config ("auto", "16", ...), NO_COLOR, COLORTERM, TERM colours. */
enum color_depth theme_depth(const char *want, int term_colors);

#endif
