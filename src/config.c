/* src/config.c  The config file: ini, read by inih.
 *
 * inih tells neither the line of a key nor why it skips one, and it takes an
 * indented line for the rest of the line before. So it reads through a reader
 * of ours, which counts lines, strips the blanks in front, and keeps from it
 * whatever it could not read, with a warning that names the line.
 */
#include "src/config.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/cache.h"

#include "src/i18n.h"

struct source { /* one file while it is read */
    struct config *c;
    FILE *in;
    const char *name;
    int line;
};

/* Keys outside any section, all texts; choices NULL: anything goes. */
struct key_row {
    const char *name;
    size_t offset;
    const char *const *choices;
};
static const char *const color_choices[] = { "auto", "16",  "256",
                                             "true", "off", NULL };
static const char *const lang_choices[] = { "zh", "en", NULL };
static const char *const type_choices[] = { "auto", "f32",  "bf16",
                                            "int8", "int4", NULL };
static const struct key_row key_rows[] = {
    { "model", offsetof(struct config, model), NULL },
    { "type", offsetof(struct config, type), type_choices },
    { "theme", offsetof(struct config, theme), NULL },
    { "color", offsetof(struct config, color), color_choices },
    { "lang", offsetof(struct config, lang), lang_choices },
};

void
config_init(struct config *c)
{
    memset(c, 0, sizeof *c);
    knobs_default(&c->knobs);
    c->warnings = xcalloc(1, sizeof *c->warnings);
}

void
config_finish(struct config *c)
{
    free(c->model);
    free(c->type);
    free(c->theme);
    free(c->lang);
    free(c->color);
    for (size_t i = 0; i < c->n_warnings; i++)
        free(c->warnings[i]);
    free(c->warnings);
    memset(c, 0, sizeof *c);
}

/* `text` is given. */
static void
add_warning(struct config *c, char *text)
{
    c->warnings =
        xreallocarray(c->warnings, c->n_warnings + 2, sizeof *c->warnings);
    c->warnings[c->n_warnings++] = text;
    c->warnings[c->n_warnings] = NULL;
}

/* Takes `what` (given) as a warning about the current line. */
static void
warn(struct source *src, char *what)
{
    add_warning(src->c,
                xasprintf(_("%s, line %d: %s"), src->name, src->line, what));
    free(what);
}

/* --- values --- */

static char *
choice_list(const char *const *choices)
{
    char *list = xstrdup(choices[0]);

    for (size_t i = 1; choices[i]; i++) {
        char *longer = xasprintf("%s, %s", list, choices[i]);

        free(list);
        list = longer;
    }
    return list;
}

static void
set_key(struct source *src, const struct key_row *row, const char *value)
{
    char **place = (char **)((char *)src->c + row->offset);
    bool known = !row->choices;

    for (size_t i = 0; row->choices && row->choices[i]; i++)
        known |= !strcmp(row->choices[i], value);
    if (!known) {
        char *list = choice_list(row->choices);

        warn(src, xasprintf(_("%s is one of %s, not \"%s\""), row->name, list,
                            value));
        free(list);
        return;
    }
    free(*place);
    if (!strncmp(value, "~/", 2) && getenv("HOME"))
        *place = xasprintf("%s%s", getenv("HOME"), value + 1);
    else
        *place = *value ? xstrdup(value) : NULL;
}

bool
config_parse_ambiwidth(const char *value, int *out)
{
    if (!strcmp(value, "auto"))
        *out = 0;
    else if (!strcmp(value, "1") || !strcmp(value, "2"))
        *out = *value - '0';
    else
        return false;
    return true;
}

static void
set_knob(struct source *src, const char *name, const char *value)
{
    const struct knob_row *row = knob_find(name);
    struct err err = { 0 };

    if (!row) {
        const char *near = knob_nearest(name);

        warn(src, near ? xasprintf(_("there is no knob \"%s\"; did you mean "
                                     "%s?"),
                                   name, near)
                       : xasprintf(_("there is no knob \"%s\""), name));
        return;
    }
    if (!knob_parse(&src->c->knobs, row, value, &err))
        warn(src, xstrdup(err.msg));
    else
        src->c->knob_set[row->id] = true;
}

