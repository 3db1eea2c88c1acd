/* src/cli.c  The command line: two tables and a reader for them.
 *
 * Options are the rows below and the rows of the knobs; commands are rows
 * too. A command is the first word beside the options. Everything that is wrong is told
 * in one sentence that names the word at fault and, where one is near, the
 * word that was meant.
 */
#include "src/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/file.h"
#include "engine/base/mem.h"

#include "src/cli_options.h"
#include "src/cli_parts.h"
#include "src/i18n.h"
#include "src/paths.h"

#include "build_config.h"

#define SAMPLES_MAX 1000
#define STDIN_MAX   (64u << 20)

#define AT(member) offsetof(struct cli_options, member)

const struct option_row cli_option_rows[] = {
    { "prompt", 'p', OPTION_TEXT, N_("TEXT"),
      N_("continue this text on standard output, without the page"),
      AT(prompt) },
    { "samples", 'k', OPTION_SAMPLES, N_("N"),
      N_("with -p: so many continuations"), AT(samples) },
    { "model", 'm', OPTION_TEXT, N_("MODEL"),
      N_("a model's folder or file, or the name of an installed one"),
      AT(model) },
    { "vocab", 0, OPTION_TEXT, N_("DIR"),
      N_("take the tokenizer from here instead of the model's folder"),
      AT(vocab) },
    { "type", 0, OPTION_TEXT, N_("TYPE"),
      N_("numbers the weights are held in: f32, bf16, int8, int4 or auto"),
      AT(type) },
    { "fast", 0, OPTION_FLAG, NULL,
      N_("quicker sums on this processor; such a run cannot be replayed"),
      AT(fast) },
    { "preset", 0, OPTION_TEXT, N_("NAME"),
      N_("knobs under one name: calm, normal, wild, greedy, tutorial, gpt2-ml; "
         "single knobs win over it"),
      AT(preset) },
    { "echo", 0, OPTION_FLAG, NULL, N_("with -p: print the opening too"),
      AT(echo) },
    { "json", 0, OPTION_FLAG, NULL,
      N_("with -p: one JSON object a line, with tokens and probabilities"),
      AT(json) },
    { "theme", 0, OPTION_TEXT, N_("NAME"), N_("colours: ink, paper, or a file"),
      AT(theme) },
    { "color", 0, OPTION_TEXT, N_("WHEN"), N_("auto, 16, 256, true or off"),
      AT(color) },
    { "ambiwidth", 0, OPTION_TEXT, N_("N"),
      N_("columns of ambiguous characters: 1, 2 or auto"), AT(ambiwidth) },
    { "lang", 0, OPTION_TEXT, N_("LANG"), N_("zh or en"), AT(lang) },
    { "paths", 0, OPTION_FLAG, NULL, N_("print where everything lies"),
      AT(paths) },
    { "version", 'V', OPTION_FLAG, NULL, N_("print the version"), AT(version) },
    { "help", 'h', OPTION_FLAG, NULL, N_("print this help"), AT(help) },
};
const size_t cli_n_options = sizeof cli_option_rows / sizeof *cli_option_rows;

const struct command_row cli_command_rows[] = {
    { "export", cli_export, N_("STORY.jl [-o NAME.txt|NAME.md]"),
      N_("the story as plain text or Markdown") },
    { "replay", cli_replay, N_("STORY.jl [-m MODEL] [--vocab DIR] [--json]"),
      N_("write a story's runs again and compare: is every token the model's?") },
    { "tokens", cli_tokens,
      N_("-m MODEL | --vocab DIR [--profile NAME] [--json] [--decode] "
         "[--special]"),
      N_("each line of standard input as token ids, or back") },
    { "logits", cli_logits, N_("-m MODEL --ids 5,7,9 [--greedy N] [--type TYPE]"),
      N_("the model's raw scores, for comparing implementations") },
    { "check", cli_check, N_("MODEL [--type TYPE] [FILE]"),
      N_("what the smaller types of a model's weights cost in exactness") },
    { "convert", cli_convert,
      N_("MODEL FILE.gguf [--type f32|f16|bf16|q8_0|q4_0] [--force]"),
      N_("the model as one GGUF file, for this program or for llama.cpp "
         "(which puts WordPiece's separator behind a prompt)") },
    { "bench", cli_bench,
      N_("[MODEL | --shape small|medium|xl|LxDxHxV] [--type LIST] "
         "[--threads LIST] [--rounds N] [--only LIST] [--fast] [--json]"),
      N_("how fast a model runs here, as shares of what the memory gives") },
    { "models", cli_models, N_("[--json]"),
      N_("the models that are here, and what is wrong with a broken one") },
    { "cache", cli_cache, N_("[clear [NAME]]"),
      N_("converted weights kept for the next start: list or remove them") },
    { "get", cli_get, N_("[NAME | OWNER/NAME] [--yes] [--as FOLDER]"),
      N_("download a model; without a name: those that are known") },
};
const size_t cli_n_commands =
    sizeof cli_command_rows / sizeof *cli_command_rows;

