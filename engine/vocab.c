/* engine/vocab.c  The table of tokens, added tokens, and opening by path.
 *
 * Which tokenizer a folder holds is decided by the files that are there, not
 * by class names: config.json of many Chinese models names GPT-2's tokenizer
 * while a BERT vocab.txt lies beside it. Only where both kinds of files are
 * present does tokenizer_class decide.
 */
#include "engine/vocab.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/file.h"
#include "engine/base/mem.h"
#include "engine/base/sha256.h"
#include "engine/base/unicode.h"
#include "engine/load/foreign.h"
#include "engine/load/gguf.h"

/* --- the table --- */

struct vocab *
vocab_new(const struct tok_ops *ops)
{
    struct vocab *v = xcalloc(1, sizeof *v);

    v->ops = ops;
    v->arena = mem_grow(NULL, &v->arena_cap, 1, 1); /* empty texts lie there */
    v->unk = v->pad = v->cls = v->sep = v->mask = v->bos = v->eos = -1;
    v->profile.begin = v->profile.newline = v->profile.end = -1;
    tok_config_init(&v->config);
    return v;
}

void
vocab_close(struct vocab *v)
{
    if (!v)
        return;
    v->ops->free(v);
    for (size_t i = 0; i < v->n_added; i++)
        free(v->added[i].text);
    for (size_t i = 0; i < v->n_note; i++)
        free(v->note[i]);
    tok_config_free(&v->config);
    free(v->added);
    free(v->note);
    free(v->arena);
    free(v->token);
    free(v->slot);
    free(v->ban);
    free(v->exempt);
    free(v);
}

void
vocab_put(struct vocab *v, int id, const char *s, size_t len, int flags)
{
    size_t at = (size_t)id;

    if (at >= v->cap)
        v->token = mem_grow(v->token, &v->cap, at + 1, sizeof *v->token);
    for (; v->n <= at; v->n++)
        v->token[v->n] = (struct token){ .flags = TOKEN_HOLE };
    if (v->arena_len + len > v->arena_cap)
        v->arena = mem_grow(v->arena, &v->arena_cap, v->arena_len + len, 1);
    if (len > 0)
        memcpy(v->arena + v->arena_len, s, len);
    v->token[at] = (struct token){ (uint32_t)v->arena_len, (uint32_t)len,
                                   (unsigned char)flags };
    v->arena_len += len;
}

int
vocab_push(struct vocab *v, const char *s, size_t len, int flags)
{
    int id = (int)v->n;

    vocab_put(v, id, s, len, flags);
    return id;
}

static uint32_t
hash_bytes(uint32_t h, const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        h = vocab_hash_step(h, (unsigned char)s[i]);
    return h;
}

/* FNV's low bits are weak for short keys. */
static size_t
slot_of(const struct vocab *v, uint32_t h)
{
    return (h ^ h >> 15) * 0x9E3779B1u >> 7 & (v->n_slots - 1);
}

int
vocab_find_hashed(const struct vocab *v, uint32_t h, const char *a,
                  size_t a_len, const char *b, size_t b_len)
{
    if (v->n_slots == 0)
        return -1;
    for (size_t i = slot_of(v, h);; i = (i + 1) & (v->n_slots - 1)) {
        const struct token *t;
        const char *s;

        if (v->slot[i] < 0)
            return -1;
        t = &v->token[v->slot[i]];
        s = v->arena + t->at;
        if (t->len == a_len + b_len && memcmp(s, a, a_len) == 0 &&
            memcmp(s + a_len, b, b_len) == 0)
            return v->slot[i];
    }
}

int
vocab_find(const struct vocab *v, const char *s, size_t len)
{
    return vocab_find_hashed(v, hash_bytes(VOCAB_HASH_SEED, s, len), "", 0, s,
                             len);
}

int
vocab_lookup(const struct vocab *v, const char *s)
{
    size_t len = strlen(s);
    int id = vocab_find(v, s, len);

    for (size_t i = 0; id < 0 && i < v->n_added; i++)
        if (v->added[i].len == len && memcmp(v->added[i].text, s, len) == 0)
            id = v->added[i].id;
    return id;
}

