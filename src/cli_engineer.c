/* src/cli_engineer.c  `tokens` and `logits`: the parts that can be compared.
 *
 * Both are filters: tokens turns each line of stdin into one line of stdout,
 * as soon as it has come; logits writes numbers. Text lines are any bytes
 * without a line break; whoever needs line breaks in a text uses --json.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/file.h"
#include "engine/base/json.h"
#include "engine/base/mem.h"
#include "engine/base/utf8.h"
#include "engine/model.h"

#include "src/cli_options.h"
#include "src/cli_parts.h"
#include "src/i18n.h"
#include "src/paths.h"

#define PIECE ((size_t)64 << 10) /* of stdin and stdout at once */

/* --- options --- */

struct option {
    const char *name, *letter; /* "--model", "-m" or NULL */
    const char **text;         /* where the value goes, or */
    bool *flag;
};

/* The value of argv[*i] as option o, or NULL when it is another option; a
 * value that is missing sets *status. */
static bool
take_option(const struct option *o, int argc, char **argv, int *i, int *status)
{
    const char *arg = argv[*i];
    size_t n = strlen(o->name);
    bool joined = strncmp(arg, o->name, n) == 0 && arg[n] == '=';

    if (strcmp(arg, o->name) != 0 && !(o->letter && !strcmp(arg, o->letter)) &&
        !(joined && o->text))
        return false;
    if (o->flag) {
        *o->flag = true;
    } else if (joined) {
        *o->text = arg + n + 1;
    } else if (*i + 1 < argc) {
        *o->text = argv[++*i];
    } else {
        cli_say(_("%s needs a value"), o->name);
        *status = EXIT_USAGE;
    }
    return true;
}

/* EXIT_OK, or EXIT_USAGE after saying what is wrong. */
static int
read_options(const struct option *options, size_t n, int argc, char **argv)
{
    int i, status = EXIT_OK;
    size_t k;

    for (i = 1; i < argc && status == EXIT_OK; i++) {
        for (k = 0; k < n; k++)
            if (take_option(&options[k], argc, argv, &i, &status))
                break;
        if (k == n) {
            cli_no_option(argv[0], argv[i]);
            return EXIT_USAGE;
        }
    }
    return status;
}

/* --- output --- */

struct out {
    char *v;
    size_t n, cap;
    int error; /* errno of a write that failed */
};

static void
out_flush(struct out *o)
{
    if (o->n > 0 && !o->error &&
        !file_write_all(STDOUT_FILENO, o->v, o->n, NULL))
        o->error = errno;
    o->n = 0;
}

static void
out_add(struct out *o, const char *p, size_t n)
{
    if (o->n + n > o->cap)
        o->v = mem_grow(o->v, &o->cap, o->n + n, 1);
    if (n > 0)
        memcpy(o->v + o->n, p, n);
    o->n += n;
}

/* A closed pipe is no fault: whoever read has seen enough. */
static int
out_finish(struct out *o, int status)
{
    int error;

    out_flush(o);
    error = o->error;
    free(o->v);
    if (!error || error == EPIPE)
        return status;
    cli_say(_("standard output cannot be written: %s"), strerror(error));
    return EXIT_FAILED;
}

static void
out_number(struct out *o, int v)
{
    char buf[16];
    size_t at = sizeof buf;
    unsigned u = (unsigned)v; /* ids are not negative */

    do
        buf[--at] = (char)('0' + u % 10);
    while (u /= 10);
    out_add(o, buf + at, sizeof buf - at);
}

static void
out_ids(struct out *o, const int *ids, size_t n, bool json)
{
    size_t i;

    if (json)
        out_add(o, "[", 1);
    for (i = 0; i < n; i++) {
        if (i)
            out_add(o, json ? "," : " ", 1);
        out_number(o, ids[i]);
    }
    out_add(o, json ? "]\n" : "\n", json ? 2 : 1);
}

