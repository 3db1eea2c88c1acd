/* engine/vocab_open.c  From a path to a vocabulary.
 *
 * Which tokenizer a folder holds is decided by the files that are there, not
 * by class names: config.json of many Chinese models names GPT-2's tokenizer
 * while a BERT vocab.txt lies beside it. Only where both kinds of files are
 * present does tokenizer_class decide.
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
#include "engine/vocab.h"

/* --- files --- */

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

static struct vocab *
open_file(const char *path, struct err *err)
{
    char *dir = file_folder(path);
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