/* Makes the table twice as large as n, empty. */
static void
make_slots(struct vocab *v, size_t n)
{
    v->n_slots = 64;
    while (v->n_slots < n * 2)
        v->n_slots *= 2;
    free(v->slot);
    v->slot = xmalloc(v->n_slots * sizeof *v->slot);
    for (size_t i = 0; i < v->n_slots; i++)
        v->slot[i] = -1;
    v->n_used = 0;
}

static bool
slot_insert(struct vocab *v, int id)
{
    const struct token *t = &v->token[id];
    const char *s = v->arena + t->at;
    size_t i = slot_of(v, hash_bytes(VOCAB_HASH_SEED, s, t->len));

    for (; v->slot[i] >= 0; i = (i + 1) & (v->n_slots - 1)) {
        const struct token *o = &v->token[v->slot[i]];

        if (o->len == t->len && memcmp(v->arena + o->at, s, t->len) == 0) {
            v->slot[i] = id;
            return true;
        }
    }
    v->slot[i] = id;
    v->n_used++;
    return false;
}

bool
vocab_insert(struct vocab *v, int id)
{
    if ((v->n_used + 1) * 2 > v->n_slots) {
        int *old = v->slot;
        size_t n = v->n_slots;

        v->slot = NULL;
        make_slots(v, n ? n : 32);
        for (size_t i = 0; i < n; i++)
            if (old[i] >= 0)
                slot_insert(v, old[i]);
        free(old);
    }
    return slot_insert(v, id);
}

void
vocab_index(struct vocab *v, const char *file)
{
    size_t twice = 0;

    make_slots(v, v->n);
    for (size_t i = 0; i < v->n; i++)
        if (!(v->token[i].flags & (TOKEN_HOLE | TOKEN_RAW)) &&
            v->token[i].len > 0)
            twice += slot_insert(v, (int)i);
    v->n_base = v->n;
    if (twice > 0)
        vocab_add_note(v,
                       "%s: %zu tokens stand there twice; the later "
                       "number is used for text",
                       file, twice);
}

void
vocab_add_note(struct vocab *v, const char *fmt, ...)
{
    va_list ap;
    char *s = NULL;

    if (v->n_note == v->cap_note)
        v->note =
            mem_grow(v->note, &v->cap_note, v->n_note + 1, sizeof *v->note);
    va_start(ap, fmt);
    if (vasprintf(&s, fmt, ap) < 0)
        s = xstrdup("(no memory for a note)");
    va_end(ap);
    v->note[v->n_note++] = s;
}

const char *
vocab_note(const struct vocab *v, int i)
{
    return i >= 0 && (size_t)i < v->n_note ? v->note[i] : NULL;
}

void
tok_ids_add(struct tok_ids *ids, int id)
{
    if (ids->n == ids->cap)
        ids->v = mem_grow(ids->v, &ids->cap, ids->n + 1, sizeof *ids->v);
    ids->v[ids->n++] = id;
}

/* --- added and special tokens --- */

static struct added *
find_added(struct vocab *v, const char *s, size_t len)
{
    for (size_t i = 0; i < v->n_added; i++)
        if (v->added[i].len == len && memcmp(v->added[i].text, s, len) == 0)
            return &v->added[i];
    return NULL;
}

bool
vocab_take_added(struct vocab *v, const struct added *a, struct err *err)
{
    int id = a->id >= 0 ? a->id : vocab_find(v, a->text, a->len);
    struct added *to;

    if (a->len == 0 || id < 0)
        return true; /* a name this vocabulary does not have */
    if ((size_t)id >= v->n_base + 65536 || id >= VOCAB_MAX_TOKENS)
        return err_set(err, ERR_MODEL,
                       "added token \"%.40s\" has number %d, far beyond the "
                       "%zu tokens of the vocabulary",
                       a->text, id, v->n_base);
    if ((size_t)id >= v->n || (v->token[id].flags & TOKEN_HOLE))
        vocab_put(v, id, a->text, a->len, TOKEN_RAW);
    if (a->special)
        v->token[id].flags |= TOKEN_SPECIAL;
    to = find_added(v, a->text, a->len);
    if (to)
        return true; /* the first definition wins */
    if (v->n_added == VOCAB_MAX_ADDED)
        return err_set(err, ERR_MODEL, "more than %d added tokens",
                       VOCAB_MAX_ADDED);
    if (v->n_added == v->cap_added)
        v->added =
            mem_grow(v->added, &v->cap_added, v->n_added + 1, sizeof *v->added);
    to = &v->added[v->n_added++];
    *to = *a;
    to->id = id;
    to->text = xstrndup(a->text, a->len);
    v->added_first[(unsigned char)a->text[0]] = true;
    v->has_normalized |= a->normalized;
    return true;
}

