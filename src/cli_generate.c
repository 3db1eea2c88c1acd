/* src/cli_generate.c  `-p`: a text goes in, its continuation comes out.
 *
 * Samples are lanes of one request, so that a pass of the network serves all
 * of them: sample k is run 1, sibling k of the same seed, and the same text
 * whatever the others are. They come out in their order: the first that is
 * not whole yet streams to stdout token by token, what the later ones have
 * written waits. With --json each sample is one line at its end. Ctrl-C ends
 * the sample that is on its way out, and leaves what was written; when all is
 * written already, it ends the hashing and keeping of the weights.
 */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "engine/base/mem.h"
#include "engine/base/unicode.h"
#include "engine/gen.h"

#include "src/cli_options.h"
#include "src/i18n.h"

struct sample {
    char *text;
    size_t len, cap;
    int *ids;
    float *lp, *q;
    size_t n, cap_ids, cap_lp, cap_q;
    enum gen_why why;
    bool over;
};

struct job {
    const struct cli_options *o;
    const char *prompt;
    size_t prompt_len;
    struct gen *gen;
    uint64_t seed;
    uint32_t serial;
    struct sample *out; /* [n_out] of the lanes that run */
    uint32_t n_out, n_over;
    uint32_t shown;    /* the lane that streams; those before it are out */
    uint32_t n_opened; /* samples that began to come out */
    uint32_t first;    /* sibling of the first lane */
    struct model_hashes hashes;
    bool hashed;
    struct err err;     /* kind NONE: none */
    struct err failure; /* of a lane that is not on its way out yet */
    int failed_write;   /* errno, 0: all went out */
};

static atomic_bool interrupted;

static void
on_interrupt(int sig)
{
    atomic_store(&interrupted, true); /* without a lock, so allowed here */
}

/* --- JSON --- */

static char *
base64(const char *s, size_t len)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *out = xmalloc((len + 2) / 3 * 4 + 1), *p = out;

    for (size_t i = 0; i < len; i += 3) {
        size_t n = len - i < 3 ? len - i : 3;
        uint32_t v = 0;

        for (size_t j = 0; j < 3; j++)
            v = v << 8 | (j < n ? (unsigned char)s[i + j] : 0);
        *p++ = digits[v >> 18];
        *p++ = digits[v >> 12 & 63];
        *p++ = n > 1 ? digits[v >> 6 & 63] : '=';
        *p++ = n > 2 ? digits[v & 63] : '=';
    }
    *p = '\0';
    return out;
}

/* Under `name`, or where it is not UTF-8 in base64 under `name_x`, as the
 * story's records do it. */
static void
put_text(json_t *o, const char *name, const char *s, size_t len)
{
    char *x, key[32];

    if (uni_valid(s, len)) {
        json_object_set_new(o, name, json_stringn(s, len));
        return;
    }
    x = base64(s, len);
    snprintf(key, sizeof key, "%s_x", name);
    json_object_set_new(o, key, json_string(x));
    free(x);
}

/* JSON readers keep 53 or 63 bits of an integer: a seed beyond is a string. */
static json_t *
seed_json(uint64_t seed)
{
    char text[24];

    if (seed <= INT64_MAX)
        return json_integer((json_int_t)seed);
    snprintf(text, sizeof text, "%llu", (unsigned long long)seed);
    return json_string(text);
}

static json_t *
knobs_json(const struct knobs *k)
{
    json_t *o = json_object();

    for (size_t i = 0; i < KNOB_COUNT; i++) {
        const struct knob_row *row = &knob_rows[i];
        const char *at = (const char *)k + row->offset;
        char text[KNOB_TEXT_MAX * 2];
        json_t *v = NULL;

        if (row->id == KNOB_SEED)
            continue; /* the seed that was drawn stands beside the knobs */
        knob_format(k, row, text, sizeof text);
        if (row->kind == KNOB_REAL && isfinite(*(const double *)at))
            v = json_real(*(const double *)at);
        else if (row->kind == KNOB_INT)
            v = json_integer(*(const int64_t *)at);
        json_object_set_new(o, row->name, v ? v : json_string(text));
    }
    return o;
}

/* Numbers of a float, with the digits that bring the same float back. */
static json_t *
floats_json(const float *v, size_t n)
{
    json_t *a = json_array();

    for (size_t i = 0; i < n; i++)
        json_array_append_new(a, isfinite(v[i]) ? json_real((double)v[i])
                                                : json_null());
    return a;
}

static json_t *
model_json(struct job *j)
{
    const struct model *m = gen_model(j->gen);
    json_t *o = json_object();

    if (!m)
        return o;
    json_object_set_new(o, "name", json_string(model_info(m)->name));
    if (!j->hashed)
        j->hashed = model_hash(m, &j->hashes, &interrupted, NULL);
    if (j->hashed) {
        json_object_set_new(o, "sha256", json_string(j->hashes.weights));
        json_object_set_new(o, "config", json_string(j->hashes.config));
        json_object_set_new(o, "tokenizer", json_string(j->hashes.tokenizer));
    }
    json_object_set_new(o, "arithmetic", json_string(model_arithmetic(m)));
    return o;
}

