/* ui/theme.c  Theme files, and colours made smaller.
 *
 * The built-in ink is the same as themes/ink.theme (a test compares them), so
 * the page has its colours when no file can be found. A theme file changes a
 * copy of it.
 */
#include "ui/theme.h"

#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/file.h"
#include "engine/base/mem.h"

#include "src/i18n.h"
#include "src/paths.h"

const char *const style_names[STYLE_COUNT] = {
    [STYLE_TEXT] = "text",
    [STYLE_MODEL] = "model",
    [STYLE_IMPORT] = "import",
    [STYLE_UNSEEN] = "unseen",
    [STYLE_GHOST] = "ghost",
    [STYLE_ODD] = "odd",
    [STYLE_FOUND] = "found",
    [STYLE_HINT] = "hint",
    [STYLE_STATUS] = "status",
    [STYLE_STATUS_MODE] = "status-mode",
    [STYLE_STATUS_WARN] = "status-warn",
    [STYLE_HINTS] = "hints",
    [STYLE_RULE] = "rule",
    [STYLE_PANEL] = "panel",
    [STYLE_PANEL_LABEL] = "panel-label",
    [STYLE_PANEL_FOCUS] = "panel-focus",
    [STYLE_BAR] = "bar",
    [STYLE_BAR_REST] = "bar-rest",
    [STYLE_PROMPT] = "prompt",
};

#define D   THEME_DEFAULT
#define D16 THEME_DEFAULT16

/* fg, bg, fg16, bg16, attr, mono */
static const struct style_look ink[STYLE_COUNT] = {
    [STYLE_TEXT] = { D, D, D16, D16, 0, ATTR_BOLD },
    [STYLE_MODEL] = { 0xD7AF87, D, 3, D16, 0, 0 },
    [STYLE_IMPORT] = { 0xAFC7AF, D, 6, D16, 0, 0 },
    [STYLE_UNSEEN] = { 0x767676, D, 8, D16, 0, ATTR_DIM },
    [STYLE_GHOST] = { 0x8A7A66, D, 8, D16, 0, ATTR_DIM },
    [STYLE_ODD] = { 0xD78787, D, 1, D16, 0, ATTR_REVERSE },
    [STYLE_FOUND] = { 0x000000, 0xD7AF5F, 0, 3, 0, ATTR_REVERSE },
    [STYLE_HINT] = { 0x767676, D, 8, D16, 0, ATTR_DIM },
    [STYLE_STATUS] = { 0xD0D0D0, 0x303030, 7, 0, 0, ATTR_REVERSE },
    [STYLE_STATUS_MODE] = { 0x1C1C1C, 0xD7AF87, 0, 3, ATTR_BOLD,
                            ATTR_REVERSE | ATTR_BOLD },
    [STYLE_STATUS_WARN] = { 0xFFFFFF, 0xAF0000, 15, 1, ATTR_BOLD,
                            ATTR_REVERSE | ATTR_BOLD },
    [STYLE_HINTS] = { 0x8A8A8A, D, 7, D16, 0, 0 },
    [STYLE_RULE] = { 0x5F8787, D, 6, D16, 0, ATTR_DIM },
    [STYLE_PANEL] = { 0xD0D0D0, D, 7, D16, 0, 0 },
    [STYLE_PANEL_LABEL] = { 0x87AFAF, D, 6, D16, 0, 0 },
    [STYLE_PANEL_FOCUS] = { 0xFFFFFF, 0x44475A, 15, 4, ATTR_BOLD,
                            ATTR_REVERSE },
    [STYLE_BAR] = { 0x1C1C1C, 0xD7AF87, 0, 3, 0, ATTR_REVERSE },
    [STYLE_BAR_REST] = { 0x767676, 0x303030, 8, 0, 0, ATTR_UNDERLINE },
    [STYLE_PROMPT] = { 0xFFFFFF, 0x303030, 15, 0, 0, 0 },
};

void
theme_default(struct theme *t)
{
    memset(t, 0, sizeof *t);
    snprintf(t->name, sizeof t->name, "ink");
    memcpy(t->look, ink, sizeof ink);
}