/* --- talking --- */

void
cli_say(const char *fmt, ...)
{
    va_list ap;

    fputs("jielong: ", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
}

int
cli_fault(const char *sentence, const struct err *err)
{
    cli_say("%s: %s", sentence, err->msg);
    return err_exit_status(err->kind);
}

void
cli_tell_notes(const struct model *m)
{
    const char *s;

    for (int i = 0; (s = model_note(m, i)); i++)
        cli_say("%s", s);
}

/* --- near words --- */

#define WORD_MAX 32

/* Edits between two words (Levenshtein, Soviet Physics Doklady 10, 1966). */
static size_t
distance(const char *a, const char *b)
{
    size_t row[WORD_MAX + 1], n = strlen(b);

    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t swap = diagonal + (a[i - 1] != b[j - 1]);

            diagonal = row[j];
            if (row[j - 1] + 1 < swap)
                swap = row[j - 1] + 1;
            row[j] = row[j] + 1 < swap ? row[j] + 1 : swap;
        }
    }
    return row[n];
}

/* Keeps the nearer of the two words in *best. */
static void
consider(const char *word, const char *candidate, const char **best,
         size_t *nearest)
{
    size_t d;

    if (!candidate || strlen(candidate) > WORD_MAX)
        return;
    d = distance(word, candidate);
    if (d < *nearest && d <= 1 + strlen(candidate) / 4) {
        *nearest = d;
        *best = candidate;
    }
}

static const char *
near_option(const char *word)
{
    const char *best = NULL;
    size_t nearest = SIZE_MAX;

    if (strlen(word) > WORD_MAX)
        return NULL;
    for (size_t i = 0; i < cli_n_options; i++)
        consider(word, cli_option_rows[i].name, &best, &nearest);
    for (size_t i = 0; i < KNOB_COUNT; i++) {
        consider(word, knob_rows[i].name, &best, &nearest);
        consider(word, knob_rows[i].alias, &best, &nearest);
    }
    return best;
}

static const char *
near_command(const char *word)
{
    const char *best = NULL;
    size_t nearest = SIZE_MAX;

    if (strlen(word) > WORD_MAX)
        return NULL;
    for (size_t i = 0; i < cli_n_commands; i++)
        consider(word, cli_command_rows[i].name, &best, &nearest);
    return best;
}

/* --- options --- */

struct found { /* one of the two kinds of row */
    const struct option_row *option;
    const struct knob_row *knob;
};

static struct found
find_long(const char *name)
{
    struct found f = { 0 };

    for (size_t i = 0; i < cli_n_options; i++)
        if (!strcmp(cli_option_rows[i].name, name))
            f.option = &cli_option_rows[i];
    if (!f.option)
        f.knob = knob_find(name);
    return f;
}

static struct found
find_letter(char letter)
{
    struct found f = { 0 };

    for (size_t i = 0; i < cli_n_options; i++)
        if (cli_option_rows[i].letter == letter)
            f.option = &cli_option_rows[i];
    for (size_t i = 0; i < KNOB_COUNT; i++)
        if (knob_rows[i].letter == letter)
            f.knob = &knob_rows[i];
    return f;
}

