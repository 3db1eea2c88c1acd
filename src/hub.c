/* src/hub.c  Known models, and choosing from a hub's list of files.
 *
 * Whatever a list names is looked at as text and taken only when it is one of
 * the names below, or has the form of a shard: a plain name, no folders. So
 * nothing that a server says can lead out of the folder a model arrives in.
 */
#include "src/hub.h"

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"

#include "src/fetch.h"
#include "src/i18n.h"

#define SHARDS_MAX 1000
#define SIZE_MAX_  ((json_int_t)1 << 44) /* 16 TB: no file is longer */

const struct hub_known hub_known[] = {
    { "openai-community/gpt2", "mit", 550, N_("GPT-2, English, 124 M") },
    { "openai-community/gpt2-medium", "mit", 1520,
      N_("GPT-2, English, 355 M") },
    { "openai-community/gpt2-large", "mit", 3250, N_("GPT-2, English, 774 M") },
    { "openai-community/gpt2-xl", "mit", 6430, N_("GPT-2, English, 1.6 B") },
    { "distilbert/distilgpt2", "apache-2.0", 353,
      N_("a smaller, faster GPT-2, English") },
    { "uer/gpt2-chinese-cluecorpussmall", NULL, 420,
      N_("Chinese prose, general") },
    { "uer/gpt2-distil-chinese-cluecorpussmall", NULL, 245,
      N_("Chinese prose, general, smaller") },
    { "uer/gpt2-chinese-poem", NULL, 420, N_("classical Chinese poems") },
    { "uer/gpt2-chinese-lyric", NULL, 420, N_("Chinese song lyrics") },
    { "uer/gpt2-chinese-couplet", NULL, 420, N_("Chinese couplets") },
    { "uer/gpt2-chinese-ancient", NULL, 440, N_("ancient Chinese prose") },
    { "ckiplab/gpt2-base-chinese", "gpl-3.0", 420,
      N_("traditional Chinese, general") },
    { "ckiplab/gpt2-tiny-chinese", "gpl-3.0", 50,
      N_("traditional Chinese, tiny") },
    { "IDEA-CCNL/Wenzhong-GPT2-110M", "apache-2.0", 510,
      N_("Chinese, byte-level vocabulary") },
    { "thu-coai/CDial-GPT_LCCC-base", "mit", 390,
      N_("Chinese dialogue (network openai-gpt)") },
};
const size_t hub_n_known = sizeof hub_known / sizeof *hub_known;

const struct hub_known *
hub_find(const char *name)
{
    for (size_t i = 0; i < hub_n_known; i++)
        if (strcasecmp(hub_known[i].repo, name) == 0 ||
            strcasecmp(strchr(hub_known[i].repo, '/') + 1, name) == 0)
            return &hub_known[i];
    return NULL;
}

bool
hub_is_plain(const char *s)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz"
                         "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");

    return n > 0 && n <= HUB_NAME_MAX && !s[n] && s[0] != '.' && s[0] != '-';
}

bool
hub_is_repo(const char *s)
{
    const char *slash = strchr(s, '/');
    char *owner;
    bool ok;

    if (!slash)
        return false;
    owner = xstrndup(s, (size_t)(slash - s));
    ok = hub_is_plain(owner) && hub_is_plain(slash + 1);
    free(owner);
    return ok;
}

/* --- which files --- */

static const char *const always[] = {
    "config.json",
    "generation_config.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "encoder.json",
    "vocab.bpe",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "README.md",
    "LICENSE",
};

static const char *const vocabularies[] = { "vocab.txt", "vocab.json",
                                            "encoder.json", "tokenizer.json" };

static json_t *
find_file(json_t *list, const char *name)
{
    json_t *row;
    size_t i;

    json_array_foreach(list, i, row)
    {
        const char *s = json_string_value(json_object_get(row, "rfilename"));

        if (s && strcmp(s, name) == 0)
            return row;
    }
    return NULL;
}

/* A hexadecimal sum of n digits, into out[n + 1]; else "". */
static void
take_hex(const json_t *v, size_t n, char *out)
{
    const char *s = json_string_value(v);

    out[0] = '\0';
    if (s && strlen(s) == n && strspn(s, "0123456789abcdef") == n)
        memcpy(out, s, n + 1);
}

/* A large file stands in LFS: its id is the SHA-256, and git's id is that of
 * a pointer, not of the content. */