int
vocab_special(struct vocab *v, const char *s)
{
    int id = s ? vocab_lookup(v, s) : -1;
    struct added a = { .text = (char *)(uintptr_t)s,
                       .id = id,
                       .special = true };

    if (id < 0)
        return -1;
    a.len = strlen(s);
    v->token[id].flags |= TOKEN_SPECIAL;
    vocab_take_added(v, &a, NULL);
    return id;
}

bool
vocab_apply_config(struct vocab *v, struct err *err)
{
    struct tok_config *c = &v->config;

    for (size_t i = 0; i < c->n_added; i++)
        if (!vocab_take_added(v, &c->added[i], err))
            return false;
    v->unk = vocab_special(v, c->unk);
    v->pad = vocab_special(v, c->pad);
    v->cls = vocab_special(v, c->cls);
    v->sep = vocab_special(v, c->sep);
    v->mask = vocab_special(v, c->mask);
    v->bos = vocab_special(v, c->bos);
    v->eos = vocab_special(v, c->eos);
    v->prefix_space = c->prefix_space == 1;
    return true;
}

/* \w of the tokenizers library. */
static bool
word_char(uint32_t cp)
{
    const char *c;

    if (cp < 0x80)
        return uni_is_letter(cp) || uni_is_number(cp) || cp == '_';
    c = uni_category(cp);
    return c[0] == 'L' || c[0] == 'M' || strcmp(c, "Nd") == 0 ||
           strcmp(c, "Nl") == 0 || strcmp(c, "Pc") == 0 || cp == 0x200C ||
           cp == 0x200D || (cp >= 0x24B6 && cp <= 0x24E9);
}

/* The longest added token that begins at `at`. */
static const struct added *
added_at(const struct vocab *v, const char *text, size_t at, size_t len,
         bool normalized)
{
    const struct added *best = NULL;

    if (!v->added_first[(unsigned char)text[at]])
        return NULL;
    for (size_t i = 0; i < v->n_added; i++) {
        const struct added *a = &v->added[i];

        if (a->normalized == normalized && a->len <= len - at &&
            (!best || a->len > best->len) &&
            memcmp(a->text, text + at, a->len) == 0)
            best = a;
    }
    return best;
}

static bool
stands_alone(const char *text, size_t from, size_t to, size_t len)
{
    uint32_t cp;

    if (from > 0) {
        size_t p = uni_prev(text, from);

        uni_decode(text + p, from - p, &cp);
        if (word_char(cp))
            return false;
    }
    if (to < len) {
        uni_decode(text + to, len - to, &cp);
        if (word_char(cp))
            return false;
    }
    return true;
}

static size_t
white_before(const char *text, size_t from, size_t stop)
{
    while (from > stop) {
        size_t p = uni_prev(text, from);
        uint32_t cp;

        uni_decode(text + p, from - p, &cp);
        if (!uni_is_white(cp))
            break;
        from = p;
    }
    return from;
}

static size_t
white_after(const char *text, size_t at, size_t len)
{
    while (at < len) {
        uint32_t cp;
        size_t n = uni_decode(text + at, len - at, &cp);

        if (!uni_is_white(cp))
            break;
        at += n;
    }
    return at;
}

bool
vocab_cut_added(const struct vocab *v, const char *text, size_t len,
                bool normalized, int flags, vocab_leaf *leaf,
                struct tok_ids *out, struct err *err)
{
    size_t done = 0;

