/* src/record.c  Story ops as lines of JSON (jansson) with a checksum.
 *
 * The mark `,"c":"` cannot stand inside a string of the line, where every
 * quotation mark is escaped; so the end of a record is known even in a line
 * that lost its line break, and record_salvage() can look for it.
 */
#include "src/record.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/crc32c.h"
#include "engine/base/mem.h"
#include "engine/base/unicode.h"

#define SUM_MARK ",\"c\":\""
#define SUM_LEN  16 /* ,"c":"01234567"} */
#define START    "{\"n\":"
#define SAFE_INT ((uint64_t)1 << 53) /* what every reader of JSON keeps */

void
bytes_add(struct bytes *b, const void *s, size_t n)
{
    b->s = mem_grow(b->s, &b->cap, b->n + n + 1, 1);
    if (n)
        memcpy(b->s + b->n, s, n);
    b->n += n;
    b->s[b->n] = '\0';
}

/* --- base64 (RFC 4648) --- */

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static char *
to_base64(const char *s, size_t len)
{
    char *out = xmalloc((len + 2) / 3 * 4 + 1), *p = out;
    for (size_t i = 0; i < len; i += 3) {
        uint32_t v = (uint32_t)(unsigned char)s[i] << 16;
        v |= i + 1 < len ? (uint32_t)(unsigned char)s[i + 1] << 8 : 0;
        v |= i + 2 < len ? (uint32_t)(unsigned char)s[i + 2] : 0;
        *p++ = alphabet[v >> 18];
        *p++ = alphabet[v >> 12 & 63];
        *p++ = i + 1 < len ? alphabet[v >> 6 & 63] : '=';
        *p++ = i + 2 < len ? alphabet[v & 63] : '=';
    }
    *p = '\0';
    return out;
}

/* NULL when it is no base64. */
static char *
from_base64(const char *s, size_t len, size_t *out_len)
{
    char *out = xmalloc(len / 4 * 3 + 1);
    size_t n = 0;
    if (len % 4)
        goto bad;
    for (size_t i = 0; i < len; i += 4) {
        uint32_t v = 0;
        int pad = 0;
        for (int k = 0; k < 4; k++) {
            char c = s[i + (size_t)k];
            const char *p = c ? strchr(alphabet, c) : NULL;
            if (c == '=' && k >= 2 && i + 4 == len)
                pad++;
            else if (!p || pad)
                goto bad;
            v = v << 6 | (p ? (uint32_t)(p - alphabet) : 0);
        }
        out[n++] = (char)(v >> 16);
        if (pad < 2)
            out[n++] = (char)(v >> 8);
        if (pad < 1)
            out[n++] = (char)v;
    }
    *out_len = n;
    return out;
bad:
    free(out);
    return NULL;
}

/* --- writing --- */

struct writer {
    json_t *o;
    int digits; /* significant digits that its numbers need */
};

static void
put_int(struct writer *w, const char *key, uint64_t v)
{
    json_object_set_new(w->o, key, json_integer((json_int_t)v));
}

static void
put_str(struct writer *w, const char *key, const char *s)
{
    json_t *v = json_string(s ? s : "");
    json_object_set_new(w->o, key, v ? v : json_string(""));
}

/* Text as "s", or as "x" where it is not valid UTF-8. */
static void
put_text(struct writer *w, const char *s, size_t len)
{
    if (uni_valid(s, len)) {
        json_object_set_new(w->o, "s", json_stringn(s ? s : "", len));
        return;
    }
    char *b = to_base64(s, len);
    put_str(w, "x", b);
    free(b);
}

/* v with as few digits as give it back; infinities as strings. */
static json_t *
real(struct writer *w, double v)
{
    char buf[40];
    if (isnan(v))
        return json_null();
    if (isinf(v))
        return json_string(v > 0 ? "inf" : "-inf");
    for (; w->digits < 17; w->digits++) {
        snprintf(buf, sizeof buf, "%.*g", w->digits, v);
        if (strtod(buf, NULL) == v)
            break;
    }
    return json_real(v);
}

/* The number with the fewest digits that is this float. */
static json_t *
real_of_float(struct writer *w, float f)
{
    char buf[40];
    double v = (double)f;
    for (int digits = 3; isfinite(f) && digits <= 9; digits++) {
        snprintf(buf, sizeof buf, "%.*g", digits, (double)f);
        v = strtod(buf, NULL);
        if ((float)v == f) /* as get_float() reads it */
            break;
    }
    return real(w, v);
}