/* A JSON string; ill-formed bytes become U+FFFD. */
static void
out_string(struct out *o, const char *s, size_t len)
{
    static const char from[] = "\"\\\n\r\t\b\f", to[] = "\"\\nrtbf";
    const char *at;
    char esc[8];
    size_t i, n;

    out_add(o, "\"", 1);
    for (i = 0; i < len; i += n) {
        n = utf8_len(s + i, len - i);
        if (n == 0) {
            out_add(o, "\xEF\xBF\xBD", 3);
            n = 1;
        } else if (s[i] && (at = strchr(from, s[i]))) {
            esc[0] = '\\';
            esc[1] = to[at - from];
            out_add(o, esc, 2);
        } else if ((unsigned char)s[i] < 0x20) {
            snprintf(esc, sizeof esc, "\\u%04x", (unsigned char)s[i]);
            out_add(o, esc, 6);
        } else {
            out_add(o, s + i, n);
        }
    }
    out_add(o, "\"\n", 2);
}

/* --- tokens --- */

struct tokens {
    const char *model, *vocab, *profile;
    bool json, decode, special;
    const struct vocab *v;
    struct out out;
};

static bool
is_blank(const char *s, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++)
        if (s[i] != ' ' && s[i] != '\t' && s[i] != '\r')
            return false;
    return true;
}

static bool
encode_line(struct tokens *t, const char *line, size_t len, struct err *err)
{
    char *text = NULL;
    struct json j;
    int *ids;
    size_t n;
    bool ok;

    if (t->json) {
        json_init(&j, line, len, 1, err);
        if (json_next(&j) != JSON_STRING)
            return j.type != JSON_ERROR &&
                   err_set(err, ERR_USAGE, "not a JSON string");
        text = json_dup(&j, &n);
        if (json_next(&j) != JSON_END) {
            free(text);
            return false;
        }
        line = text;
        len = n;
    }
    ok = vocab_encode(t->v, line, len, t->special ? VOCAB_SPECIAL : 0, &ids, &n,
                      err);
    if (ok) {
        out_ids(&t->out, ids, n, t->json);
        free(ids);
    }
    free(text);
    return ok;
}

static bool
is_separator(char c)
{
    return c == ' ' || c == ',' || c == '\t' || c == '\r';
}

/* "5 7 9" or "5,7,9". */
static bool
parse_ids(const char *s, size_t len, int **ids, size_t *n, struct err *err)
{
    size_t i = 0, cap = 0, end;
    long v;

    *ids = NULL;
    *n = 0;
    while (i < len) {
        if (is_separator(s[i])) {
            i++;
            continue;
        }
        for (v = 0, end = i;
             end < len && s[end] >= '0' && s[end] <= '9' && v <= INT_MAX; end++)
            v = 10 * v + (s[end] - '0');
        if (end == i || v > INT_MAX || (end < len && !is_separator(s[end]))) {
            free(*ids);
            return err_set(err, ERR_USAGE,
                           "ids are whole numbers with spaces or commas "
                           "between them, not \"%.*s\"",
                           (int)(len - i > 20 ? 20 : len - i), s + i);
        }
        *ids = mem_grow(*ids, &cap, *n + 1, sizeof **ids);
        (*ids)[(*n)++] = (int)v;
        i = end;
    }
    return true;
}

static bool
parse_json_ids(const char *s, size_t len, int **ids, size_t *n, struct err *err)
{
    size_t cap = 0;
    struct json j;

    *ids = NULL;
    *n = 0;
    json_init(&j, s, len, 1, err);
    if (json_next(&j) == JSON_ARRAY) {
        while (json_next(&j) == JSON_INT && j.i >= 0 && j.i <= INT_MAX) {
            *ids = mem_grow(*ids, &cap, *n + 1, sizeof **ids);
            (*ids)[(*n)++] = (int)j.i;
        }
        if (j.type == JSON_ARRAY_END && json_next(&j) == JSON_END)
            return true;
    }
    free(*ids);
    return j.type != JSON_ERROR &&
           err_set(err, ERR_USAGE, "not a JSON array of ids");
}