static bool
set_samples(struct cli_options *o, const char *value)
{
    char *end;
    long n;

    errno = 0;
    n = strtol(value, &end, 10);
    if (errno || end == value || *end || n < 1 || n > SAMPLES_MAX) {
        cli_say(_("--samples is a number from 1 to %d, not \"%s\""),
                SAMPLES_MAX, value);
        return false;
    }
    o->samples = n;
    return true;
}

static bool
set_knob(struct cli_options *o, const struct knob_row *row, const char *value)
{
    struct knobs *k = &o->config.knobs;
    struct err err = { 0 };
    char *joined = NULL;
    bool ok;

    /* --stop may come more than once: each is one more stop string. */
    if (row->id == KNOB_STOP && o->knob_given[row->id])
        joined = xasprintf("%s||%s", k->stop, value);
    ok = knob_parse(k, row, joined ? joined : value, &err);
    free(joined);
    if (ok)
        o->knob_given[row->id] = true;
    else
        cli_say(_("a value does not fit: %s"), err.msg);
    return ok;
}

/* value NULL: the row is a flag. */
static bool
apply(struct cli_options *o, struct found f, const char *value)
{
    char *place;

    if (f.knob)
        return set_knob(o, f.knob, value);
    place = (char *)o + f.option->offset;
    if (f.option->kind == OPTION_FLAG)
        *(bool *)place = true;
    else if (f.option->kind == OPTION_TEXT)
        *(const char **)place = value;
    else
        return set_samples(o, value);
    return true;
}

/* --name, --name=value, --name value; *i stands on it and may advance. */
static bool
read_long(struct cli_options *o, int argc, char **argv, int *i)
{
    const char *arg = argv[*i] + 2, *equals = strchr(arg, '=');
    char *name = equals ? xstrndup(arg, (size_t)(equals - arg)) : xstrdup(arg);
    struct found f = find_long(name);
    bool flag = f.option && f.option->kind == OPTION_FLAG, ok = false;
    const char *near;

    if (!f.option && !f.knob) {
        near = near_option(name);
        if (near)
            cli_say(_("there is no option --%s; did you mean --%s?"), name,
                    near);
        else
            cli_say(_("there is no option --%s; see jielong --help"), name);
    } else if (flag && equals) {
        cli_say(_("--%s takes no value"), name);
    } else if (!flag && !equals && *i + 1 >= argc) {
        cli_say(_("--%s needs a value"), name);
    } else {
        ok = apply(o, f, flag ? NULL : equals ? equals + 1 : argv[++*i]);
    }
    free(name);
    return ok;
}

/* -x, -xVALUE, -x VALUE, and flags in one word. */
static bool
read_short(struct cli_options *o, int argc, char **argv, int *i)
{
    for (const char *c = argv[*i] + 1; *c; c++) {
        struct found f = find_letter(*c);

        if (!f.option && !f.knob) {
            cli_say(_("there is no option %s; see jielong --help"), argv[*i]);
            return false;
        }
        if (f.option && f.option->kind == OPTION_FLAG) {
            apply(o, f, NULL);
            continue;
        }
        if (c[1])
            return apply(o, f, c + 1);
        if (*i + 1 < argc)
            return apply(o, f, argv[++*i]);
        cli_say(_("-%c needs a value"), *c);
        return false;
    }
    return true;
}

static bool
read_file_name(struct cli_options *o, const char *arg)
{
    const char *near;

    if (!o->file) {
        o->file = arg;
        return true;
    }
    near = near_command(o->file);
    if (near)
        cli_say(_("there is no command \"%s\"; did you mean %s?"), o->file,
                near);
    else
        cli_say(_("one story at a time: \"%s\" and \"%s\" were named"), o->file,
                arg);
    return false;
}

static bool
read_arguments(struct cli_options *o, int argc, char **argv)
{
    bool names_only = false;

    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        bool ok;

        if (!names_only && !strcmp(arg, "--")) {
            names_only = true;
            continue;
        }
        if (names_only || arg[0] != '-' || !arg[1])
            ok = read_file_name(o, arg);
        else if (arg[1] == '-')
            ok = read_long(o, argc, argv, &i);
        else
            ok = read_short(o, argc, argv, &i);
        if (!ok)
            return false;
    }
    return true;
}

/* --- settings --- */