/* --- colours --- */

static int
distance(int32_t a, int32_t b)
{
    int r = ((a >> 16) & 0xFF) - ((b >> 16) & 0xFF);
    int g = ((a >> 8) & 0xFF) - ((b >> 8) & 0xFF);
    int bl = (a & 0xFF) - (b & 0xFF);

    return 3 * r * r + 4 * g * g + 2 * bl * bl; /* the eye, roughly */
}

/* Colour n of xterm's 256: 16..231 a cube, 232..255 greys. */
static int32_t
rgb_of_256(int n)
{
    static const int step[6] = { 0, 0x5F, 0x87, 0xAF, 0xD7, 0xFF };
    int grey;

    if (n >= 232) {
        grey = 8 + (n - 232) * 10;
        return grey << 16 | grey << 8 | grey;
    }
    n -= 16;
    return step[n / 36] << 16 | step[n / 6 % 6] << 8 | step[n % 6];
}

int
theme_rgb_to_256(int32_t rgb)
{
    int best = 16;

    for (int n = 16; n < 256; n++)
        if (distance(rgb, rgb_of_256(n)) < distance(rgb, rgb_of_256(best)))
            best = n;
    return best;
}

int
theme_rgb_to_16(int32_t rgb)
{
    static const int32_t palette[16] = {
        0x000000, 0xCD0000, 0x00CD00, 0xCDCD00, 0x0000EE, 0xCD00CD,
        0x00CDCD, 0xE5E5E5, 0x7F7F7F, 0xFF0000, 0x00FF00, 0xFFFF00,
        0x5C5CFF, 0xFF00FF, 0x00FFFF, 0xFFFFFF
    };
    int best = 0;

    for (int n = 1; n < 16; n++)
        if (distance(rgb, palette[n]) < distance(rgb, palette[best]))
            best = n;
    return best;
}

static bool
is_one_of(const char *s, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(s, *list) == 0)
            return true;
    return false;
}

enum color_depth
theme_depth(const char *want, int term_colors)
{
    static const char *const none[] = {
        "off", "no", "none", "never", "0", NULL
    };
    static const char *const deep[] = { "true", "truecolor", "24bit", NULL };
    const char *no_color = getenv("NO_COLOR");
    const char *term = getenv("COLORTERM");

    if (want && is_one_of(want, none))
        return COLOR_NONE;
    if (want && strcmp(want, "16") == 0)
        return COLOR_16;
    if (want && strcmp(want, "256") == 0)
        return COLOR_256;
    if (want && is_one_of(want, deep))
        return COLOR_TRUE;
    if ((!want || strcmp(want, "always") != 0) && no_color && *no_color)
        return COLOR_NONE;
    if (term && is_one_of(term, deep))
        return COLOR_TRUE;
    if (term_colors >= 256)
        return COLOR_256;
    return term_colors >= 8 ? COLOR_16 : COLOR_NONE;
}

/* --- files --- */

struct reading {
    struct theme *t;
    FILE *in;
    int line;
    bool fg16[STYLE_COUNT], bg16[STYLE_COUNT]; /* given by the file */
    int faults;
    char faulty[120]; /* "line 3: [modle]; line 9: colour" */
};

static char *
read_line(char *s, int num, void *stream)
{
    struct reading *r = stream;

    r->line++;
    return fgets(s, num, r->in);
}

/* Notes what was skipped; the first three are named. */
static int
fault(struct reading *r, const char *what)
{
    size_t n = strlen(r->faulty);

    if (r->faults++ < 3)
        snprintf(r->faulty + n, sizeof r->faulty - n, "%s%d: %.24s",
                 n ? ", " : "", r->line, what);
    return 1; /* inih goes on */
}

static bool
parse_color(const char *s, int32_t *out)
{
    char *end;
    long n;

    if (strcmp(s, "default") == 0) {
        *out = THEME_DEFAULT;
        return true;
    }
    if (s[0] != '#' || strlen(s) != 7 ||
        strspn(s + 1, "0123456789abcdefABCDEF") != 6)
        return false;
    n = strtol(s + 1, &end, 16);
    *out = (int32_t)n;
    return true;
}