static json_t *
knob_value(struct writer *w, const struct knobs *k, const struct knob_row *row)
{
    char buf[KNOB_TEXT_MAX + 64];
    json_t *v;
    knob_format(k, row, buf, sizeof buf);
    if (row->kind == KNOB_REAL)
        return real(w, strtod(buf, NULL));
    if (row->kind == KNOB_INT)
        return json_integer(strtoll(buf, NULL, 10));
    v = json_string(buf);
    return v ? v : json_string("");
}

/* All of `set`, or what differs from `before`. */
static void
put_knobs(struct writer *w, const struct knobs *set, const struct knobs *before)
{
    json_t *o = json_object();
    for (int i = 0; i < KNOB_COUNT; i++) {
        const struct knob_row *row = &knob_rows[i];
        char a[KNOB_TEXT_MAX + 64], b[KNOB_TEXT_MAX + 64];
        if (before) {
            knob_format(set, row, a, sizeof a);
            knob_format(before, row, b, sizeof b);
            if (!strcmp(a, b))
                continue;
        }
        json_object_set_new(o, row->name, knob_value(w, set, row));
    }
    json_object_set_new(w->o, "set", o);
}

static void
put_tokens(struct writer *w, const struct story_op *op)
{
    json_t *ids = json_array(), *lp = json_array(), *q = json_array();
    for (size_t i = 0; i < op->n_tok; i++) {
        json_array_append_new(ids, json_integer(op->tok[i].id));
        json_array_append_new(lp, real_of_float(w, op->tok[i].lp));
        json_array_append_new(q, real_of_float(w, op->tok[i].q));
    }
    json_object_set_new(w->o, "i", ids);
    json_object_set_new(w->o, "lp", lp);
    json_object_set_new(w->o, "q", q);
    if (op->n_tok > 1 && op->tok_len) {
        json_t *l = json_array();
        for (size_t i = 0; i < op->n_tok; i++)
            json_array_append_new(l, json_integer(op->tok_len[i]));
        json_object_set_new(w->o, "l", l);
    }
}

static void
put_run(struct writer *w, const struct story_op *op)
{
    char seed[24];
    put_int(w, "p", op->p);
    put_int(w, "at", op->at);
    put_int(w, "m", op->m);
    put_int(w, "k", op->k);
    snprintf(seed, sizeof seed, "%" PRIu64, op->seed);
    if (op->seed <= SAFE_INT)
        put_int(w, "seed", op->seed);
    else
        put_str(w, "seed", seed);
    put_int(w, "run", op->run);
    put_int(w, "br", op->br);
    put_int(w, "i0", op->i0);
    put_int(w, "win", op->win);
    if (op->w)
        put_int(w, "w", (uint64_t)op->w);
    if (op->cont)
        json_object_set_new(w->o, "cont", json_true());
    if (op->aside)
        json_object_set_new(w->o, "aside", json_true());
}

static void
put_end(struct writer *w, const struct story_op *op)
{
    char hex[2 * sizeof op->tail + 1] = "";
    put_int(w, "of", op->of);
    put_str(w, "why", gen_why_name(op->why));
    for (size_t i = 0; i < op->n_tail && i < sizeof op->tail; i++)
        snprintf(hex + 2 * i, 3, "%02x", op->tail[i]);
    if (*hex)
        put_str(w, "tail", hex);
}

