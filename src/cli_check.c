/* src/cli_check.c  `check`: how far a model in a smaller type is from itself
 * in f32 over a text: the mean and the greatest |log p(next) in f32 - log p(next)|,
 * and what the mean of log p itself loses.
 *
 * The text is cut into windows of the model's positions; the first token of a
 * window is given, every other one is asked for. One model is in memory at a
 * time.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/file.h"
#include "engine/base/mem.h"
#include "engine/model.h"

#include "src/cli_options.h"
#include "src/cli_parts.h"
#include "src/i18n.h"
#include "src/paths.h"

#define N_ASKED  2000              /* tokens at most */
#define TEXT_MAX ((size_t)1 << 20) /* bytes that are looked at */
/* The text that comes with the program. */
#define PAGE "models/jielong-zh/check.txt"

struct check {
    int *ids;
    size_t n;
    int n_vocab;
    size_t at;  /* of the window */
    double *lp; /* [n]: of token i; the first of a window has none */
};

/* log of the softmax at id. */
static double
log_probability(const float *logits, int n, int id)
{
    double max = logits[0], sum = 0;

    for (int i = 1; i < n; i++)
        max = logits[i] > max ? logits[i] : max;
    for (int i = 0; i < n; i++)
        sum += exp(logits[i] - max);
    return logits[id] - max - log(sum);
}

static bool
take_row(void *ud, size_t i, const float *logits)
{
    struct check *c = ud;
    size_t next = c->at + i + 1;

    if (next < c->n)
        c->lp[next] = log_probability(logits, c->n_vocab, c->ids[next]);
    return true;
}

/* Tokens of a window from `at` on. */
static size_t
window(const struct check *c, size_t at, size_t n_pos)
{
    return c->n - at < n_pos ? c->n - at : n_pos;
}

static bool
ask_all(struct check *c, const struct model *m, double *lp, struct err *err)
{
    size_t P = (size_t)model_info(m)->n_pos, n;

    c->lp = lp;
    for (c->at = 0; c->at < c->n; c->at += n) {
        n = window(c, c->at, P);
        if (n > 1 && !model_logits(m, c->ids + c->at, n, take_row, c, err))
            return false;
    }
    return true;
}

static bool
read_text(const char *path, char **text, size_t *len, struct err *err)
{
    size_t n;

    if (strcmp(path, "-") != 0)
        return file_read(path, TEXT_MAX, text, len, err);
    *text = xmalloc(TEXT_MAX);
    *len = n = fread(*text, 1, TEXT_MAX, stdin);
    if (!ferror(stdin) && n > 0)
        return true;
    free(*text);
    return err_set(err, ERR_FAILED, "standard input has no text");
}

/* The text's tokens, as many as are asked for. */
static bool
make_ids(struct check *c, const struct model *m, const char *path,
         struct err *err)
{
    char *own = path ? NULL : paths_shared(PAGE), *text;
    size_t len;
    bool ok = read_text(path ? path : own, &text, &len, err);

    free(own);
    if (!ok)
        return false;
    ok = vocab_encode(model_vocab(m), text, len, 0, &c->ids, &c->n, err);
    free(text);
    if (!ok)
        return false;
    c->n = c->n < N_ASKED ? c->n : N_ASKED;
    c->n_vocab = model_info(m)->n_vocab;
    if (c->n >= 2)
        return true;
    return err_set(err, ERR_FAILED, "the text is too short to be checked by");
}

static struct model *
open_as(const char *path, const char *type, struct err *err)
{
    struct model_options opt = { .type = type };

    return model_open(path, &opt, err);
}

static void
tell(const struct check *c, const struct model_info *info, const double *want,
     const double *got)
{
    double sum = 0, most = 0, nats = 0, nats_f32 = 0;
    size_t n = 0;

    for (size_t i = 1; i < c->n; i++) {
        double d = fabs(want[i] - got[i]);

        if (i % (size_t)info->n_pos == 0)
            continue;
        sum += d;
        most = d > most ? d : most;
        nats -= got[i];
        nats_f32 -= want[i];
        n++;
    }
    printf("%-5s %8.1f MB  %.5f  %.5f  %+.5f  %.4f\n", info->type,
           (double)info->weight_bytes / 1e6, sum / (double)n, most,
           (nats - nats_f32) / (double)n, nats / (double)n);
    fflush(stdout);
}

/* One type beside f32. */
static bool
check_type(struct check *c, const char *path, const char *type,
           const double *want, double *got, struct err *err)
{
    struct model *m = open_as(path, type, err);
    bool ok = m && ask_all(c, m, got, err);

    if (ok)
        tell(c, model_info(m), want, got);
    model_close(m);
    return ok;
}

static bool
check_all(const char *path, const char *type, const char *text, struct err *err)
{
    static const char *const types[] = { "bf16", "int8", "int4" };
    struct check c = { 0 };
    struct model *m = open_as(path, "f32", err);
    double *want = NULL, *got = NULL;
    bool ok = m && make_ids(&c, m, text, err);

    if (ok) {
        want = xcalloc(c.n, sizeof *want);
        got = xcalloc(c.n, sizeof *got);
        ok = ask_all(&c, m, want, err);
    }
    if (ok) {
        printf(_("type, weights, mean and greatest |difference| of the log "
                 "probability of %zu tokens,\nchange of the mean, nats a "
                 "token:\n"),
               c.n);
        tell(&c, model_info(m), want, want);
    }
    model_close(m);
    for (size_t i = 0; ok && i < sizeof types / sizeof *types; i++)
        if (!type || strcmp(type, types[i]) == 0)
            ok = check_type(&c, path, types[i], want, got, err);
    free(c.ids);
    free(want);
    free(got);
    return ok;
}

/* A type that can be compared with f32. */
static bool
is_type(const char *type)
{
    return !strcmp(type, "f32") || !strcmp(type, "bf16") ||
           !strcmp(type, "int8") || !strcmp(type, "int4");
}

int
cli_check(int argc, char **argv)
{
    const char *type = NULL, *model = NULL, *text = NULL;
    struct err err = { 0 };
    char *path;
    bool ok;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--type") == 0 && i + 1 < argc) {
            type = argv[++i];
        } else if (strncmp(argv[i], "--type=", 7) == 0) {
            type = argv[i] + 7;
        } else if (argv[i][0] == '-' && argv[i][1]) {
            cli_no_option(argv[0], argv[i]);
            return EXIT_USAGE;
        } else if (!model) {
            model = argv[i];
        } else if (!text) {
            text = argv[i];
        } else {
            cli_say(_("%s takes one model and one text"), "check");
            return EXIT_USAGE;
        }
    }
    if (!model || (type && !is_type(type))) {
        cli_say(model ? _("--type takes f32, bf16, int8 or int4 here, not "
                          "\"%s\"")
                      : _("%s needs a model: its folder, file or name"),
                model ? type : "check");
        return EXIT_USAGE;
    }
    path = paths_find_model(model);
    ok = check_all(path, type, text, &err);
    free(path);
    return ok ? EXIT_OK : cli_fault(_("the model cannot be checked"), &err);
}
