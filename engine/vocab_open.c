/* engine/vocab_open.c  From a path to a vocabulary.
 *
 * Which tokenizer a folder holds is decided by the files that are there, not
 * by class names: config.json of many Chinese models names GPT-2's tokenizer
 * while a BERT vocab.txt lies beside it. Only where both kinds of files are
 * present does tokenizer_class decide.
 *
 * All of it happens in a jail (load/texts.h): this process opens the files
 * and makes its vocabulary of what comes back (vocab_flat.c).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/file.h"
#include "engine/base/mem.h"
#include "engine/base/sha256.h"
#include "engine/load/foreign.h"
#include "engine/load/gguf.h"
#include "engine/load/texts.h"
#include "engine/vocab.h"

/* --- files --- */

bool
vocab_read_file(const struct texts *t, const char *path, char **data,
                size_t *len, struct err *err)
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

    if (!texts_read(t, path, VOCAB_FILE_MAX, data, len, err))
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
is_file(const struct texts *t, const char *path)
{
    const struct text_file *f = texts_find(t, path);

    return f && f->regular;
}

void
vocab_set_files(struct vocab *v, const struct texts *t,
                const char *const *paths, size_t n)
{
    v->n_file = 0;
    for (size_t i = 0; i < n && v->n_file < VOCAB_MAX_FILES; i++)
        if (paths[i] && is_file(t, paths[i]))
            v->file[v->n_file++] = (size_t)(texts_find(t, paths[i]) - t->v);
}