    for (size_t i = 0; i < len;) {
        const struct added *a = added_at(v, text, i, len, normalized);
        size_t from = i, to;

        if (!a) {
            i++;
            continue;
        }
        to = i += a->len;
        if (from < done ||
            (a->single_word && !stands_alone(text, from, to, len)))
            continue;
        if (a->lstrip)
            from = white_before(text, from, done);
        if (a->rstrip)
            to = white_after(text, to, len);
        if (from > done && !leaf(v, text + done, from - done, flags, out, err))
            return false;
        tok_ids_add(out, a->id);
        done = to;
    }
    return done == len || leaf(v, text + done, len - done, flags, out, err);
}

bool
vocab_encode(const struct vocab *v, const char *text, size_t len, int flags,
             int **ids, size_t *n, struct err *err)
{
    struct tok_ids out = { 0 };
    char *spaced = NULL;
    bool ok;

    if (v->characters)
        text = spaced = vocab_spaced_out(text, len, &len);
    ok = v->ops->encode(v, text, len, flags, &out, err);
    free(spaced);
    if (!ok) {
        free(out.v);
        return false;
    }
    *ids = out.v ? out.v : xmalloc(sizeof(int)); /* never NULL */
    *n = out.n;
    return true;
}

/* --- looking at one --- */

int
vocab_size(const struct vocab *v)
{
    return (int)v->n;
}

const char *
vocab_kind(const struct vocab *v)
{
    return v->ops->kind;
}

const char *
vocab_bytes(const struct vocab *v, int id, size_t *len)
{
    return vocab_text(v, id, len);
}

const char *
vocab_hash(const struct vocab *v)
{
    return v->hash;
}

void
vocab_show(const struct vocab *v, int id, char *buf, size_t cap)
{
    const char *s;
    size_t len, used = 0;

    if (cap == 0)
        return;
    buf[0] = '\0';
    if (id < 0 || (size_t)id >= v->n)
        return;
    s = vocab_text(v, id, &len);
    for (size_t i = 0; i < len;) {
        uint32_t cp;
        size_t n = uni_decode(s + i, len - i, &cp);
        size_t need = cp == UNI_BAD ? 4 : n;

        if (used + need + 1 > cap)
            break;
        if (cp == UNI_BAD)
            snprintf(buf + used, cap - used, "<%02X>", (unsigned char)s[i]);
        else
            memcpy(buf + used, s + i, n);
        used += need;
        i += n;
    }
    buf[used] = '\0';
}

/* --- opening --- */

bool
vocab_read_file(const char *path, char **data, size_t *len, struct err *err)
{
    static const struct {
        const char *head, *what;
    } odd[] = {
        { "version https://git-lfs",
          "a git-lfs pointer; the file itself was not downloaded: run \"git "
          "lfs pull\" or fetch it from the model's page" },
        { "<!DOCTYPE", "a web page; fetch the raw file instead" },
        { "<!doctype", "a web page; fetch the raw file instead" },
        { "<html", "a web page; fetch the raw file instead" },
        { "\x1F\x8B", "compressed; unpack it first" },
        { "PK\x03\x04", "a zip archive; unpack it first" },
    };

    if (!file_read(path, VOCAB_FILE_MAX, data, len, err))
        return false;
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        if (strncmp(*data, odd[i].head, strlen(odd[i].head)) != 0)
            continue;
        free(*data);
        *data = NULL;
        return err_set(err, ERR_MODEL, "%s: this is %s", path, odd[i].what);
    }
    return true;
}

static bool
is_file(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

bool
vocab_hash_files(struct vocab *v, const char *const *paths, size_t n,
                 struct err *err)
{
    struct sha256 *sha = sha256_new();
    bool ok = true;

    for (size_t i = 0; i < n && ok; i++) {
        char *data;
        size_t len;

        if (!paths[i] || !is_file(paths[i]))
            continue;
        ok = file_read(paths[i], VOCAB_FILE_MAX, &data, &len, err);
        if (ok) {
            sha256_add(sha, data, len);
            free(data);
        }
    }
    sha256_finish(sha, v->hash);
    return ok;
}

/* DIR/NAME if that is a file, else NULL. Given (free). */
static char *
beside(const char *dir, const char *name)
{
    char *path = xasprintf("%s/%s", dir, name);

    if (is_file(path))
        return path;
    free(path);
    return NULL;
}

static char *
folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (!slash)
        return xstrdup(".");
    return slash == path ? xstrdup("/")
                         : xstrndup(path, (size_t)(slash - path));
}