static bool
parse_color16(const char *s, uint8_t *out)
{
    char *end;
    long n = strtol(s, &end, 10);

    if (strcmp(s, "default") == 0)
        n = THEME_DEFAULT16;
    else if (end == s || *end || n < 0 || n > 15)
        return false;
    *out = (uint8_t)n;
    return true;
}

static bool
parse_attr(const char *s, uint8_t *out)
{
    static const char *const word[] = { "bold", "dim", "underline", "reverse",
                                        "italic" };
    uint8_t attr = 0;

    while (*s) {
        size_t n = strcspn(s, " ,");
        int i;

        for (i = 0; i < 5; i++)
            if (strlen(word[i]) == n && strncmp(s, word[i], n) == 0)
                break;
        if (i < 5)
            attr |= (uint8_t)(1 << i);
        else if (n != 4 || strncmp(s, "none", 4) != 0)
            return false;
        s += n;
        s += strspn(s, " ,");
    }
    *out = attr;
    return true;
}

static int
read_value(void *ud, const char *section, const char *name, const char *value)
{
    struct reading *r = ud;
    struct style_look *look;
    bool ok;
    int i;

    for (i = 0; i < STYLE_COUNT; i++)
        if (strcmp(style_names[i], section) == 0)
            break;
    if (i == STYLE_COUNT)
        return fault(r, section);
    look = &r->t->look[i];
    if (strcmp(name, "fg") == 0)
        ok = parse_color(value, &look->fg);
    else if (strcmp(name, "bg") == 0)
        ok = parse_color(value, &look->bg);
    else if (strcmp(name, "fg16") == 0)
        ok = r->fg16[i] = parse_color16(value, &look->fg16);
    else if (strcmp(name, "bg16") == 0)
        ok = r->bg16[i] = parse_color16(value, &look->bg16);
    else if (strcmp(name, "attr") == 0)
        ok = parse_attr(value, &look->attr);
    else if (strcmp(name, "mono") == 0)
        ok = parse_attr(value, &look->mono);
    else
        return fault(r, name);
    return ok ? 1 : fault(r, value);
}

/* Where the file gave no colour of the 16, the nearest one. */
static void
fill_16(struct reading *r)
{
    for (int i = 0; i < STYLE_COUNT; i++) {
        struct style_look *l = &r->t->look[i];

        if (!r->fg16[i])
            l->fg16 = l->fg == THEME_DEFAULT ? THEME_DEFAULT16
                                             : (uint8_t)theme_rgb_to_16(l->fg);
        if (!r->bg16[i])
            l->bg16 = l->bg == THEME_DEFAULT ? THEME_DEFAULT16
                                             : (uint8_t)theme_rgb_to_16(l->bg);
    }
}

static char *
theme_path(const char *name)
{
    char *dir, *path;

    if (strchr(name, '/'))
        return xstrdup(name);
    dir = paths_shared("themes");
    path = xasprintf("%s/%s.theme", dir, name);
    free(dir);
    return path;
}

bool
theme_load(struct theme *t, const char *name, struct err *err)
{
    struct reading r = { 0 };
    struct theme made;
    char *path = theme_path(name);
    int bad;

    err_set(err, ERR_NONE, "%s", "");
    r.in = fopen(path, "re");
    if (!r.in) {
        err_errno(err, ERR_USAGE, errno, _("%s: cannot read this theme"), path);
        free(path);
        return false;
    }
    theme_default(&made);
    snprintf(made.name, sizeof made.name, "%s", file_name(name));
    r.t = &made;
    bad = ini_parse_stream(read_line, &r, read_value, &r);
    fclose(r.in);
    if (bad > 0) {
        r.line = bad;
        fault(&r, _("not an ini line"));
    }
    fill_16(&r);
    *t = made;
    if (r.faults)
        err_set(err, ERR_USAGE,
                _("%s: skipped what is not a style, key or value (line %s)"),
                path, r.faulty);
    free(path);
    return true;
}
