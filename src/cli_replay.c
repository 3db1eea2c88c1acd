/* src/cli_replay.c  `replay`: the runs of a story are written again by the
 * model that wrote them and compared, token by token, number by number.
 *
 * Runs are taken model by model, so that each is loaded once. stdout says
 * where a run parts from its record and, last, how many were equal, different
 * or not verifiable; with --json one object a line.
 */
#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/mem.h"

#include "src/cli_options.h"
#include "src/cli_parts.h"
#include "src/i18n.h"
#include "src/paths.h"
#include "src/replay.h"

struct asked {
    const char *story, *model, *vocab;
    bool json;
};

/* Why a run cannot be compared. */
enum doubt {
    DOUBT_NONE,
    DOUBT_DAMAGED,    /* records of it are lost */
    DOUBT_UNHASHED,   /* the program ended before the hashes were known */
    DOUBT_ARITHMETIC, /* last bits depended on the machine */
    DOUBT_MODEL       /* the model is not here */
};

struct audit {
    struct asked o;
    struct replay *r;
    size_t equal, different, doubtful;
    bool model_missing;
};

/* --- options --- */

static bool
read_options(struct asked *o, int argc, char **argv)
{
    struct {
        const char *name, *letter;
        const char **value;
    } rows[] = { { "--model", "-m", &o->model }, { "--vocab", "", &o->vocab } };

    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        size_t row = 0, n_rows = sizeof rows / sizeof *rows;

        while (row < n_rows && strcmp(arg, rows[row].name) != 0 &&
               strcmp(arg, rows[row].letter) != 0)
            row++;
        if (row < n_rows && i + 1 < argc) {
            *rows[row].value = argv[++i];
        } else if (row < n_rows) {
            cli_say(_("%s needs a value"), arg);
            return false;
        } else if (!strcmp(arg, "--json")) {
            o->json = true;
        } else if (arg[0] == '-' && arg[1]) {
            cli_no_option(argv[0], arg);
            return false;
        } else if (o->story) {
            cli_say(_("one story at a time: \"%s\" and \"%s\" were named"),
                    o->story, arg);
            return false;
        } else {
            o->story = arg;
        }
    }
    if (!o->story)
        cli_say(_("replay which story? jielong replay NAME.jl"));
    return o->story != NULL;
}

/* --- the model --- */

/* Is the model at path the one of the story? err says what differs. */
static bool
is_the_model(const struct audit *a, const char *path,
             const struct replay_model *want, struct err *err)
{
    struct model_options opt = { .vocab = a->o.vocab, .vocab_only = true };
    struct model *m = model_open(path, &opt, err);
    struct model_hashes h;
    bool ok = m && model_hash(m, &h, NULL, err);

    model_close(m);
    if (!ok)
        return false;
    if (strcmp(h.weights, want->sha) != 0)
        return err_set(err, ERR_MODEL,
                       _("the weights of %s are not those that wrote it "
                         "(SHA-256 %.12s…, the story names %.12s…)"),
                       path, h.weights, want->sha);
    if (strcmp(h.config, want->cfg) != 0)
        return err_set(err, ERR_MODEL,
                       _("%s has another configuration than the model that "
                         "wrote it"),
                       path);
    if (strcmp(h.tokenizer, want->tok) != 0)
        return err_set(err, ERR_MODEL,
                       _("%s has another vocabulary than the model that wrote "
                         "it; --vocab names the right one"),
                       path);
    return true;
}

/* The model that the config names, given; NULL: none. */
static char *
read_config(int64_t *cache_limit)
{
    char *file = paths_config_file(), *name;
    struct config c;

    config_init(&c);
    config_read_file(&c, file);
    name = c.model ? xstrdup(c.model) : NULL;
    *cache_limit = c.cache_limit;
    config_finish(&c);
    free(file);
    return name;
}

/* The path of the model that wrote, given; NULL after saying why not. Looked
 * for where the option says, by its name, and where the config says. That also
 * tells how much of the disk converted weights may take. */