/* What a preset sets and no option of its own does. */
static bool
merge_preset(struct cli_options *o)
{
    const struct preset_row *p = o->preset ? preset_find(o->preset) : NULL;
    struct knobs *k = &o->config.knobs, own = *k;
    char value[KNOB_TEXT_MAX];

    if (!o->preset)
        return true;
    if (!p) {
        char list[256] = "";

        for (int i = 0; i < n_presets; i++) {
            strcat(list, i ? ", " : "");
            strcat(list, preset_rows[i].name);
        }
        cli_say(_("%s is one of %s, not \"%s\""), "--preset", list, o->preset);
        return false;
    }
    preset_apply(k, p);
    for (size_t i = 0; i < KNOB_COUNT; i++) {
        if (!preset_sets(&knob_rows[i]))
            continue;
        if (o->knob_given[i]) {
            knob_format(&own, &knob_rows[i], value, sizeof value);
            knob_parse(k, &knob_rows[i], value, NULL);
        }
        o->knob_given[i] = true;
    }
    return true;
}

/* The language is wanted before anything else can be told. */
static const char *
early_language(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (!strncmp(argv[i], "--lang=", 7))
            return argv[i] + 7;
        if (!strcmp(argv[i], "--lang") && i + 1 < argc)
            return argv[i + 1];
    }
    return NULL;
}

/* Reads the config; when it names a language and no option does, once more,
 * so that its warnings speak that language. */
static void
read_config(struct config *c, const char *lang)
{
    char *path = paths_config_file();

    config_init(c);
    config_read_file(c, path);
    if (c->lang && !lang) {
        i18n_init(c->lang);
        config_finish(c);
        config_init(c);
        config_read_file(c, path);
    }
    free(path);
}

static void
replace(char **place, const char *value)
{
    free(*place);
    *place = xstrdup(value);
}

static bool
is_language(const char *word)
{
    static const char *const langs[] = { "zh", "en", "zh_CN" };

    for (size_t i = 0; i < sizeof langs / sizeof *langs; i++)
        if (!strcmp(word, langs[i]))
            return true;
    cli_say(_("%s is one of %s, not \"%s\""), "--lang", "zh, en", word);
    return false;
}

/* Options that the config knows too go into it, checked in the same words. */
static bool
merge_into_config(struct cli_options *o)
{
    static const char *const colors[] = { "auto", "16", "256", "true", "off" };
    struct config *c = &o->config;
    bool known = !o->color;

    for (size_t i = 0; !known && i < sizeof colors / sizeof *colors; i++)
        known = !strcmp(o->color, colors[i]);
    if (!known) {
        cli_say(_("%s is one of %s, not \"%s\""), "--color",
                "auto, 16, 256, true, off", o->color);
        return false;
    }
    if (o->lang && !is_language(o->lang))
        return false;
    if (o->ambiwidth && !config_parse_ambiwidth(o->ambiwidth, &c->ambiwidth)) {
        cli_say(_("%s is one of %s, not \"%s\""), "--ambiwidth", "auto, 1, 2",
                o->ambiwidth);
        return false;
    }
    if (o->color)
        replace(&c->color, o->color);
    if (o->type)
        replace(&c->type, o->type);
    c->fast |= o->fast;
    if (o->theme)
        replace(&c->theme, o->theme);
    if (o->lang)
        replace(&c->lang, o->lang);
    if (o->model)
        replace(&c->model, o->model);
    return true;
}

char *
cli_model_path(const struct cli_options *o)
{
    char *path;

    if (o->config.model)
        return paths_find_model(o->config.model);
    path = paths_default_model();
    if (!path)
        cli_say(_("no model is installed; name one with -m MODEL"));
    return path;
}

static void
print_paths(const struct cli_options *o)
{
    char *data = paths_data_home();
    struct {
        const char *name;
        char *path;
    } rows[] = {
        { "config", paths_config_file() },
        { "stories", xasprintf("%s/stories", data) },
        { "state", paths_state_home() },
        { "cache", paths_cache_home() },
        { "models", paths_shared("models") },
        { "themes", paths_shared("themes") },
        { "messages", paths_shared("locale") },
        { "model", o->config.model ? paths_find_model(o->config.model)
                                   : paths_default_model() },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        printf("%-9s %s\n", rows[i].name, rows[i].path ? rows[i].path : "-");
        free(rows[i].path);
    }
    free(data);
}