/* Not left to the child: it hashes what it read or says it did. */
static bool
hash_files(struct vocab *v, const struct texts *t, struct err *err)
{
    struct sha256 *sha = sha256_new();
    bool ok = true;

    for (size_t i = 0; i < v->n_file && ok; i++) {
        char *data;
        size_t len;

        ok = texts_read(t, t->v[v->file[i]].path, VOCAB_FILE_MAX, &data, &len,
                        err);
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
beside(const struct texts *t, const char *dir, const char *name)
{
    char *path = xasprintf("%s/%s", dir, name);

    if (is_file(t, path))
        return path;
    free(path);
    return NULL;
}

/* tokenizer_class, where two kinds of files lie in one folder. */
static bool
class_is_bert(const struct texts *t, const char *dir)
{
    struct tok_config c;
    bool bert;

    tok_config_init(&c);
    bert = !tok_config_read(&c, t, dir, NULL, NULL) || c.byte_level != 1;
    tok_config_free(&c);
    return bert;
}

#define AITEXTGEN "aitextgen.tokenizer.json"

static const char *const pieces[] = { "spiece.model", "chinese_vocab.model",
                                      "tokenizer.model" };

static struct vocab *
refuse_folder(const struct texts *t, const char *dir, const char *vocab,
              const char *merges, struct err *err)
{
    if (vocab || merges) {
        err_set(err, ERR_MODEL,
                "%s: a byte-level vocabulary needs both "
                "vocab.json and merges.txt; %s is missing",
                dir, vocab ? "merges.txt" : "vocab.json");
        return NULL;
    }
    for (size_t i = 0; i < 3; i++) {
        char *p = beside(t, dir, pieces[i]);

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

/* --- what is asked for, and the files for it --- */

struct request;
typedef struct vocab *opener(const struct request *q, struct err *err);

struct request {
    opener *open; /* in the jail */
    const char *path;
    const char *other; /* a second file, or NULL */
    bool folder;
    int n_rows; /* of the matrix, where the list that fits is wanted; or 0 */
    struct texts texts;
    char **list; /* paths of the files *vocab*.txt of the folder, sorted */
    size_t n_list, cap_list;
};

static int
is_list(const struct dirent *e)
{
    const char *at = strstr(e->d_name, "vocab");

    return e->d_name[0] != '.' && at && ends_with(at, ".txt");
}

static void
add_lists(struct request *q)
{
    struct dirent **v = NULL;
    int n = scandir(q->path, &v, is_list, alphasort);

    for (int i = 0; i < n; i++) {
        char *path = xasprintf("%s/%s", q->path, v[i]->d_name);

        if (q->n_list == q->cap_list)
            q->list =
                mem_grow(q->list, &q->cap_list, q->n_list + 1, sizeof *q->list);
        q->list[q->n_list++] = path;
        texts_add(&q->texts, path);
        free(v[i]);
    }
    free(v);
}

/* Opens whatever may be read for it. */
static void
add_files(struct request *q)
{
    static const char *const names[] = {
        "vocab.txt", "vocab.json",     "merges.txt", "encoder.json",
        "vocab.bpe", "tokenizer.json", AITEXTGEN,
    };
    static const char *const more[] = { "tokenizer_config.json",
                                        "special_tokens_map.json",
                                        "added_tokens.json" };
    char *dir = q->folder ? xstrdup(q->path) : file_folder(q->path);
    bool named;

    if (!q->folder)
        texts_add(&q->texts, q->path);
    if (q->other)
        texts_add(&q->texts, q->other);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        texts_add_in(&q->texts, dir, names[i]);
    named = q->texts.n > 0;
    for (size_t i = 0; i < sizeof more / sizeof *more; i++)
        texts_add_in(&q->texts, dir, more[i]);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces && !named; i++)
        texts_add_in(&q->texts, dir, pieces[i]);
    if (q->folder && (q->n_rows > 0 || !named))
        add_lists(q);
    free(dir);
}

static void
request_finish(struct request *q)
{
    texts_close(&q->texts);
    for (size_t i = 0; i < q->n_list; i++)
        free(q->list[i]);
    free(q->list);
}

/* --- in the jail: which of the files, and reading them --- */

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

static struct vocab *
open_sized(const struct request *q, struct err *err)
{
    const struct texts *t = &q->texts;
    char *conf = beside(t, q->path, "tokenizer_config.json");
    int best_rank = 4, fit = 0;
    struct vocab *best = NULL;

    for (size_t i = 0; i < q->n_list; i++) {
        const char *path = q->list[i];
        int rank = rank_of(file_name(path));
        struct vocab *v =
            is_file(t, path) ? wordpiece_read(t, path, conf, NULL) : NULL;

        fit += v && fits_rows(v, q->n_rows);
        if (v && fits_rows(v, q->n_rows) && rank < best_rank) {
            struct vocab *worse = best;

            best = v;
            v = worse;
            best_rank = rank;
        }
        vocab_close(v);
    }
    free(conf);
    if (best && (best_rank < 3 || fit == 1))
        return best;
    if (best)
        err_set(err, ERR_MODEL,
                "%s: several vocabularies have as many tokens as the model "
                "has rows (%d, or up to 64 fewer): name the file",
                q->path, q->n_rows);
    else
        err_set(err, ERR_MODEL,
                "%s: no vocabulary here has as many tokens as the model has "
                "rows (%d, or up to 64 fewer)",
                q->path, q->n_rows);
    vocab_close(best);
    return NULL;
}

static struct vocab *
open_folder(const struct request *q, struct err *err)
{
    const struct texts *t = &q->texts;
    const char *dir = q->path;
    char *txt = beside(t, dir, "vocab.txt");
    char *vocab = beside(t, dir, "vocab.json");
    char *merges = beside(t, dir, "merges.txt");
    char *whole = beside(t, dir, "tokenizer.json");
    char *conf = beside(t, dir, "tokenizer_config.json");
    struct vocab *v;

    if (!vocab && !merges) {
        vocab = beside(t, dir, "encoder.json");
        merges = beside(t, dir, "vocab.bpe");
    }
    if (!whole)
        whole = beside(t, dir, AITEXTGEN);
    if (txt && (!vocab || !merges || class_is_bert(t, dir)))
        v = wordpiece_read(t, txt, conf, err);
    else if (vocab && merges)
        v = bpe_read(t, vocab, merges, err);
    else if (whole)
        v = tokenizer_json_read(t, whole, err);
    else if (!vocab && !merges && q->n_list == 1)
        v = wordpiece_read(t, q->list[0], conf, err);
    else
        v = refuse_folder(t, dir, vocab, merges, err);
    free(txt);
    free(vocab);
    free(merges);
    free(whole);
    free(conf);
    return v;
}

/* Two files that belong together, named by one of them. */
static struct vocab *
open_pair(const struct texts *t, const char *dir, const char *vocab,
          const char *merges, struct err *err)
{
    char *a = beside(t, dir, vocab), *b = beside(t, dir, merges);
    struct vocab *v =
        a && b ? bpe_read(t, a, b, err) : refuse_folder(t, dir, a, b, err);

    free(a);
    free(b);
    return v;
}

static struct vocab *
open_file(const struct request *q, struct err *err)
{
    const struct texts *t = &q->texts;
    const char *path = q->path;
    char *dir = file_folder(path);
    struct vocab *v;

    if (ends_with(path, "vocab.json") || ends_with(path, "merges.txt")) {
        v = open_pair(t, dir, "vocab.json", "merges.txt", err);
    } else if (ends_with(path, "encoder.json") ||
               ends_with(path, "vocab.bpe")) {
        v = open_pair(t, dir, "encoder.json", "vocab.bpe", err);
    } else if (ends_with(path, ".json")) {
        v = tokenizer_json_read(t, path, err);
    } else {
        char *conf = beside(t, dir, "tokenizer_config.json");

        v = wordpiece_read(t, path, conf, err);
        free(conf);
    }
    free(dir);
    return v;
}

static struct vocab *
open_wordpiece(const struct request *q, struct err *err)
{
    return wordpiece_read(&q->texts, q->path, q->other, err);
}

static struct vocab *
open_bpe(const struct request *q, struct err *err)
{
    return bpe_read(&q->texts, q->path, q->other, err);
}

static struct vocab *
open_json(const struct request *q, struct err *err)
{
    return tokenizer_json_read(&q->texts, q->path, err);
}

static bool
parse(const struct texts *t, void *ud, struct meta *out, struct err *err)
{
    const struct request *q = ud;
    struct vocab *v = q->open(q, err);

    if (v)
        vocab_to_flat(v, out);
    vocab_close(v);
    return v != NULL;
}

/* --- in this process --- */

static struct vocab *
take(const struct request *q, const struct meta *answer, struct err *err)
{
    struct vocab *v = vocab_from_flat(answer, q->texts.n, q->path, err);

    if (!v || hash_files(v, &q->texts, err))
        return v;
    vocab_close(v);
    return NULL;
}

static struct vocab *
open_texts(struct request *q, bool jailed, struct err *err)
{
    struct meta m = { 0 };
    struct vocab *v = NULL;

    add_files(q);
    if (!jailed) {
        if (parse(&q->texts, q, &m, err))
            v = take(q, &m, err);
        meta_free(&m);
    } else if (texts_parse(&q->texts, parse, q, q->path, &m, err)) {
        v = take(q, &m, err);
        texts_answer_free(&m);
    }
    request_finish(q);
    if (!v && err && err->kind == ERR_FAILED)
        err->kind = ERR_MODEL;
    return v;
}

struct vocab *
vocab_open_sized(const char *dir, int n_rows, struct err *err)
{
    struct request q = {
        .open = open_sized, .path = dir, .folder = true, .n_rows = n_rows
    };

    return open_texts(&q, true, err);
}

struct vocab *
wordpiece_open_file(const char *vocab_txt, const char *config, struct err *err)
{
    struct request q = { .open = open_wordpiece,
                         .path = vocab_txt,
                         .other = config };

    return open_texts(&q, true, err);
}

struct vocab *
bpe_open_files(const char *vocab_json, const char *merges_txt, struct err *err)
{
    struct request q = { .open = open_bpe,
                         .path = vocab_json,
                         .other = merges_txt };

    return open_texts(&q, true, err);
}

struct vocab *
tokenizer_json_open(const char *path, struct err *err)
{
    struct request q = { .open = open_json, .path = path };

    return open_texts(&q, true, err);
}

static bool
is_gguf(const char *path)
{
    char head[4];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool yes =
        fd >= 0 && pread(fd, head, 4, 0) == 4 && memcmp(head, "GGUF", 4) == 0;

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

/* Files of tokens go by their names; GGUF has a parser of its own. */
static bool
may_be_gguf(const char *path)
{
    return !ends_with(path, ".json") && !ends_with(path, "merges.txt") &&
           !ends_with(path, "vocab.bpe");
}

static struct vocab *
open_any(const char *path, bool jailed, struct err *err)
{
    struct request q = { .path = path };
    struct stat st;

    if (stat(path, &st) != 0) {
        err_errno(err, ERR_MODEL, errno, "%s", path);
        return NULL;
    }
    q.folder = S_ISDIR(st.st_mode);
    if (!q.folder && may_be_gguf(path) && is_gguf(path))
        return open_gguf(path, err);
    q.open = q.folder ? open_folder : open_file;
    return open_texts(&q, jailed, err);
}

struct vocab *
vocab_open(const char *path, struct err *err)
{
    return open_any(path, true, err);
}

struct vocab *
vocab_open_unjailed(const char *path, struct err *err)
{
    return open_any(path, false, err);
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