static void
print_json(struct job *j, const struct sample *s, uint32_t br)
{
    json_t *o = json_object(), *ids = json_array();

    for (size_t i = 0; i < s->n; i++)
        json_array_append_new(ids, json_integer(s->ids[i]));
    json_object_set_new(o, "sample", json_integer(br + 1));
    put_text(o, "prompt", j->prompt, j->prompt_len);
    put_text(o, "text", s->text ? s->text : "", s->len);
    json_object_set_new(o, "stop", json_string(gen_why_name(s->why)));
    json_object_set_new(o, "seed", seed_json(j->seed));
    json_object_set_new(o, "run", json_integer(1));
    json_object_set_new(o, "br", json_integer(br));
    json_object_set_new(o, "tokens", ids);
    json_object_set_new(o, "logprobs", floats_json(s->lp, s->n));
    json_object_set_new(o, "logprobs_after", floats_json(s->q, s->n));
    json_object_set_new(o, "knobs", knobs_json(&j->o->config.knobs));
    json_object_set_new(o, "model", model_json(j));
    if (json_dumpf(o, stdout, JSON_REAL_PRECISION(9)))
        j->failed_write = errno ? errno : EIO;
    putchar('\n');
    json_decref(o);
}

/* --- plain text --- */

static void
put(struct job *j, const char *s, size_t len)
{
    if (fwrite(s, 1, len, stdout) != len || fflush(stdout))
        j->failed_write = errno ? errno : EIO;
}

static uint32_t
samples_of(const struct job *j)
{
    return j->o->samples ? (uint32_t)j->o->samples : 1;
}

static void
print_opening(struct job *j, uint32_t br, uint32_t n)
{
    if (n > 1 && isatty(STDOUT_FILENO)) {
        printf("%s", br ? "\n" : "");
        printf(_("Sample %u of %u"), br + 1, n);
        putchar('\n');
    }
    if (j->o->echo)
        put(j, j->prompt, j->prompt_len);
}

/* Every sample ends with a line break of its own, so that it ends a line. */
static void
print_closing(struct job *j, const struct sample *s)
{
    char last = '\n';

    if (s->len)
        last = s->text[s->len - 1];
    else if (j->o->echo && j->prompt_len)
        last = j->prompt[j->prompt_len - 1];
    else
        last = '\0';
    if (last != '\n')
        put(j, "\n", 1);
}

/* --- in order --- */

static void
open_sample(struct job *j)
{
    const struct sample *s = &j->out[j->shown];
    uint32_t number = j->first + j->shown + 1;

    if (j->o->json || j->n_opened == number) /* it is tried once more */
        return;
    j->n_opened = number;
    print_opening(j, j->first + j->shown, samples_of(j));
    put(j, s->text ? s->text : "", s->len);
}

static void
close_sample(struct job *j)
{
    const struct sample *s = &j->out[j->shown];

    if (j->o->json)
        print_json(j, s, j->first + j->shown);
    else
        print_closing(j, s);
}

/* Nothing comes out any more. */
static bool
stopped(const struct job *j)
{
    return j->err.kind || j->failed_write;
}

/* The samples that are whole by now go out, and the next one begins to. One
 * that was stopped is the last. */
static void
show_whole(struct job *j)
{
    while (!stopped(j) && j->shown < j->n_out && j->out[j->shown].over) {
        if (j->out[j->shown].why == GEN_WHY_ERROR) {
            j->err = j->failure;
            return;
        }
        close_sample(j);
        if (j->out[j->shown].why == GEN_WHY_USER)
            j->shown = j->n_out;
        else if (++j->shown < j->n_out)
            open_sample(j);
    }
}

/* --- events --- */

static void
on_token(struct job *j, const struct gen_event *ev)
{
    struct sample *s = &j->out[ev->lane];
    size_t len = ev->u.token.len;

    if (s->n == s->cap_ids)
        s->ids = mem_grow(s->ids, &s->cap_ids, s->n + 1, sizeof *s->ids);
    if (s->n == s->cap_lp)
        s->lp = mem_grow(s->lp, &s->cap_lp, s->n + 1, sizeof *s->lp);
    if (s->n == s->cap_q)
        s->q = mem_grow(s->q, &s->cap_q, s->n + 1, sizeof *s->q);
    s->ids[s->n] = ev->u.token.id;
    s->lp[s->n] = ev->u.token.lp;
    s->q[s->n++] = ev->u.token.q;
    if (s->len + len > s->cap)
        s->text = mem_grow(s->text, &s->cap, s->len + len, 1);
    if (len) {
        memcpy(s->text + s->len, ev->u.token.text, len);
        s->len += len;
        if (!j->o->json && (uint32_t)ev->lane == j->shown)
            put(j, ev->u.token.text, len);
    }
}

