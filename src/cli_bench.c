/* src/cli_bench.c  `bench`: how fast a model runs on this machine.
 *
 *     bench [MODEL | --shape SHAPE] [--type LIST] [--threads LIST]
 *           [--rounds N] [--only LIST] [--fast] [--json]
 *
 * Every type runs in a process of its own, so that its peak of memory is its
 * own. A shape's random weights are written to a file in memory first and
 * opened like any other. Told is the median round with the least and the
 * most; doc/performance.md says what the names mean.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/mem.h"
#include "engine/measure.h"
#include "engine/model.h"
#include "engine/model_write.h"

#include "src/cli_options.h"
#include "src/cli_parts.h"
#include "src/i18n.h"
#include "src/paths.h"

#define THREADS_MAX 64

static volatile sig_atomic_t interrupted;

static void
on_signal(int sig)
{
    interrupted = sig;
}

static bool
is_interrupted(void *ud)
{
    return interrupted != 0;
}

struct bench { /* texts are borrowed from argv */
    const char *model, *shape, *types, *threads, *rounds, *only;
    bool json, fast;
    struct measure_options opt;
};

/* --- options --- */

static bool
is_number(const char *s, int max, int *out)
{
    char *end;
    long v = strtol(s, &end, 10);

    *out = (int)v;
    return end != s && (*end == '\0' || *end == ',') && v >= 1 && v <= max;
}

static bool
take_option(struct bench *b, int argc, char **argv, int *i)
{
    const struct {
        const char *name;
        const char **to;
    } row[] = {
        { "--shape", &b->shape },     { "--type", &b->types },
        { "--threads", &b->threads }, { "--rounds", &b->rounds },
        { "--only", &b->only },
    };

    for (size_t k = 0; k < sizeof row / sizeof *row; k++) {
        size_t n = strlen(row[k].name);

        if (strcmp(argv[*i], row[k].name) == 0 && *i + 1 < argc)
            *row[k].to = argv[++*i];
        else if (strncmp(argv[*i], row[k].name, n) == 0 && argv[*i][n] == '=')
            *row[k].to = argv[*i] + n + 1;
        else
            continue;
        return true;
    }
    return false;
}

static bool
check_values(struct bench *b)
{
    int n;

    b->opt.n_rounds = 3;
    if (b->rounds &&
        !is_number(b->rounds, MEASURE_ROUNDS_MAX, &b->opt.n_rounds)) {
        cli_say(_("%s is a number from 1 to %d, not \"%s\""), "--rounds",
                MEASURE_ROUNDS_MAX, b->rounds);
        return false;
    }
    for (const char *p = b->threads; p && *p; p += *p == ',') {
        if (!is_number(p, THREADS_MAX, &n)) {
            cli_say(_("%s is a number from 1 to %d, not \"%s\""), "--threads",
                    THREADS_MAX, b->threads);
            return false;
        }
        p += strcspn(p, ",");
    }
    if (b->only && !measure_parse(b->only, &b->opt.set)) {
        cli_say(_("%s is one of %s, not \"%s\""), "--only",
                "read, decode, late, short, prefill, lanes3, lanes10", b->only);
        return false;
    }
    if (b->model && b->shape) {
        cli_say(_("%s takes one model or one shape"), "bench");
        return false;
    }
    return true;
}

static bool
read_arguments(struct bench *b, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            b->json = true;
        } else if (strcmp(argv[i], "--fast") == 0) {
            b->fast = true;
        } else if (take_option(b, argc, argv, &i)) {
            continue;
        } else if (argv[i][0] == '-') {
            cli_no_option(argv[0], argv[i]);
            return false;
        } else if (!b->model) {
            b->model = argv[i];
        } else {
            cli_say(_("%s takes one model or one shape"), "bench");
            return false;
        }
    }
    return check_values(b);
}

/* --- telling --- */

static void
print_json(const struct model *m, int n_threads, double load_s,
           const struct measure_result *r)
{
    const struct model_info *i = model_info(m);

    printf("{\"type\":\"%s\",\"threads\":%d,\"arithmetic\":\"%s\","
           "\"shape\":\"%dx%dx%dx%d\",\"rounds\":%d,\"load_s\":%.4f,"
           "\"first_s\":%.4f,\"weight_bytes\":%zu,\"read_bytes\":%zu,"
           "\"kv_bytes\":%zu,\"session_bytes\":%zu,\"peak_bytes\":%zu",
           i->type, n_threads, model_arithmetic(m), i->n_layer, i->n_embd,
           i->n_head, i->n_vocab, r->rounds, load_s, r->first_s,
           i->weight_bytes, r->read_bytes, r->kv_bytes, r->session_bytes,
           r->peak_bytes);
    for (int w = 0; w < MEASURE_COUNT; w++) {
        const struct measure_figure *f = &r->figure[w], *s = &r->share[w];

        if (f->median > 0)
            printf(",\"%s\":[%.5g,%.5g,%.5g]", measure_name(w), f->median,
                   f->least, f->most);
        if (s->median > 0)
            printf(",\"%s_share\":[%.4g,%.4g,%.4g]", measure_name(w), s->median,
                   s->least, s->most);
    }
    puts("}");
}