static bool
decode_line(struct tokens *t, const char *line, size_t len, struct err *err)
{
    char *text;
    int *ids;
    size_t n;
    bool ok;

    if (!(t->json ? parse_json_ids : parse_ids)(line, len, &ids, &n, err))
        return false;
    ok = vocab_decode(t->v, ids, n, &text, &len, err);
    if (ok) {
        if (t->json) {
            out_string(&t->out, text, len);
        } else {
            out_add(&t->out, text, len);
            out_add(&t->out, "\n", 1);
        }
        free(text);
    }
    free(ids);
    return ok;
}

static bool
one_line(struct tokens *t, const char *line, size_t len, struct err *err)
{
    bool ok = true;

    if (len == 0 || (t->json && is_blank(line, len)))
        out_add(&t->out, "\n", 1);
    else if (t->decode)
        ok = decode_line(t, line, len, err);
    else
        ok = encode_line(t, line, len, err);
    if (t->out.n >= PIECE)
        out_flush(&t->out);
    return ok;
}

/* More would have to be waited for: show what is done. */
static void
flush_before_waiting(struct tokens *t)
{
    struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };

    if (t->out.n > 0 && poll(&p, 1, 0) == 0)
        out_flush(&t->out);
}

/* All lines of stdin; the last may lack its line break. */
static int
all_lines(struct tokens *t)
{
    char *buf = NULL, *nl;
    size_t cap = 0, len = 0, line = 0, seen = 0, number = 0;
    struct err err = { 0 };
    ssize_t got = 1;
    bool ok = true;

    while (ok && got > 0 && !t->out.error) {
        if (line > 0) { /* what is left of a line moves to the front */
            memmove(buf, buf + line, len - line);
            len -= line;
            seen -= line;
            line = 0;
        }
        buf = mem_grow(buf, &cap, len + PIECE, 1);
        flush_before_waiting(t);
        got = read(STDIN_FILENO, buf + len, cap - len);
        if (got < 0 && errno == EINTR) {
            got = 1;
            continue;
        }
        if (got > 0)
            len += (size_t)got;
        while (ok && (nl = memchr(buf + seen, '\n', len - seen))) {
            number++;
            ok = one_line(t, buf + line, (size_t)(nl - buf) - line, &err);
            line = seen = (size_t)(nl - buf) + 1;
        }
        seen = len;
    }
    if (ok && got == 0 && len > line) {
        number++;
        ok = one_line(t, buf + line, len - line, &err);
    }
    free(buf);
    out_flush(&t->out);
    if (got < 0) {
        cli_say(_("standard input cannot be read: %s"), strerror(errno));
        return EXIT_FAILED;
    }
    if (ok)
        return EXIT_OK;
    err_wrap(&err, _("line %zu"), number);
    cli_fault(_("standard input makes no sense"), &err);
    return err.kind == ERR_FAILED ? EXIT_USAGE : err_exit_status(err.kind);
}

int
cli_tokens(int argc, char **argv)
{
    struct tokens t = { 0 };
    const struct option options[] = {
        { "--model", "-m", &t.model, NULL },
        { "--vocab", NULL, &t.vocab, NULL },
        { "--profile", NULL, &t.profile, NULL },
        { "--json", NULL, NULL, &t.json },
        { "--decode", NULL, NULL, &t.decode },
        { "--special", NULL, NULL, &t.special },
    };
    struct model_options opt = { .vocab_only = true };
    struct vocab *own = NULL;
    struct model *m = NULL;
    struct err err = { 0 };
    int status =
        read_options(options, sizeof options / sizeof *options, argc, argv);

    if (status != EXIT_OK)
        return status;
    if (!t.model && !t.vocab) {
        cli_say(_("%s: name a tokenizer with -m MODEL or --vocab FOLDER"),
                "tokens");
        return EXIT_USAGE;
    }
    if (t.model) {
        char *path = paths_find_model(t.model);

        opt.vocab = t.vocab;
        opt.profile = t.profile;
        m = model_open(path, &opt, &err);
        free(path);
        t.v = m ? model_vocab(m) : NULL;
    } else {
        t.v = own = vocab_open_as(t.vocab, t.profile, &err);
    }
    if (!t.v) {
        status = cli_fault(_("the tokenizer cannot be used"), &err);
        model_close(m);
        return status;
    }
    if (m)
        cli_tell_notes(m);
    status = out_finish(&t.out, all_lines(&t));
    if (m)
        model_close(m);
    else
        vocab_close(own);
    return status;
}