static void
on_event(struct job *j, const struct gen_event *ev)
{
    if (ev->type == GEN_LOADED)
        cli_tell_notes(gen_model(j->gen));
    if (ev->type == GEN_HASHED) {
        j->hashes = ev->u.hashes;
        j->hashed = true;
    }
    if (ev->type == GEN_FAILED && !ev->serial)
        j->err = ev->u.err;
    if (ev->serial != j->serial)
        return;
    if (ev->type == GEN_FAILED)
        j->failure = ev->u.err;
    if (ev->type == GEN_TOKEN)
        on_token(j, ev);
    if (ev->type == GEN_END) {
        j->out[ev->lane].why = ev->u.end.why;
        j->out[ev->lane].over = true;
        j->n_over++;
        show_whole(j);
    }
}

/* Takes what has come; false when all lanes are over. */
static bool
drain(struct job *j)
{
    struct gen_event ev;

    while (!j->err.kind && j->n_over < j->n_out && gen_next(j->gen, &ev)) {
        on_event(j, &ev);
        gen_event_finish(&ev);
    }
    return !j->err.kind && j->n_over < j->n_out;
}

/* Runs siblings j->first .. j->first + n - 1 to their ends. */
static void
run_lanes(struct job *j, uint32_t n)
{
    struct prompt_span span = { .text = j->prompt, .len = j->prompt_len };
    struct gen_request req = {
        .kind = GEN_RUN,
        .spans = &span,
        .n_spans = j->prompt_len ? 1 : 0,
        .knobs = j->o->config.knobs,
        .seed = j->seed,
        .run = 1,
        .br = j->first,
        .length_left = j->o->config.knobs.length,
        .n_lanes = (int)n,
    };
    struct pollfd fd = { .fd = gen_fd(j->gen), .events = POLLIN };
    bool stopping = false;

    for (uint32_t i = 0; i < n; i++) {
        j->out[i].n = j->out[i].len = 0;
        j->out[i].over = false;
    }
    j->n_out = n;
    j->n_over = j->shown = 0;
    j->serial = gen_submit(j->gen, &req);
    open_sample(j);
    while (drain(j)) {
        if ((interrupted || j->failed_write) && !stopping) {
            gen_cancel(j->gen);
            stopping = true;
        }
        /* The timeout closes the gap between looking and sleeping, in which
         * the signal may come. */
        poll(&fd, 1, 200);
    }
}

/* 53 bits, so that every reader of JSON keeps them. */
static uint64_t
choose_seed(const struct knobs *k)
{
    uint64_t seed = 0;

    if (!k->seed_random)
        return k->seed;
    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        seed = (uint64_t)getpid();
    return seed >> 11;
}

static void
catch_interrupts(void)
{
    struct sigaction sa = { .sa_handler = on_interrupt,
                            .sa_flags = SA_RESETHAND };

    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    /* A reader that goes away ends the program without a word. */
    signal(SIGPIPE, SIG_DFL);
}

/* As many at once as may be, and as there is memory for. */
static void
run_samples(struct job *j)
{
    uint32_t n = samples_of(j), most = GEN_LANES_MAX;

    j->out = xcalloc(GEN_LANES_MAX, sizeof *j->out);
    while (j->first < n && !stopped(j) && !interrupted) {
        uint32_t lanes = n - j->first < most ? n - j->first : most;

        run_lanes(j, lanes);
        if (j->err.kind == ERR_MEMORY && lanes > 1 && j->out[0].n == 0) {
            memset(&j->err, 0, sizeof j->err);
            most = lanes / 2;
        } else {
            j->first += lanes;
        }
    }
}

static void
free_samples(struct job *j)
{
    for (uint32_t i = 0; j->out && i < GEN_LANES_MAX; i++) {
        free(j->out[i].text);
        free(j->out[i].ids);
        free(j->out[i].lp);
        free(j->out[i].q);
    }
    free(j->out);
}

int
cli_generate(const struct cli_options *o, const char *text, size_t len)
{
    struct model_options opt = {
        .vocab = o->vocab,
        .type = o->config.type ? o->config.type : "auto",
        .fast = o->config.fast,
        .cache_limit = o->config.cache_limit,
        .finishes_until = &interrupted,
    };
    struct job j = { .o = o, .prompt = text, .prompt_len = len };
    char *model = cli_model_path(o);

    if (!model)
        return EXIT_MODEL;
    catch_interrupts();
    j.seed = choose_seed(&o->config.knobs);
    j.gen = gen_local(model, &opt, 0);
    run_samples(&j);
    gen_free(j.gen);
    free(model);
    free_samples(&j);
    if (j.err.kind)
        return cli_fault(_("the model cannot write"), &j.err);
    if (o->config.knobs.seed_random && isatty(STDERR_FILENO))
        cli_say(_("seed %llu"), (unsigned long long)j.seed);
    if (j.failed_write) {
        cli_say(_("standard output cannot be written: %s"),
                strerror(j.failed_write));
        return EXIT_FAILED;
    }
    return interrupted ? EXIT_INTERRUPTED : EXIT_OK;
}