/* tokenizer_class, where two kinds of files lie in one folder. */
static bool
class_is_bert(const char *dir)
{
    struct tok_config c;
    bool bert;

    tok_config_init(&c);
    bert = !tok_config_read(&c, dir, NULL, NULL) || c.byte_level != 1;
    tok_config_free(&c);
    return bert;
}

static struct vocab *
refuse_folder(const char *dir, const char *vocab, const char *merges,
              struct err *err)
{
    static const char *const pieces[] = { "spiece.model", "chinese_vocab.model",
                                          "tokenizer.model" };

    if (vocab || merges) {
        err_set(err, ERR_MODEL,
                "%s: a byte-level vocabulary needs both "
                "vocab.json and merges.txt; %s is missing",
                dir, vocab ? "merges.txt" : "vocab.json");
        return NULL;
    }
    for (size_t i = 0; i < 3; i++) {
        char *p = beside(dir, pieces[i]);

        if (p) {
            err_set(err, ERR_MODEL,
                    "%s: sentencepiece vocabularies cannot "
                    "be read",
                    p);
            free(p);
            return NULL;
        }
    }
    err_set(err, ERR_MODEL,
            "%s: no vocabulary here (wanted: vocab.txt, or "
            "vocab.json with merges.txt, or tokenizer.json)",
            dir);
    return NULL;
}

static bool
ends_with(const char *s, const char *tail)
{
    size_t a = strlen(s), b = strlen(tail);

    return a >= b && strcmp(s + a - b, tail) == 0;
}

/* --- lists of tokens under other names --- */

static int
is_list(const struct dirent *e)
{
    const char *at = strstr(e->d_name, "vocab");

    return e->d_name[0] != '.' && at && ends_with(at, ".txt");
}

/* The one file *vocab*.txt of a folder, or NULL. Given (free). */
static char *
only_list(const char *dir)
{
    struct dirent **v = NULL;
    int n = scandir(dir, &v, is_list, alphasort);
    char *path = n == 1 ? xasprintf("%s/%s", dir, v[0]->d_name) : NULL;

    for (int i = 0; i < n; i++)
        free(v[i]);
    free(v);
    return path;
}

static bool
fits_rows(const struct vocab *v, int n_rows)
{
    return v->n_base <= (size_t)n_rows && (size_t)n_rows - v->n_base <= 64;
}

/* The published names come first, then whatever fits. */
static int
rank_of(const char *name)
{
    static const char *const names[] = { "vocab.txt", "clue-vocab.txt",
                                         "bert-base-chinese-vocab.txt" };

    for (int i = 0; i < 3; i++)
        if (strcmp(name, names[i]) == 0)
            return i;
    return 3;
}

struct vocab *
vocab_open_sized(const char *dir, int n_rows, struct err *err)
{
    char *conf = beside(dir, "tokenizer_config.json");
    struct dirent **list = NULL;
    int n = scandir(dir, &list, is_list, alphasort), best_rank = 4, fit = 0;
    struct vocab *best = NULL;

    for (int i = 0; i < n; i++) {
        char *path = xasprintf("%s/%s", dir, list[i]->d_name);
        int rank = rank_of(list[i]->d_name);
        struct vocab *v =
            is_file(path) ? wordpiece_open_file(path, conf, NULL) : NULL;

        fit += v && fits_rows(v, n_rows);
        if (v && fits_rows(v, n_rows) && rank < best_rank) {
            struct vocab *worse = best;

            best = v;
            v = worse;
            best_rank = rank;
        }
        vocab_close(v);
        free(path);
        free(list[i]);
    }
    free(list);
    free(conf);
    if (best && (best_rank < 3 || fit == 1))
        return best;
    if (best)
        err_set(err, ERR_MODEL,
                "%s: several vocabularies have as many tokens as the model "
                "has rows (%d, or up to 64 fewer): name the file",
                dir, n_rows);
    else
        err_set(err, ERR_MODEL,
                "%s: no vocabulary here has as many tokens as the model has "
                "rows (%d, or up to 64 fewer)",
                dir, n_rows);
    vocab_close(best);
    return NULL;
}

