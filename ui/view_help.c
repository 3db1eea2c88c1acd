/* ui/view_help.c  The help, written from the tables of commands, keys and
 * knobs: it cannot say anything else than what the program does. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"

#include "src/i18n.h"

#include "ui/command.h"
#include "ui/ui_state.h"

#define KEYS_COLS 22

struct line {
    char *left;        /* owned */
    const char *right; /* translated */
    bool heading;
};

struct lines {
    struct line *v;
    size_t n, cap;
};

static void
add(struct lines *l, char *left, const char *right, bool heading)
{
    if (l->n == l->cap)
        l->v = mem_grow(l->v, &l->cap, l->n + 1, sizeof *l->v);
    l->v[l->n++] = (struct line){ left, right, heading };
}

/* All keys of a command, each once; given. */
static char *
keys_of(const char *command)
{
    char *all = xstrdup("");

    for (size_t i = 0; i < n_key_bindings; i++) {
        const struct binding *b = &key_bindings[i];
        char *more;

        if (strcmp(b->command, command) != 0 || strstr(all, b->key))
            continue;
        more = xasprintf("%s%s%s", all, *all ? "  " : "", b->key);
        free(all);
        all = more;
    }
    return all;
}

static void
add_commands(struct lines *l)
{
    add(l, xstrdup(_("Keys")), "", true);
    for (size_t i = 0; i < n_commands; i++) {
        char *keys = keys_of(commands[i].name);

        if (*keys)
            add(l, keys, _(commands[i].help), false);
        else
            free(keys);
    }
}

static void
add_knobs(struct lines *l)
{
    add(l, xstrdup(""), "", false);
    add(l, xstrdup(_("Knobs (Ctrl-T)")), "", true);
    for (int i = 0; i < KNOB_COUNT; i++)
        add(l, xasprintf("%s  --%s", _(knob_rows[i].label), knob_rows[i].name),
            _(knob_rows[i].help), false);
}

static void
add_rules(struct lines *l)
{
    static const char *const rules[] = {
        N_("Write anywhere, at any time, also while the model writes."),
        N_("It waits while you type, then goes on with what you wrote."),
        N_("Nothing is lost: undo, retry and versions keep every text."),
        N_("The story is on disk before it is on the screen."),
    };

    add(l, xstrdup(""), "", false);
    add(l, xstrdup(_("How it goes")), "", true);
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        add(l, xstrdup(""), _(rules[i]), false);
}

static void
add_this_story(struct lines *l, const struct ui *ui)
{
    char run[160];

    add(l, xstrdup(""), "", false);
    add(l, xstrdup(_("This story")), "", true);
    add(l, xstrdup(_("file")), storyfile_path(ui->file), false);
    if (gen_model(ui->gen))
        add(l, xstrdup(_("model")), model_info(gen_model(ui->gen))->name,
            false);
    status_last_run(ui, run, sizeof run);
    if (*run)
        add(l, xasprintf("%s", run), "", false);
}

static void
draw_line(struct grid *g, int y, const struct line *line)
{
    size_t n = strlen(line->left);
    int x = grid_text(g, 2, y, g->cols - 1, line->left, n,
                      line->heading ? STYLE_RULE : STYLE_PANEL_LABEL);
    int at = *line->left ? 2 + KEYS_COLS : 2;

    grid_text(g, x + 2 > at && *line->left ? x + 2 : at, y, g->cols - 1,
              line->right, strlen(line->right), STYLE_TEXT);
}

static void
help_draw(struct ui *ui, struct grid *g, int y, int rows, int *cx, int *cy)
{
    struct lines l = { 0 };
    int last;

    add_commands(&l);
    add_knobs(&l);
    add_rules(&l);
    add_this_story(&l, ui);
    ui->help.lines = (int)l.n;
    last = ui->help.lines > rows ? ui->help.lines - rows : 0;
    ui->help.top = ui->help.top > last ? last : ui->help.top;
    for (int i = 0; i < rows && ui->help.top + i < (int)l.n; i++)
        draw_line(g, y + i, &l.v[ui->help.top + i]);
    for (size_t i = 0; i < l.n; i++)
        free(l.v[i].left);
    free(l.v);
    ui->page_rows = rows;
    *cx = 0;
    *cy = y;
}

static void
scroll(struct ui *ui, int by)
{
    int last = ui->help.lines - ui->page_rows;

    ui->help.top += by;
    if (ui->help.top > last)
        ui->help.top = last;
    if (ui->help.top < 0)
        ui->help.top = 0;
}

static bool
help_key(struct ui *ui, const struct key *k)
{
    int page = ui->page_rows > 2 ? ui->page_rows - 1 : 1;

    if (k->mods)
        return false;
    switch (k->code) {
    case KEY_UP_ARROW: scroll(ui, -1); break;
    case KEY_DOWN_ARROW: scroll(ui, 1); break;
    case KEY_PGUP: scroll(ui, -page); break;
    case KEY_PGDN: scroll(ui, page); break;
    case KEY_HOME_KEY: scroll(ui, -ui->help.lines); break;
    case KEY_END_KEY: scroll(ui, ui->help.lines); break;
    case KEY_TEXT: break; /* nothing falls into the story from here */
    default: return false;
    }
    return true;
}

static int
help_rows(const struct ui *ui)
{
    return 0; /* it covers the page */
}

static const char *
help_hints(const struct ui *ui)
{
    return _("Up/Down PgUp/PgDn scroll  Esc back to the page");
}

const struct view_ops view_help = {
    .name = "help",
    .rows = help_rows,
    .draw = help_draw,
    .key = help_key,
    .hints = help_hints,
};