/* inih calls this for each NAME = VALUE. */
static int
on_value(void *ud, const char *section, const char *name, const char *value)
{
    struct source *src = ud;

    if (!strcmp(section, "knobs")) {
        set_knob(src, name, value);
        return 1;
    }
    if (*section) {
        warn(src, xasprintf(_("there is no section [%s]"), section));
        return 1;
    }
    if (!strcmp(name, "ambiwidth")) {
        if (!config_parse_ambiwidth(value, &src->c->ambiwidth))
            warn(src, xasprintf(_("%s is one of %s, not \"%s\""), name,
                                "auto, 1, 2", value));
        return 1;
    }
    if (!strcmp(name, "fast")) {
        src->c->fast = !strcmp(value, "yes");
        if (!src->c->fast && strcmp(value, "no") != 0)
            warn(src, xasprintf(_("%s is one of %s, not \"%s\""), name,
                                "yes, no", value));
        return 1;
    }
    if (!strcmp(name, "cache")) {
        if (!cache_parse_limit(value, &src->c->cache_limit))
            warn(src, xasprintf(_("%s is one of %s, not \"%s\""), name,
                                _("auto, off, or a size as 500M or 8G"),
                                value));
        return 1;
    }
    for (size_t i = 0; i < sizeof key_rows / sizeof *key_rows; i++)
        if (!strcmp(key_rows[i].name, name)) {
            set_key(src, &key_rows[i], value);
            return 1;
        }
    warn(src, knob_find(name)
                  ? xasprintf(_("%s is a knob and belongs under [knobs]"), name)
                  : xasprintf(_("unknown key \"%s\""), name));
    return 1;
}

/* --- lines --- */

/* What is wrong with this line, NULL when inih can read it. */
static const char *
line_fault(const char *line)
{
    if (!*line || *line == '#' || *line == ';')
        return NULL;
    if (*line == '[')
        return strchr(line, ']') ? NULL : _("the ] of the section is missing");
    return strpbrk(line, "=:") ? NULL
                               : _("a line is NAME = VALUE or [SECTION]");
}

/* inih's fgets: one whole line, counted and cleaned. */
static char *
read_line(char *buf, int size, void *ud)
{
    struct source *src = ud;
    char *line = NULL, *s;
    const char *fault;
    size_t cap = 0;
    ssize_t n = getline(&line, &cap, src->in);

    if (n < 0) {
        free(line);
        return NULL;
    }
    src->line++;
    while (n > 0 && isspace((unsigned char)line[n - 1]))
        line[--n] = '\0';
    s = line;
    if (src->line == 1 && !strncmp(s, "\xEF\xBB\xBF", 3))
        s += 3;
    s += strspn(s, " \t");
    fault = strlen(s) + 1 < (size_t)size ? line_fault(s)
                                         : _("the line is too long");
    if (fault)
        warn(src, xstrdup(fault));
    snprintf(buf, (size_t)size, "%s", fault ? "" : s);
    free(line);
    return buf;
}

void
config_read_stream(struct config *c, FILE *in, const char *name)
{
    struct source src = { .c = c, .in = in, .name = name };

    ini_parse_stream(read_line, &src, on_value, &src);
}

void
config_read_file(struct config *c, const char *path)
{
    FILE *in = fopen(path, "re");

    if (!in) {
        if (errno != ENOENT && errno != ENOTDIR)
            add_warning(c, xasprintf(_("%s cannot be read: %s"), path,
                                     strerror(errno)));
        return;
    }
    config_read_stream(c, in, path);
    if (ferror(in))
        add_warning(c, xasprintf(_("%s cannot be read: %s"), path,
                                 strerror(errno)));
    fclose(in);
}