/* --- logits --- */

struct logits {
    struct out *out;
    size_t bytes; /* of a row */
};

static bool
write_row(void *ud, size_t i, const float *logits)
{
    struct logits *l = ud;

    out_add(l->out, (const char *)logits, l->bytes);
    if (l->out->n >= PIECE)
        out_flush(l->out);
    return !l->out->error;
}

static bool
read_count(const char *s, size_t *n)
{
    char *end;
    unsigned long long v;

    if (s[0] < '0' || s[0] > '9')
        return false;
    errno = 0;
    v = strtoull(s, &end, 10);
    *n = (size_t)v;
    return !errno && !*end && v > 0 && v <= INT_MAX;
}

static bool
write_greedy(const struct model *m, const int *ids, size_t n, size_t n_new,
             struct out *out, struct err *err)
{
    size_t room = (size_t)model_info(m)->n_pos;
    int *got = xcalloc(n_new <= room ? n_new : 1, sizeof *got);
    bool ok = model_greedy(m, ids, n, got, n_new, err);

    if (ok)
        out_ids(out, got, n_new, false);
    free(got);
    return ok;
}

static int
run_logits(const char *model, const char *type, const int *ids, size_t n,
           size_t n_new)
{
    struct model_options opt = { .no_vocab_needed = true, .type = type };
    char *path = paths_find_model(model);
    struct logits l = { 0 };
    struct err err = { 0 };
    struct out out = { 0 };
    struct model *m = model_open(path, &opt, &err);
    int status = EXIT_OK;
    bool ok;

    free(path);
    if (!m)
        return cli_fault(_("the model cannot be used"), &err);
    cli_tell_notes(m);
    l.out = &out;
    l.bytes = (size_t)model_info(m)->n_vocab * sizeof(float);
    ok = n_new ? write_greedy(m, ids, n, n_new, &out, &err)
               : model_logits(m, ids, n, write_row, &l, &err);
    if (!ok)
        status = cli_fault(_("the model cannot run this"), &err);
    model_close(m);
    return out_finish(&out, status);
}

int
cli_logits(int argc, char **argv)
{
    const char *model = NULL, *ids_text = NULL, *greedy = NULL;
    const char *type = NULL;
    const struct option options[] = {
        { "--model", "-m", &model, NULL },
        { "--ids", NULL, &ids_text, NULL },
        { "--greedy", NULL, &greedy, NULL },
        { "--type", NULL, &type, NULL },
    };
    int status =
        read_options(options, sizeof options / sizeof *options, argc, argv);
    struct err err = { 0 };
    size_t n, n_new = 0;
    int *ids;

    if (status != EXIT_OK)
        return status;
    if (!model || !ids_text || !*ids_text) {
        cli_say(_("%s needs -m MODEL and --ids 5,7,9"), "logits");
        return EXIT_USAGE;
    }
    if (greedy && !read_count(greedy, &n_new)) {
        cli_say(_("--greedy takes a number of ids from 1 on, not \"%s\""),
                greedy);
        return EXIT_USAGE;
    }
    if (!greedy && isatty(STDOUT_FILENO)) {
        cli_say(_("%s writes raw numbers: lead standard output into a file or "
                  "a program"),
                "logits");
        return EXIT_USAGE;
    }
    if (!parse_ids(ids_text, strlen(ids_text), &ids, &n, &err))
        return cli_fault("--ids", &err);
    status = run_logits(model, type, ids, n, n_new);
    free(ids);
    return status;
}