static void
print_table(const struct model *m, int n_threads, double load_s,
            const struct measure_result *r)
{
    const struct model_info *i = model_info(m);

    printf(_("%s, threads: %d, rounds: %d, %s\n"), i->type, n_threads,
           r->rounds, model_arithmetic(m));
    for (int w = 0; w < MEASURE_COUNT; w++) {
        const struct measure_figure *f = &r->figure[w], *s = &r->share[w];

        if (!(f->median > 0))
            continue;
        printf("  %-8s %8.4g %-6s (%.4g .. %.4g)", measure_name(w), f->median,
               measure_unit(w), f->least, f->most);
        if (s->median > 0)
            printf("  %.2f (%.2f .. %.2f) %s", s->median, s->least, s->most,
                   _("of the read limit"));
        putchar('\n');
    }
    printf(_("  opened in %.3f s, 20 tokens read %.3f s later; at most %.0f "
             "MB, %.0f of them weights\n"),
           load_s, r->first_s, (double)r->peak_bytes / 1e6,
           (double)i->weight_bytes / 1e6);
}

/* --- measuring --- */

static double
now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool
measure_threads(const struct bench *b, const struct model *m, double load_s,
                struct err *err)
{
    const char *p = b->threads ? b->threads : "0";
    struct measure_options opt = b->opt;
    struct measure_result r;

    opt.stop = is_interrupted;
    for (; *p; p += strcspn(p, ","), p += *p == ',') {
        opt.n_threads = atoi(p);
        if (!measure_model(m, &opt, &r, err))
            return false;
        if (opt.n_threads == 0)
            opt.n_threads = (int)sysconf(_SC_NPROCESSORS_ONLN);
        if (b->json)
            print_json(m, opt.n_threads, load_s, &r);
        else
            print_table(m, opt.n_threads, load_s, &r);
        fflush(stdout);
    }
    return true;
}

static int
measure_type(const struct bench *b, const char *path, const char *type)
{
    struct model_options opt = { .no_vocab_needed = true,
                                 .type = type,
                                 .fast = b->fast };
    struct err err = { 0 };
    double t = now();
    struct model *m = model_open(path, &opt, &err);
    bool ok = m && measure_threads(b, m, now() - t, &err);

    model_close(m);
    if (ok)
        return EXIT_OK;
    return err.kind == ERR_CANCELLED
               ? EXIT_INTERRUPTED
               : cli_fault(_("the model cannot be measured"), &err);
}

/* In a child, for its memory's sake. */
static int
measure_apart(const struct bench *b, const char *path, const char *type)
{
    int status;
    pid_t pid;

    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        status = measure_type(b, path, type);
        fflush(stdout);
        _exit(status);
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            pid = -1;
    if (pid > 0 && WIFEXITED(status))
        return WEXITSTATUS(status);
    cli_say(_("the model cannot be measured"));
    return EXIT_FAILED;
}

/* Random weights of the shape in a file in memory; its path, given. */
static char *
make_shape(const struct bench *b, const char *type, int *fd, struct err *err)
{
    struct model_write_options opt = { .type = type };
    struct model_shape s;

    *fd = -1;
    if (!model_shape_find(b->shape, &s, err))
        return NULL;
    *fd = memfd_create("jielong-bench", MFD_CLOEXEC);
    if (*fd < 0) {
        err_errno(err, ERR_FAILED, errno, "no file in memory can be made");
        return NULL;
    }
    return model_write_random_fd(&s, *fd, b->shape, &opt, err)
               ? xasprintf("/proc/%ld/fd/%d", (long)getpid(), *fd)
               : NULL;
}

static int
bench_type(const struct bench *b, const char *type)
{
    struct err err = { 0 };
    char *path = NULL;
    int fd = -1, status;

    if (b->shape)
        path = make_shape(b, type, &fd, &err);
    else if (b->model)
        path = paths_find_model(b->model);
    else if (!(path = paths_default_model()))
        err_set(&err, ERR_MODEL, "no model is installed; name one");
    status = path ? measure_apart(b, path, type)
                  : cli_fault(_("the model cannot be measured"), &err);
    if (fd >= 0)
        close(fd);
    free(path);
    return status;
}

int
cli_bench(int argc, char **argv)
{
    struct sigaction sa = { .sa_handler = on_signal };
    struct bench b = { 0 };
    int status = EXIT_OK;
    char type[16];

    if (!read_arguments(&b, argc, argv))
        return EXIT_USAGE;
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    if (!b.types)
        b.types = b.shape ? "f32" : "auto";
    for (const char *p = b.types; *p && status == EXIT_OK && !interrupted;) {
        size_t n = strcspn(p, ",");

        snprintf(type, sizeof type, "%.*s", (int)n, p);
        status = bench_type(&b, type);
        p += n;
        p += *p == ',';
    }
    return interrupted ? EXIT_INTERRUPTED : status;
}