static char *
find_model(const struct audit *a, const struct replay_model *want,
           int64_t *cache_limit)
{
    char *configured = read_config(cache_limit), *path = NULL;
    const char *names[] = { a->o.model, want->name, configured };
    struct err err = { 0 };
    char why[sizeof err.msg] = "";

    for (size_t i = 0; i < sizeof names / sizeof *names && !path; i++) {
        path = names[i] && *names[i] ? paths_find_model(names[i]) : NULL;
        if (!path || ((i == 0 || access(path, F_OK) == 0) &&
                      is_the_model(a, path, want, &err)))
            continue;
        if (!*why && err.kind)
            snprintf(why, sizeof why, "%s", err.msg);
        free(path);
        path = NULL;
    }
    free(configured);
    if (!path && *why)
        cli_say(_("the model \"%s\" is needed and was not found: %s; name its "
                  "folder with --model"),
                want->name, why);
    else if (!path)
        cli_say(_("the model \"%s\" is needed and is not here; name its "
                  "folder with --model, or download it (jielong get)"),
                want->name);
    return path;
}

/* Waits till it is loaded; false after saying why not. */
static bool
wait_for_model(struct gen *g)
{
    struct pollfd fd = { .fd = gen_fd(g), .events = POLLIN };
    struct gen_event ev;

    for (;; poll(&fd, 1, -1)) {
        while (gen_next(g, &ev)) {
            enum gen_event_type type = ev.type;
            struct err err = { 0 };

            if (type == GEN_FAILED)
                err = ev.u.err;
            gen_event_finish(&ev);
            if (type == GEN_LOADED)
                return true;
            if (type == GEN_FAILED) {
                cli_fault(_("the model cannot write"), &err);
                return false;
            }
        }
    }
}

/* The generator whose model wrote, loaded as it was; NULL after saying why
 * not. */
static struct gen *
load_model(const struct audit *a, const struct replay_model *want)
{
    struct model_options opt = { .vocab = a->o.vocab,
                                 .type = replay_type(want->num) };
    char *path = find_model(a, want, &opt.cache_limit);
    struct gen *g = path ? gen_local(path, &opt, 0) : NULL;

    free(path);
    if (!g || wait_for_model(g))
        return g;
    gen_free(g);
    return NULL;
}

/* --- telling --- */

static const char *
what_name(enum replay_what what)
{
    static const char *const names[] = {
        [REPLAY_EQUAL] = "equal",     [REPLAY_TOKEN] = "token",
        [REPLAY_NUMBERS] = "numbers", [REPLAY_TEXT] = "text",
        [REPLAY_WINDOW] = "window",   [REPLAY_SHORT] = "short",
        [REPLAY_LONG] = "long",
    };

    return names[what];
}

static const char *
doubt_name(enum doubt d)
{
    static const char *const names[] = {
        [DOUBT_NONE] = "",
        [DOUBT_DAMAGED] = "damaged",
        [DOUBT_UNHASHED] = "unhashed",
        [DOUBT_ARITHMETIC] = "arithmetic",
        [DOUBT_MODEL] = "model",
    };

    return names[d];
}

static json_t *
run_json(const struct replay_run *x, const char *result)
{
    json_t *o = json_object();

    json_object_set_new(o, "record", json_integer((json_int_t)x->node));
    json_object_set_new(o, "run", json_integer(x->run));
    json_object_set_new(o, "br", json_integer(x->br));
    json_object_set_new(o, "tokens", json_integer((json_int_t)x->n_tok));
    json_object_set_new(o, "result", json_string(result));
    return o;
}

static void
print_json(json_t *o)
{
    json_dumpf(o, stdout, JSON_REAL_PRECISION(9));
    putchar('\n');
    json_decref(o);
}

static json_t *
token_json(const struct vocab *v, int id, float lp, float q)
{
    json_t *o = json_object();
    char text[32];

    vocab_show(v, id, text, sizeof text);
    json_object_set_new(o, "id", json_integer(id));
    json_object_set_new(o, "text", json_string(text));
    json_object_set_new(o, "lp", json_real((double)lp));
    json_object_set_new(o, "q", json_real((double)q));
    return o;
}

static void
found_json(const struct replay_run *x, const struct replay_found *f,
           const struct vocab *v)
{
    json_t *o = run_json(x, what_name(f->what));

    if (f->what != REPLAY_EQUAL) {
        json_object_set_new(o, "token", json_integer((json_int_t)f->k));
        json_object_set_new(o, "in", json_integer((json_int_t)f->record));
        json_object_set_new(o, "at", json_integer((json_int_t)f->at));
    }
    if (f->what == REPLAY_TOKEN || f->what == REPLAY_NUMBERS) {
        json_object_set_new(o, "want",
                            token_json(v, f->want, f->lp[0], f->q[0]));
        json_object_set_new(o, "got", token_json(v, f->got, f->lp[1], f->q[1]));
    }
    print_json(o);
}