static struct vocab *
open_folder(const char *dir, struct err *err)
{
    char *txt = beside(dir, "vocab.txt");
    char *vocab = beside(dir, "vocab.json");
    char *merges = beside(dir, "merges.txt");
    char *whole = beside(dir, "tokenizer.json");
    char *conf = beside(dir, "tokenizer_config.json");
    struct vocab *v;

    if (!vocab && !merges) {
        vocab = beside(dir, "encoder.json");
        merges = beside(dir, "vocab.bpe");
    }
    if (!whole)
        whole = beside(dir, "aitextgen.tokenizer.json");
    if (txt && (!vocab || !merges || class_is_bert(dir)))
        v = wordpiece_open_file(txt, conf, err);
    else if (vocab && merges)
        v = bpe_open_files(vocab, merges, err);
    else if (whole)
        v = tokenizer_json_open(whole, err);
    else if (!vocab && !merges && (txt = only_list(dir)))
        v = wordpiece_open_file(txt, conf, err);
    else
        v = refuse_folder(dir, vocab, merges, err);
    free(txt);
    free(vocab);
    free(merges);
    free(whole);
    free(conf);
    return v;
}

static bool
is_gguf(const char *path)
{
    char head[4];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool yes = fd >= 0 && pread(fd, head, 4, 0) == 4 &&
               memcmp(head, "GGUF", 4) == 0;

    if (fd >= 0)
        close(fd);
    return yes;
}

/* The weights of it, if it has any, are left alone. */
static struct vocab *
open_gguf(const char *path, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct tensor_table t;
    struct meta meta = { 0 };
    struct vocab *v = NULL;

    if (fd < 0) {
        err_errno(err, ERR_MODEL, errno, "%s", path);
        return NULL;
    }
    tensor_table_init(&t);
    if (foreign_read(gguf_read, fd, 0, path, &t, &meta, err)) {
        if (vocab_in_meta(&meta))
            v = vocab_from_meta(&meta, path, err);
        else
            err_set(err, ERR_MODEL, "%s: there is no vocabulary in this file",
                    path);
    }
    tensor_table_free(&t);
    meta_free(&meta);
    close(fd);
    return v;
}

static struct vocab *
open_file(const char *path, struct err *err)
{
    char *dir = folder_of(path);
    struct vocab *v;

    if (ends_with(path, "vocab.json") || ends_with(path, "merges.txt")) {
        char *a = beside(dir, "vocab.json"), *b = beside(dir, "merges.txt");

        v = a && b ? bpe_open_files(a, b, err) : refuse_folder(dir, a, b, err);
        free(a);
        free(b);
    } else if (ends_with(path, "encoder.json") ||
               ends_with(path, "vocab.bpe")) {
        char *a = beside(dir, "encoder.json"), *b = beside(dir, "vocab.bpe");

        v = a && b ? bpe_open_files(a, b, err) : refuse_folder(dir, a, b, err);
        free(a);
        free(b);
    } else if (ends_with(path, ".json")) {
        v = tokenizer_json_open(path, err);
    } else if (is_gguf(path)) {
        v = open_gguf(path, err);
    } else {
        char *conf = beside(dir, "tokenizer_config.json");

        v = wordpiece_open_file(path, conf, err);
        free(conf);
    }
    free(dir);
    return v;
}

struct vocab *
vocab_open(const char *path, struct err *err)
{
    struct stat st;
    struct vocab *v;

    if (stat(path, &st) != 0) {
        err_errno(err, ERR_MODEL, errno, "%s", path);
        return NULL;
    }
    v = S_ISDIR(st.st_mode) ? open_folder(path, err) : open_file(path, err);
    if (!v && err && err->kind == ERR_FAILED)
        err->kind = ERR_MODEL;
    return v;
}

struct vocab *
vocab_open_as(const char *path, const char *profile, struct err *err)
{
    struct vocab *v = vocab_open(path, err);

    if (!v || !profile || vocab_set_family(v, profile, err))
        return v;
    vocab_close(v);
    return NULL;
}
