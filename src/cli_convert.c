/* src/cli_convert.c  `convert`: a model as one GGUF file (doc/models.md). */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/file.h"
#include "engine/model_write.h"

#include "src/cli_options.h"
#include "src/cli_parts.h"
#include "src/get_bar.h"
#include "src/i18n.h"
#include "src/paths.h"

static volatile sig_atomic_t interrupted;

static void
on_signal(int sig)
{
    interrupted = sig;
}

struct convert { /* texts are borrowed from argv */
    const char *model, *shape, *out;
    struct model_write_options opt;
    struct get_bar bar;
    bool begun;
};

static bool
show_progress(void *ud, size_t done, size_t total)
{
    struct convert *c = ud;

    if (!c->begun)
        get_bar_init(&c->bar, total);
    c->begun = true;
    get_bar_show(&c->bar, file_name(c->out), done);
    return !interrupted;
}

static void
say_note(void *ud, const char *what)
{
    struct convert *c = ud;

    if (c->begun)
        get_bar_end(&c->bar);
    c->begun = false;
    cli_say("%s", what);
}

/* "--name VALUE" or "--name=VALUE". */
static const char *
value_of(const char *name, int argc, char **argv, int *i)
{
    size_t n = strlen(name);

    if (strcmp(argv[*i], name) == 0 && *i + 1 < argc)
        return argv[++*i];
    return strncmp(argv[*i], name, n) == 0 && argv[*i][n] == '='
               ? argv[*i] + n + 1
               : NULL;
}

static bool
read_arguments(struct convert *c, int argc, char **argv)
{
    const char *value;

    for (int i = 1; i < argc; i++) {
        if ((value = value_of("--type", argc, argv, &i))) {
            c->opt.type = value;
        } else if ((value = value_of("--vocab", argc, argv, &i))) {
            c->opt.vocab = value;
        } else if ((value = value_of("--shape", argc, argv, &i))) {
            c->shape = value;
        } else if (strcmp(argv[i], "--force") == 0) {
            c->opt.force = true;
        } else if (argv[i][0] == '-') {
            cli_no_option(argv[0], argv[i]);
            return false;
        } else if (!c->model && !c->shape) {
            c->model = argv[i];
        } else if (!c->out) {
            c->out = argv[i];
        } else {
            cli_say(_("%s takes one model and one file to write"), "convert");
            return false;
        }
    }
    if ((!c->model && !c->shape) || !c->out || (c->model && c->shape)) {
        cli_say(_("%s takes one model and one file to write"), "convert");
        return false;
    }
    if (c->opt.type && !model_write_type(c->opt.type)) {
        cli_say(_("%s is one of %s, not \"%s\""), "--type",
                "f32, f16, bf16, q8_0, q4_0", c->opt.type);
        return false;
    }
    return true;
}

static bool
convert(struct convert *c, struct err *err)
{
    struct model_shape shape;
    char *path;
    bool ok;

    if (c->shape)
        return model_shape_find(c->shape, &shape, err) &&
               model_write_random(&shape, c->out, &c->opt, err);
    path = paths_find_model(c->model);
    ok = model_write(path, c->out, &c->opt, err);
    free(path);
    return ok;
}

int
cli_convert(int argc, char **argv)
{
    struct sigaction sa = { .sa_handler = on_signal };
    struct convert c = { .opt = { .progress = show_progress,
                                  .note = say_note } };
    struct err err = { 0 };
    bool ok;

    c.opt.ud = &c;
    if (!read_arguments(&c, argc, argv))
        return EXIT_USAGE;
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGHUP, &sa, NULL);
    ok = convert(&c, &err);
    if (c.begun)
        get_bar_end(&c.bar);
    if (ok)
        return EXIT_OK;
    return err.kind == ERR_CANCELLED
               ? EXIT_INTERRUPTED
               : cli_fault(_("the model cannot be converted"), &err);
}