/* The first difference in words; where it stands comes before it. */
static void
print_what(const struct replay_found *f, const struct vocab *v)
{
    char want[32], got[32];

    switch (f->what) {
    case REPLAY_EQUAL: break;
    case REPLAY_TOKEN:
        vocab_show(v, f->want, want, sizeof want);
        vocab_show(v, f->got, got, sizeof got);
        printf(_("the story has %d \"%s\", the model writes %d \"%s\""),
               f->want, want, f->got, got);
        break;
    case REPLAY_NUMBERS:
        vocab_show(v, f->want, want, sizeof want);
        printf(_("\"%s\" has lp %.9g and q %.9g in the story, %.9g and %.9g "
                 "from the model"),
               want, (double)f->lp[0], (double)f->q[0], (double)f->lp[1],
               (double)f->q[1]);
        break;
    case REPLAY_TEXT:
        printf(_("the text beside the tokens is not what they say"));
        break;
    case REPLAY_WINDOW:
        printf(_("the window starts at byte %zu in the story, at byte %zu "
                 "from the model (0: it does not move)"),
               f->win[0], f->win[1]);
        break;
    case REPLAY_SHORT:
        printf(_("the model ends the run there (%s)"), gen_why_name(f->why[1]));
        break;
    case REPLAY_LONG:
        printf(_("the story ends the run there (%s), the model does not"),
               gen_why_name(f->why[0]));
        break;
    }
    putchar('\n');
}

static void
tell_found(struct audit *a, const struct replay_run *x,
           const struct replay_found *f, const struct vocab *v)
{
    if (f->what == REPLAY_EQUAL)
        a->equal++;
    else
        a->different++;
    if (a->o.json) {
        found_json(x, f, v);
        return;
    }
    if (f->what == REPLAY_EQUAL)
        return;
    printf(_("run %u, try %u (record %llu): token %zu of %zu, in record %llu, "
             "byte %zu of the text: "),
           x->run, x->br, (unsigned long long)x->node,
           f->k < x->n_tok ? f->k + 1 : x->n_tok, x->n_tok,
           (unsigned long long)f->record, f->at);
    print_what(f, v);
    fflush(stdout);
}

/* n runs of one kind, and why they cannot be compared. */
static void
tell_doubt(size_t n, enum doubt d, const struct replay_model *m)
{
    const char *name = m ? m->name : "";

    switch (d) {
    case DOUBT_NONE: break;
    case DOUBT_DAMAGED:
        printf(_("not verifiable, %zu: some of their records are lost\n"), n);
        break;
    case DOUBT_UNHASHED:
        printf(_("not verifiable, %zu: the story does not say which \"%s\" "
                 "wrote them\n"),
               n, name);
        break;
    case DOUBT_ARITHMETIC:
        printf(_("not verifiable, %zu: written by the arithmetic %s\n"), n,
               m->num);
        break;
    case DOUBT_MODEL:
        printf(_("not verifiable, %zu: the model \"%s\" that wrote them is "
                 "not here\n"),
               n, name);
        break;
    }
}

/* --- checking --- */

/* What can be known without the model. */
static enum doubt
doubt_of(const struct replay_run *x, const struct replay_model *m)
{
    if (!x->whole || !m || !x->n_tok)
        return DOUBT_DAMAGED;
    if (!replay_is_strict(m->num))
        return DOUBT_ARITHMETIC;
    return *m->sha ? DOUBT_NONE : DOUBT_UNHASHED;
}

/* All runs of model m of which this is the doubt: told, counted. */
static void
pass_over(struct audit *a, uint32_t m, enum doubt first, enum doubt as)
{
    size_t n = 0;

    for (size_t i = 0; i < replay_count(a->r); i++) {
        struct replay_run x;

        replay_run(a->r, i, &x);
        if (x.m != m || doubt_of(&x, replay_model(a->r, m)) != first)
            continue;
        n++;
        if (a->o.json) {
            json_t *o = run_json(&x, "unverifiable");

            json_object_set_new(o, "reason", json_string(doubt_name(as)));
            print_json(o);
        }
    }
    a->doubtful += n;
    if (n && !a->o.json)
        tell_doubt(n, as, replay_model(a->r, m));
}