static void
put_members(struct writer *w, const struct story_op *op)
{
    switch (op->type) {
    case OP_HEAD_LINE:
        put_int(w, "v", (uint64_t)op->v);
        put_int(w, "min", (uint64_t)op->min);
        put_str(w, "app", op->app);
        put_str(w, "id", op->id);
        json_object_set_new(w->o, "title",
                            json_stringn(op->s ? op->s : "",
                                         op->s ? op->len : 0));
        put_int(w, "w", (uint64_t)op->w);
        break;
    case OP_MODEL:
        put_int(w, "m", op->m);
        put_str(w, "name", op->name);
        put_str(w, "sha", op->sha);
        put_str(w, "cfg", op->cfg);
        put_str(w, "tok", op->tok_hash);
        put_str(w, "num", op->num);
        if (op->files && *op->files)
            put_str(w, "files", op->files);
        break;
    case OP_KNOBS:
        put_int(w, "k", op->k);
        put_knobs(w, op->set, NULL);
        break;
    case OP_EDIT:
        put_int(w, "p", op->p);
        put_int(w, "at", op->at);
        put_int(w, "del", op->del);
        put_text(w, op->s, op->len);
        put_str(w, "who", op->who == TEXT_IMPORT ? "import" : "me");
        if (op->w)
            put_int(w, "w", (uint64_t)op->w);
        break;
    case OP_ADD:
        put_int(w, "of", op->of);
        put_int(w, "at", op->at);
        put_int(w, "del", op->del);
        put_text(w, op->s, op->len);
        break;
    case OP_RUN: put_run(w, op); break;
    case OP_TOK:
        put_int(w, "of", op->of);
        put_tokens(w, op);
        put_text(w, op->s, op->len);
        break;
    case OP_KNOB:
        put_knobs(w, op->set, op->before);
        if (op->has_of) {
            put_int(w, "of", op->of);
            put_int(w, "i", op->i);
        }
        break;
    case OP_WIN:
        put_int(w, "of", op->of);
        put_int(w, "i", op->i);
        put_int(w, "at", op->at);
        break;
    case OP_END: put_end(w, op); break;
    case OP_HEAD: put_int(w, "to", op->to); break;
    case OP_MARK:
        put_int(w, "to", op->to);
        put_text(w, op->s, op->len);
        break;
    case OP_NOTE:
        if (op->to > op->n)
            put_int(w, "upto", op->to);
        put_text(w, op->s, op->len);
        break;
    case OP_TITLE: put_text(w, op->s, op->len); break;
    case OP_OTHER: break;
    }
}

static int
dump(const char *s, size_t n, void *out)
{
    bytes_add(out, s, n);
    return 0;
}

void
record_write(const struct story_op *op, struct bytes *out)
{
    struct writer w = { .o = json_object(), .digits = 6 };
    size_t start = out->n;
    char sum[SUM_LEN + 2];
    put_int(&w, "n", op->n);
    put_str(&w, "t", op_name(op->type));
    put_members(&w, op);
    json_dump_callback(w.o, dump, out,
                       JSON_COMPACT | JSON_REAL_PRECISION(w.digits));
    json_decref(w.o);
    out->n--; /* the closing brace comes after the sum */
    snprintf(sum, sizeof sum, SUM_MARK "%08x\"}\n",
             crc32c(0, out->s + start, out->n - start));
    bytes_add(out, sum, SUM_LEN + 1);
}

/* --- reading --- */

/* The whole line's checksum; false when it is wrong or missing. */
static bool
sum_holds(const char *line, size_t len, uint32_t *sum)
{
    char hex[9] = "", *end;
    if (len < SUM_LEN + sizeof START || memcmp(line, START, strlen(START)) ||
        memcmp(line + len - SUM_LEN, SUM_MARK, strlen(SUM_MARK)) ||
        memcmp(line + len - 2, "\"}", 2))
        return false;
    memcpy(hex, line + len - 10, 8);
    if (strspn(hex, "0123456789abcdefABCDEF") != 8)
        return false;
    *sum = (uint32_t)strtoul(hex, &end, 16);
    return *sum == crc32c(0, line, len - SUM_LEN);
}

static bool
get_int(const json_t *o, const char *key, uint64_t max, uint64_t *out)
{
    const json_t *v = json_object_get(o, key);
    json_int_t i = json_integer_value(v);
    if (!v) {
        *out = 0; /* left out: 0 */
        return true;
    }
    if (!json_is_integer(v) || i < 0 || (uint64_t)i > max)
        return false;
    *out = (uint64_t)i;
    return true;
}

static bool
get_u32(const json_t *o, const char *key, uint32_t *out)
{
    uint64_t v;
    bool ok = get_int(o, key, UINT32_MAX, &v);
    *out = ok ? (uint32_t)v : 0;
    return ok;
}

static bool
get_size(const json_t *o, const char *key, size_t *out)
{
    uint64_t v;
    bool ok = get_int(o, key, INT64_MAX, &v);
    *out = ok ? (size_t)v : 0;
    return ok;
}

static bool
get_time(const json_t *o, int64_t *out)
{
    const json_t *v = json_object_get(o, "w");
    *out = json_integer_value(v);
    return !v || json_is_integer(v);
}