static bool
take_file(struct hub_model *m, json_t *list, const char *name)
{
    json_t *row = find_file(list, name);
    json_t *lfs = json_object_get(row, "lfs"), *size;
    struct hub_file *f;

    if (!row)
        return false;
    m->files = xreallocarray(m->files, m->n + 1, sizeof *m->files);
    f = &m->files[m->n++];
    memset(f, 0, sizeof *f);
    snprintf(f->name, sizeof f->name, "%s", name);
    size = json_object_get(json_is_object(lfs) ? lfs : row, "size");
    f->size = FETCH_UNKNOWN;
    if (json_is_integer(size) && json_integer_value(size) >= 0 &&
        json_integer_value(size) < SIZE_MAX_)
        f->size = (uint64_t)json_integer_value(size);
    if (!json_is_object(lfs)) {
        take_hex(json_object_get(row, "blobId"), 40, f->git);
        return true;
    }
    take_hex(json_object_get(lfs, "sha256"), 64, f->sha256);
    if (!f->sha256[0])
        take_hex(json_object_get(lfs, "oid"), 64, f->sha256);
    return true;
}

/* PREFIX-00001-of-0000N.SUFFIX, all of them, and their index. */
static bool
take_shards(struct hub_model *m, json_t *list, const char *prefix,
            const char *suffix)
{
    char *index = xasprintf("%s.%s.index.json", prefix, suffix), *name;
    size_t before = m->n;
    bool ok = false;

    for (int n = 2; !ok && n <= SHARDS_MAX; n++) {
        name = xasprintf("%s-00001-of-%05d.%s", prefix, n, suffix);
        ok = find_file(list, name) != NULL;
        free(name);
        for (int i = 1; ok && i <= n; i++) {
            name = xasprintf("%s-%05d-of-%05d.%s", prefix, i, n, suffix);
            ok = take_file(m, list, name);
            free(name);
        }
        if (ok)
            break;
        m->n = before;
    }
    ok = ok && take_file(m, list, index);
    if (!ok)
        m->n = before;
    free(index);
    return ok;
}

/* The one GGUF file, where there is only one. */
static bool
take_gguf(struct hub_model *m, json_t *list)
{
    const char *found = NULL;
    json_t *row;
    size_t i;

    json_array_foreach(list, i, row)
    {
        const char *s = json_string_value(json_object_get(row, "rfilename"));
        size_t n = s ? strlen(s) : 0;

        if (n < 6 || strcmp(s + n - 5, ".gguf") != 0 || !hub_is_plain(s))
            continue;
        if (found)
            return false;
        found = s;
    }
    return found && take_file(m, list, found);
}

static bool
choose(struct hub_model *m, json_t *list, struct err *err)
{
    bool vocabulary = false;

    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        take_file(m, list, always[i]);
    for (size_t i = 0; i < sizeof vocabularies / sizeof *vocabularies; i++)
        vocabulary |= find_file(list, vocabularies[i]) != NULL;
    if (vocabulary && (take_file(m, list, "model.safetensors") ||
                       take_shards(m, list, "model", "safetensors") ||
                       take_file(m, list, "pytorch_model.bin") ||
                       take_shards(m, list, "pytorch_model", "bin")))
        return true;
    if (take_gguf(m, list))
        return true;
    return err_set(err, ERR_MODEL, "%s",
                   vocabulary ? _("it has no weights in a form that jielong "
                                  "reads (safetensors, torch .bin, one GGUF)")
                              : _("it has no vocabulary that jielong reads "
                                  "(vocab.txt, vocab.json, tokenizer.json)"));
}

/* --- the list --- */

static void
take_licence(struct hub_model *m, json_t *o)
{
    json_t *card = json_object_get(o, "cardData"), *tag;
    const char *s = json_string_value(json_object_get(card, "license"));
    size_t i;

    json_array_foreach(json_object_get(o, "tags"), i, tag)
    {
        const char *t = json_string_value(tag);

        if (!s && t && strncmp(t, "license:", 8) == 0)
            s = t + 8;
    }
    if (s && strlen(s) < sizeof m->licence && hub_is_plain(s))
        strcpy(m->licence, s);
}

bool
hub_read_list(struct hub_model *m, const char *text, size_t len,
              struct err *err)
{
    json_error_t why;
    json_t *o = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why), *list;
    const char *sha;
    bool ok;

    memset(m, 0, sizeof *m);
    list = json_object_get(o, "siblings");
    if (!json_is_array(list)) {
        json_decref(o);
        return err_set(err, ERR_FAILED, "%s",
                       _("the server's answer is no list of files: is this "
                         "a model hub? (HF_ENDPOINT)"));
    }
    sha = json_string_value(json_object_get(o, "sha"));
    snprintf(m->revision, sizeof m->revision, "%s",
             sha && hub_is_plain(sha) && strlen(sha) <= 64 ? sha : "main");
    take_licence(m, o);
    ok = choose(m, list, err);
    json_decref(o);
    return ok;
}

void
hub_model_finish(struct hub_model *m)
{
    free(m->files);
    m->files = NULL;
    m->n = 0;
}
