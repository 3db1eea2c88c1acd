/* src/cli_help.c  --help, written from the tables. */
#include <stdio.h>
#include <string.h>

#include "engine/base/unicode.h"

#include "src/cli_options.h"
#include "src/i18n.h"

#define HELP_COLUMN 24
#define HELP_WIDTH  79

static int
columns(const char *s, size_t len)
{
    int cols = 0;
    uint32_t cp;

    for (size_t i = 0; i < len;) {
        i += uni_decode(s + i, len - i, &cp);
        cols += uni_width(cp) > 0 ? uni_width(cp) : 0;
    }
    return cols;
}

/* Where a line of at most `cols` columns ends: at a blank, or after a wide
 * character. */
static size_t
line_end(const char *s, int cols)
{
    size_t len = strlen(s), best = 0;
    int used = 0;
    uint32_t cp;

    for (size_t i = 0; i < len;) {
        size_t n = uni_decode(s + i, len - i, &cp);

        used += uni_width(cp) > 0 ? uni_width(cp) : 0;
        if (used > cols)
            return best ? best : i;
        i += n;
        if (cp == ' ' || uni_is_han(cp))
            best = i;
    }
    return len;
}

/* Name on the left, help wrapped on the right. */
static void
row(const char *left, const char *help)
{
    int used = columns(left, strlen(left)) + 2;

    printf("  %s", left);
    if (used >= HELP_COLUMN) {
        putchar('\n');
        used = 0;
    }
    while (*help) {
        size_t n = line_end(help, HELP_WIDTH - HELP_COLUMN), shown = n;

        while (shown && help[shown - 1] == ' ')
            shown--;
        printf("%*s%.*s\n", HELP_COLUMN - used, "", (int)shown, help);
        used = 0;
        help += n;
    }
}

static void
examples(void)
{
    static const struct {
        const char *line, *help;
    } lines[] = {
        { "jielong", N_("open the last story, or begin one") },
        { N_("jielong ferry.jl"), N_("open this story, or begin it") },
        { N_("jielong ferry.txt"),
          N_("write on from a text, in a story beside it") },
        { N_("jielong -p TEXT -n 80 -k 3"),
          N_("three continuations of a text") },
        { N_("echo TEXT | jielong -t 0.7"),
          N_("continue standard input on standard output") },
        { N_("jielong export ferry.jl"), N_("the story as plain text") },
    };

    puts(_("Examples:"));
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        row(_(lines[i].line), _(lines[i].help));
}

/* "-t, --temperature X" */
static void
option_row(char letter, const char *name, const char *value, const char *help)
{
    char left[80];

    if (letter)
        snprintf(left, sizeof left, "-%c, --%s%s%s", letter, name,
                 value ? " " : "", value ? value : "");
    else
        snprintf(left, sizeof left, "    --%s%s%s", name, value ? " " : "",
                 value ? value : "");
    row(left, help);
}

static const char *const value_names[] = {
    [KNOB_REAL] = N_("X"),       [KNOB_INT] = N_("N"),
    [KNOB_CHOICE] = N_("WHERE"), [KNOB_SEED64] = N_("N"),
    [KNOB_STAGES] = N_("LIST"),  [KNOB_STRING] = N_("TEXT"),
};

static void
knob_help(const struct knob_row *k, const struct knobs *defaults)
{
    char value[80], text[400];

    knob_format(defaults, k, value, sizeof value);
    if (*value)
        snprintf(text, sizeof text, "%s (%s)", _(k->help), value);
    else
        snprintf(text, sizeof text, "%s", _(k->help));
    option_row(k->letter, k->name, _(value_names[k->kind]), text);
}

void
cli_help(void)
{
    struct knobs defaults;

    knobs_default(&defaults);
    puts(_("jielong: you and a local model take turns on one page"));
    putchar('\n');
    examples();
    printf("\n%s\n", _("Usage: jielong [OPTIONS] [STORY.jl | TEXT.txt]"));
    for (size_t i = 0; i < cli_n_commands; i++) {
        const struct command_row *c = &cli_command_rows[i];

        printf("       jielong %s %s\n", c->name, _(c->usage));
    }
    printf("\n%s\n", _("Options:"));
    for (size_t i = 0; i < cli_n_options; i++) {
        const struct option_row *o = &cli_option_rows[i];

        option_row(o->letter, o->name, o->value ? _(o->value) : NULL,
                   _(o->help));
    }
    printf("\n%s\n", _("Knobs, each with a value (in brackets: where it stands "
                       "by itself):"));
    for (size_t i = 0; i < KNOB_COUNT; i++)
        knob_help(&knob_rows[i], &defaults);
    printf("\n%s\n", _("On the page: Tab lets the model write on, Esc stops "
                       "it, F1 helps."));
}