static const char *
get_str(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static bool
get_text(struct record *r)
{
    const json_t *s = json_object_get(r->json, "s");
    const json_t *x = json_object_get(r->json, "x");
    r->op.s = "";
    if (s) {
        r->op.s = json_string_value(s);
        r->op.len = json_string_length(s);
        return json_is_string(s);
    }
    if (!x)
        return true;
    if (!json_is_string(x))
        return false;
    r->raw =
        from_base64(json_string_value(x), json_string_length(x), &r->op.len);
    r->op.s = r->raw;
    return r->raw != NULL;
}

static bool
get_seed(const json_t *o, uint64_t *out)
{
    const json_t *v = json_object_get(o, "seed");
    const char *s = json_string_value(v);
    char *end;
    if (!s)
        return get_int(o, "seed", INT64_MAX, out);
    *out = strtoull(s, &end, 10);
    return *s >= '0' && *s <= '9' && !*end;
}

static float
get_float(const json_t *v)
{
    const char *s = json_string_value(v);
    if (s)
        return strtof(s, NULL);
    return json_is_number(v) ? (float)json_number_value(v) : NAN;
}

static bool
get_tokens(struct record *r)
{
    const json_t *ids = json_object_get(r->json, "i");
    const json_t *lp = json_object_get(r->json, "lp");
    const json_t *q = json_object_get(r->json, "q");
    const json_t *l = json_object_get(r->json, "l");
    size_t n = json_array_size(ids);
    r->tok = xcalloc(n + 1, sizeof *r->tok);
    for (size_t i = 0; i < n; i++) {
        const json_t *id = json_array_get(ids, i);
        json_int_t v = json_integer_value(id);
        if (!json_is_integer(id) || v < INT32_MIN || v > INT32_MAX)
            return false;
        r->tok[i] =
            (struct op_token){ (int32_t)v, get_float(json_array_get(lp, i)),
                               get_float(json_array_get(q, i)) };
    }
    r->op.tok = r->tok;
    r->op.n_tok = n;
    if (l && json_array_size(l) == n) {
        r->tok_len = xcalloc(n + 1, sizeof *r->tok_len);
        for (size_t i = 0; i < n; i++) {
            json_int_t v = json_integer_value(json_array_get(l, i));
            if (v < 0 || v > UINT32_MAX)
                return false;
            r->tok_len[i] = (uint32_t)v;
        }
        r->op.tok_len = r->tok_len;
    }
    return true;
}

static bool
get_knobs(struct record *r, const struct knobs *now)
{
    const json_t *set = json_object_get(r->json, "set");
    if (!json_is_object(set))
        return false;
    r->knobs = *now;
    for (int i = 0; i < KNOB_COUNT; i++) {
        const json_t *v = json_object_get(set, knob_rows[i].name);
        char buf[40];
        const char *s = json_string_value(v);
        if (json_is_integer(v))
            snprintf(buf, sizeof buf, "%" JSON_INTEGER_FORMAT,
                     json_integer_value(v));
        else if (json_is_real(v))
            snprintf(buf, sizeof buf, "%.17g", json_real_value(v));
        else if (!s)
            continue;
        /* A value that this version does not allow leaves the knob alone. */
        knob_parse(&r->knobs, &knob_rows[i], s ? s : buf, NULL);
    }
    r->op.set = &r->knobs;
    return true;
}

static void
get_tail(struct record *r)
{
    const char *hex = get_str(r->json, "tail");
    struct story_op *op = &r->op;
    unsigned v;
    while (op->n_tail < sizeof op->tail && sscanf(hex, "%2x", &v) == 1 &&
           hex[0] && hex[1]) {
        op->tail[op->n_tail++] = (unsigned char)v;
        hex += 2;
    }
}

static bool
get_head_line(struct record *r)
{
    struct story_op *op = &r->op;
    uint64_t v, min;
    if (!get_int(r->json, "v", INT32_MAX, &v) ||
        !get_int(r->json, "min", INT32_MAX, &min) || !get_time(r->json, &op->w))
        return false;
    op->v = (int)v;
    op->min = (int)min;
    op->app = get_str(r->json, "app");
    op->id = get_str(r->json, "id");
    op->s = get_str(r->json, "title");
    op->len = strlen(op->s);
    return true;
}

static bool
get_members(struct record *r, const struct knobs *now)
{
    const json_t *o = r->json;
    struct story_op *op = &r->op;
    switch (op->type) {
    case OP_HEAD_LINE: return get_head_line(r);
    case OP_MODEL:
        op->name = get_str(o, "name");
        op->sha = get_str(o, "sha");
        op->cfg = get_str(o, "cfg");
        op->tok_hash = get_str(o, "tok");
        op->num = get_str(o, "num");
        op->files = get_str(o, "files");
        return get_u32(o, "m", &op->m);
    case OP_KNOBS: return get_u32(o, "k", &op->k) && get_knobs(r, now);
    case OP_EDIT:
        op->who = strcmp(get_str(o, "who"), "import") ? TEXT_ME : TEXT_IMPORT;
        return get_int(o, "p", RECORD_N_MAX, &op->p) &&
               get_size(o, "at", &op->at) && get_size(o, "del", &op->del) &&
               get_time(o, &op->w) && get_text(r);
    case OP_ADD:
        return get_int(o, "of", RECORD_N_MAX, &op->of) &&
               get_size(o, "at", &op->at) && get_size(o, "del", &op->del) &&
               get_text(r);
    case OP_RUN:
        op->cont = json_is_true(json_object_get(o, "cont"));
        op->aside = json_is_true(json_object_get(o, "aside"));
        return get_int(o, "p", RECORD_N_MAX, &op->p) &&
               get_size(o, "at", &op->at) && get_size(o, "win", &op->win) &&
               get_u32(o, "m", &op->m) && get_u32(o, "k", &op->k) &&
               get_u32(o, "run", &op->run) && get_u32(o, "br", &op->br) &&
               get_u32(o, "i0", &op->i0) && get_time(o, &op->w) &&
               get_seed(o, &op->seed);
    case OP_TOK:
        return get_int(o, "of", RECORD_N_MAX, &op->of) && get_text(r) &&
               get_tokens(r);
    case OP_KNOB:
        op->has_of = json_object_get(o, "of") != NULL;
        return get_int(o, "of", RECORD_N_MAX, &op->of) &&
               get_u32(o, "i", &op->i) && get_knobs(r, now);
    case OP_WIN:
        return get_int(o, "of", RECORD_N_MAX, &op->of) &&
               get_u32(o, "i", &op->i) && get_size(o, "at", &op->at);
    case OP_END:
        op->why = gen_why_find(get_str(o, "why"));
        get_tail(r);
        return get_int(o, "of", RECORD_N_MAX, &op->of);
    case OP_HEAD: return get_int(o, "to", RECORD_N_MAX, &op->to);
    case OP_MARK: return get_int(o, "to", RECORD_N_MAX, &op->to) && get_text(r);
    case OP_NOTE:
        return get_int(o, "upto", RECORD_N_MAX, &op->to) && get_text(r);
    case OP_TITLE: return get_text(r);
    case OP_OTHER: break;
    }
    return true;
}

bool
record_read(const char *line, size_t len, const struct knobs *now,
            struct record *rec)
{
    *rec = (struct record){ .op.type = OP_OTHER };
    if (len && line[len - 1] == '\r')
        len--;
    if (!sum_holds(line, len, &rec->sum))
        return false;
    rec->json =
        json_loadb(line, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    const char *t = json_string_value(json_object_get(rec->json, "t"));
    const json_t *n = json_object_get(rec->json, "n");
    if (!json_is_object(rec->json) || !t || !json_is_integer(n) ||
        !get_int(rec->json, "n", RECORD_N_MAX, &rec->op.n))
        goto bad;
    for (int i = 0; i < OP_OTHER; i++)
        if (!strcmp(t, op_name((enum op_type)i)))
            rec->op.type = (enum op_type)i;
    if (get_members(rec, now))
        return true;
bad:
    record_finish(rec);
    return false;
}

void
record_finish(struct record *rec)
{
    json_decref(rec->json);
    free(rec->tok);
    free(rec->tok_len);
    free(rec->raw);
    *rec = (struct record){ .op.type = OP_OTHER };
}

bool
record_salvage(const char *line, size_t len, size_t *at, size_t *from,
               size_t *to)
{
    const char *mark =
        *at < len ? memmem(line + *at, len - *at, SUM_MARK, strlen(SUM_MARK))
                  : NULL;
    if (!mark || (size_t)(line + len - mark) < SUM_LEN)
        return false;
    *from = *at;
    for (const char *s = line + *at; s < mark; s++) { /* the last start */
        s = memmem(s, (size_t)(mark - s), START, strlen(START));
        if (!s)
            break;
        *from = (size_t)(s - line);
    }
    *to = (size_t)(mark - line) + SUM_LEN;
    *at = (size_t)(mark - line) + strlen(SUM_MARK);
    return true;
}