/* --- what to do --- */

/* Text without the page: from -p, or from stdin when that is no terminal. */
static int
continue_text(const struct cli_options *o)
{
    char *text = NULL;
    size_t len, cap = 0, n;
    int status;

    if (o->prompt)
        return cli_generate(o, o->prompt, strlen(o->prompt));
    for (len = 0;; len += n) {
        if (cap - len < 65536)
            text = mem_grow(text, &cap, len + 65536, 1);
        n = fread(text + len, 1, cap - len, stdin);
        if (n == 0 || len + n > STDIN_MAX)
            break;
    }
    if (n) {
        cli_say(_("standard input is longer than %u MiB"), STDIN_MAX >> 20);
        status = EXIT_FAILED;
    } else if (ferror(stdin)) {
        cli_say(_("standard input cannot be read: %s"), strerror(errno));
        status = EXIT_FAILED;
    } else if (!len) {
        cli_say(_("there is no terminal for the page and no text to continue; "
                  "give one with -p TEXT or on standard input"));
        status = EXIT_MODEL;
    } else {
        if (text[len - 1] == '\n')
            len -= len > 1 && text[len - 2] == '\r' ? 2 : 1;
        status = cli_generate(o, text, len);
    }
    free(text);
    return status;
}

static int
fill_page(struct cli_options *o, struct page_request *page)
{
    int status;

    if (o->json || o->echo || o->samples) {
        cli_say(_("%s goes with -p TEXT or text on standard input"),
                o->json   ? "--json"
                : o->echo ? "--echo"
                          : "--samples");
        return EXIT_USAGE;
    }
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
        cli_say(_("the page needs a terminal; without one use -p TEXT"));
        return EXIT_MODEL;
    }
    status = cli_choose_story(o->file, page);
    if (status != EXIT_OK)
        return status;
    /* A missing model locks no story up: the page says so on Tab. */
    page->model = o->config.model ? paths_find_model(o->config.model)
                                  : paths_default_model();
    page->vocab = o->vocab;
    page->config = &o->config;
    page->knob_given = o->knob_given;
    return EXIT_OK;
}

/* --- commands --- */

struct words { /* copies */
    char **v; /* [n + 1], the last one NULL */
    int n;
    size_t cap;
};

static void
add_word(struct words *w, const char *s, size_t len)
{
    if ((size_t)w->n + 1 >= w->cap)
        w->v = mem_grow(w->v, &w->cap, (size_t)w->n + 2, sizeof *w->v);
    w->v[w->n++] = xstrndup(s, len);
    w->v[w->n] = NULL;
}

/* --name=value as two words, so that every command understands it. */
static void
add_argument(struct words *w, const char *arg)
{
    const char *equals = strncmp(arg, "--", 2) ? NULL : strchr(arg, '=');

    add_word(w, arg, equals ? (size_t)(equals - arg) : strlen(arg));
    if (equals)
        add_word(w, equals + 1, strlen(equals + 1));
}

static void
free_words(struct words *w)
{
    for (int i = 0; i < w->n; i++)
        free(w->v[i]);
    free(w->v);
}

/* Does this word, one with a dash, take the next one as its value? false in
 * *known: no option at all, or one that asks for something by itself. */
static bool
takes_next(const char *arg, bool *known)
{
    struct found f = { 0 };
    const char *c = arg + 1;
    bool joined = false;

    if (arg[1] == '-') {
        size_t n = strcspn(arg + 2, "=");
        char *name = xstrndup(arg + 2, n);

        f = find_long(name);
        joined = arg[2 + n] == '=';
        free(name);
    } else {
        do
            f = find_letter(*c);
        while (f.option && f.option->kind == OPTION_FLAG && *++c);
        joined = *c && c[1];
    }
    *known = (f.option || f.knob) &&
             !(f.option && (f.option->offset == AT(version) ||
                            f.option->offset == AT(paths)));
    return *known && !joined && !(f.option && f.option->kind == OPTION_FLAG);
}