/* All runs of model m that can be compared. */
static bool
check_runs(struct audit *a, struct gen *g, uint32_t m, struct err *err)
{
    const struct vocab *v = model_vocab(gen_model(g));

    for (size_t i = 0; i < replay_count(a->r); i++) {
        struct replay_found f;
        struct replay_run x;

        replay_run(a->r, i, &x);
        if (x.m != m || doubt_of(&x, replay_model(a->r, m)) != DOUBT_NONE)
            continue;
        if (!replay_check(a->r, i, g, &f, err))
            return false;
        tell_found(a, &x, &f, v);
    }
    return true;
}

static bool
check_model(struct audit *a, uint32_t m, struct err *err)
{
    const struct replay_model *want = replay_model(a->r, m);
    struct gen *g = load_model(a, want);
    bool ok = true;

    if (!g) {
        a->model_missing = true;
        pass_over(a, m, DOUBT_NONE, DOUBT_MODEL);
        return true;
    }
    if (strcmp(model_arithmetic(gen_model(g)), want->num) != 0)
        pass_over(a, m, DOUBT_NONE, DOUBT_ARITHMETIC);
    else
        ok = check_runs(a, g, m, err);
    gen_free(g);
    return ok;
}

/* Is run i the first of its model? */
static bool
is_first(const struct audit *a, size_t i, uint32_t m)
{
    struct replay_run x;

    while (i-- > 0) {
        replay_run(a->r, i, &x);
        if (x.m == m)
            return false;
    }
    return true;
}

static bool
check_all(struct audit *a, struct err *err)
{
    size_t n = replay_count(a->r);
    bool ok = true;

    for (size_t i = 0; i < n && ok; i++) {
        struct replay_run x;
        bool any = false;

        replay_run(a->r, i, &x);
        if (!is_first(a, i, x.m))
            continue;
        pass_over(a, x.m, DOUBT_DAMAGED, DOUBT_DAMAGED);
        pass_over(a, x.m, DOUBT_ARITHMETIC, DOUBT_ARITHMETIC);
        pass_over(a, x.m, DOUBT_UNHASHED, DOUBT_UNHASHED);
        for (size_t j = i; j < n && !any; j++) {
            struct replay_run y;

            replay_run(a->r, j, &y);
            any = y.m == x.m &&
                  doubt_of(&y, replay_model(a->r, y.m)) == DOUBT_NONE;
        }
        if (any)
            ok = check_model(a, x.m, err);
    }
    return ok;
}

static void
tell_sum(const struct audit *a)
{
    json_t *o;

    if (!a->o.json) {
        printf(_("runs checked: %zu; equal %zu, different %zu; not "
                 "verifiable: %zu\n"),
               a->equal + a->different, a->equal, a->different, a->doubtful);
        return;
    }
    o = json_object();
    json_object_set_new(o, "checked",
                        json_integer((json_int_t)(a->equal + a->different)));
    json_object_set_new(o, "equal", json_integer((json_int_t)a->equal));
    json_object_set_new(o, "different", json_integer((json_int_t)a->different));
    json_object_set_new(o, "unverifiable",
                        json_integer((json_int_t)a->doubtful));
    print_json(o);
}

int
cli_replay(int argc, char **argv)
{
    struct audit a = { 0 };
    struct err err = { 0 };
    bool ok;

    if (!read_options(&a.o, argc, argv))
        return EXIT_USAGE;
    a.r = replay_open(a.o.story, &err);
    if (!a.r) {
        cli_say(_("the story cannot be opened: %s"), err.msg);
        return EXIT_STORY;
    }
    if (replay_damage(a.r))
        cli_say("%s", replay_damage(a.r));
    ok = check_all(&a, &err);
    if (ok)
        tell_sum(&a);
    replay_free(a.r);
    if (!ok)
        return cli_fault(_("the run cannot be written again"), &err);
    if (a.different)
        return EXIT_FAILED;
    return a.model_missing ? EXIT_MODEL : EXIT_OK;
}