/* The command is the first word that is no option and no option's value; what
 * stands before it counts as standing behind it. NULL: none is named. */
static const struct command_row *
find_command(int argc, char **argv, struct words *w)
{
    bool known;
    int at = 1;

    for (; at < argc && argv[at][0] == '-' && argv[at][1]; at++) {
        at += takes_next(argv[at], &known);
        if (!known)
            return NULL;
    }
    for (size_t i = 0; at < argc && i < cli_n_commands; i++) {
        const struct command_row *row = &cli_command_rows[i];

        if (strcmp(argv[at], row->name) != 0)
            continue;
        add_word(w, row->name, strlen(row->name));
        for (int k = 1; k < argc; k++)
            if (k != at)
                add_argument(w, argv[k]);
        return row;
    }
    return NULL;
}

/* Takes --lang, which every command understands, out of the words. */
static bool
take_language(struct words *w)
{
    for (int i = 1; i + 1 < w->n; i++) {
        if (strcmp(w->v[i], "--lang") != 0)
            continue;
        if (!is_language(w->v[i + 1]))
            return false;
        free(w->v[i]);
        free(w->v[i + 1]);
        w->n -= 2;
        memmove(w->v + i, w->v + i + 2,
                (size_t)(w->n - i + 1) * sizeof *w->v);
        i--;
    }
    return true;
}

static int
run_command(const struct command_row *row, struct words *w)
{
    if (!take_language(w))
        return EXIT_USAGE;
    for (int i = 1; i < w->n; i++)
        if (!strcmp(w->v[i], "--help") || !strcmp(w->v[i], "-h")) {
            printf("jielong %s %s\n  %s\n", row->name, _(row->usage),
                   _(row->help));
            return EXIT_OK;
        }
    return row->run(w->n, w->v);
}

int
cli_no_option(const char *command, const char *option)
{
    cli_say(_("%s has no option %s; see jielong %s --help"), command, option,
            command);
    return EXIT_USAGE;
}

/* The exit status, or -1 when the page is to be opened. */
static int
act(struct cli_options *o, struct page_request *page)
{
    bool wants_text = o->prompt || (!o->file && !isatty(STDIN_FILENO));
    int status;

    if (!merge_preset(o) || !merge_into_config(o))
        return EXIT_USAGE;
    for (char **w = o->config.warnings; *w; w++)
        cli_say("%s", *w);
    if (o->help || o->version || o->paths) {
        if (o->help)
            cli_help();
        else if (o->version)
            puts("jielong " JIELONG_VERSION);
        else
            print_paths(o);
        return EXIT_OK;
    }
    if (o->prompt && o->file) {
        cli_say(_("-p continues a text and \"%s\" opens the page: one of the "
                  "two"),
                o->file);
        return EXIT_USAGE;
    }
    if (wants_text)
        return continue_text(o);
    status = fill_page(o, page);
    return status == EXIT_OK ? -1 : status;
}

/* What is still in stdout's buffer may fail to be written (a full disk). */
static int
flush_output(int status)
{
    if (fflush(stdout) == 0 || errno == EPIPE || status != EXIT_OK)
        return status;
    cli_say(_("standard output cannot be written: %s"), strerror(errno));
    return EXIT_FAILED;
}

bool
cli_main(int argc, char **argv, struct page_request *page, int *status)
{
    static struct cli_options o; /* the page borrows from it to the end */
    const char *lang = early_language(argc, argv);
    const struct command_row *command;
    struct words words = { 0 };

    memset(page, 0, sizeof *page);
    if (!i18n_init(lang)) {
        cli_say(_("no UTF-8 locale can be found; install C.UTF-8"));
        *status = EXIT_MODEL;
        return false;
    }
    command = find_command(argc, argv, &words);
    if (command) {
        *status = flush_output(run_command(command, &words));
        free_words(&words);
        return false;
    }
    read_config(&o.config, lang);
    *status = EXIT_USAGE;
    if (read_arguments(&o, argc, argv))
        *status = act(&o, page);
    if (*status < 0)
        return true;
    config_finish(&o.config);
    *status = flush_output(*status);
    return false;
}
