/* engine/profile.c  How a family of models wants to be fed.
 *
 * A profile is data: the "jielong" object of tokenizer_config.json, else the
 * first family row that fits, else what config.json says of bos and eos. New
 * families are rows. Everything that is done to a prompt and never to
 * `jielong tokens` stands here too: line breaks, forced lower-casing, soft
 * substitution, the space at the end. Families: doc/models.md.
 */
#include <stdio.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/unicode.h"
#include "engine/vocab.h"

/* The commonest 60 characters of two centuries of public-domain prose and
 * present-day stories (96 million characters), commonest first. */
static const char common[] =
    "不一的人了是来道我有他之在说子得这大上你个去也见为下中到出那"
    "此着家里日以时无将天自又如生要可知就事只们何三后二小好心与而";

/* --- families --- */

struct facts {
    const struct vocab *v;
    const char *network;
    int bos, eos; /* in range, else -1 */
};

struct family {
    const char *name;
    bool (*fits)(const struct facts *f);
    const char *begin, *newline, *end; /* tokens; NULL: none */
    bool head_always, soft;
    bool characters;  /* words are single characters */
    bool never_zero;  /* id 0 is never written, whatever it is */
    int google_limit; /* > 0: Google's variant of the tokenizer */
};

static bool
has_text(const struct vocab *v, int id, const char *s)
{
    size_t len;
    const char *t;

    if (id < 0 || (size_t)id >= v->n)
        return false;
    t = vocab_text(v, id, &len);
    return len == strlen(s) && memcmp(t, s, len) == 0;
}

static bool
fits_grover(const struct facts *f)
{
    return strcmp(f->network, "grover") == 0;
}

static bool
fits_bytes(const struct facts *f)
{
    return f->v->bpe && vocab_lookup(f->v, "<|endoftext|>") >= 0;
}

/* Trained with Morizeyao/GPT2-Chinese: by bos and eos, or by the lists of
 * that project, which begin with quotation marks or shuffled specials. */
static bool
fits_gpt2_chinese(const struct facts *f)
{
    const struct vocab *v = f->v;

    if (v->bpe || v->mask < 0 || v->cls < 0 || v->sep < 0)
        return false;
    if (f->bos >= 0 || f->eos >= 0)
        return f->bos == v->mask && f->eos == v->cls;
    return has_text(v, 1, "“") || (v->unk < 5 && v->cls < 5 && v->sep < 5 &&
                                   v->mask < 5 && v->pad < 5);
}

static bool
fits_cdial(const struct facts *f)
{
    return !f->v->bpe && vocab_lookup(f->v, "[speaker1]") >= 0;
}

static bool
fits_uer(const struct facts *f)
{
    const struct vocab *v = f->v;

    return !v->bpe && v->cls >= 0 && v->sep >= 0 &&
           (f->bos < 0 || f->bos == v->cls) && (f->eos < 0 || f->eos == v->sep);
}

static const struct family families[] = {
    { .name = "gpt2-ml",
      .fits = fits_grover,
      .soft = true,
      .never_zero = true,
      .google_limit = 200 },
    { .name = "openai",
      .fits = fits_bytes,
      .begin = "<|endoftext|>",
      .end = "<|endoftext|>" },
    { .name = "cdial",
      .fits = fits_cdial,
      .begin = "[CLS]",
      .end = "[SEP]",
      .head_always = true,
      .soft = true,
      .characters = true },
    { .name = "gpt2-chinese",
      .fits = fits_gpt2_chinese,
      .begin = "[MASK]",
      .newline = "[SEP]",
      .end = "[CLS]",
      .soft = true },
    { .name = "uer",
      .fits = fits_uer,
      .begin = "[CLS]",
      .end = "[SEP]",
      .head_always = true },
};

static const struct family *
family_named(const char *name)
{
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (strcmp(families[i].name, name) == 0)
            return &families[i];
    return NULL;
}

/* What a family changes in the tokenizer itself. */
static void
use_family(struct vocab *v, const struct family *r)
{
    if (v->wordpiece && r->google_limit > 0)
        wordpiece_set_google(v, (size_t)r->google_limit);
}

bool
vocab_set_family(struct vocab *v, const char *name, struct err *err)
{
    const struct family *r = family_named(name);
    char list[160] = "";

    if (r) {
        v->family = r->name;
        v->characters = r->characters && v->wordpiece;
        use_family(v, r);
        return true;
    }
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        strcat(list, i ? ", " : "");
        strcat(list, families[i].name);
    }
    return err_set(err, ERR_USAGE,
                   "there is no profile \"%.40s\" (there are %s)", name, list);
}

static int
named(const struct vocab *v, const char *s)
{
    return s ? vocab_lookup(v, s) : -1;
}

static bool
from_config(struct vocab *v, struct err *err)
{
    struct tok_config *c = &v->config;
    struct profile *p = &v->profile;
    const struct {
        const char *what, *name;
        int *to;
    } row[] = {
        { "begin", c->begin, &p->begin },
        { "newline", c->newline, &p->newline },
        { "end", c->end, &p->end },
    };

    snprintf(p->name, sizeof p->name, "jielong");
    for (size_t i = 0; i < 3; i++) {
        *row[i].to = named(v, row[i].name);
        if (row[i].name && *row[i].to < 0)
            return err_set(err, ERR_MODEL,
                           "tokenizer_config.json: jielong.%s "
                           "names \"%.40s\", which the vocabulary does not "
                           "have",
                           row[i].what, row[i].name);
    }
    p->head_always = c->head_always == 1;
    p->soft = c->soft != 0;
    return true;
}

static void
from_family(struct vocab *v, const struct facts *f)
{
    struct profile *p = &v->profile;

    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        const struct family *r = &families[i];

        if (v->family ? strcmp(v->family, r->name) != 0 : !r->fits(f))
            continue;
        snprintf(p->name, sizeof p->name, "%s", r->name);
        p->begin = named(v, r->begin);
        p->newline = named(v, r->newline);
        p->end = named(v, r->end);
        p->head_always = r->head_always;
        p->soft = r->soft;
        p->characters = r->characters && v->wordpiece;
        use_family(v, r);
        return;
    }
    snprintf(p->name, sizeof p->name, "config");
    p->begin = f->bos >= 0 ? f->bos : v->bos;
    p->end = f->eos >= 0 ? f->eos : v->eos;
}

/* --- banned and exempt --- */

static bool
is_banned(const struct vocab *v, int id)
{
    static const char *const never[] = { "<S>", "<T>", "[speaker1]",
                                         "[speaker2]", NULL };
    const struct profile *p = &v->profile;
    const struct family *family = family_named(p->name);

    if (id == p->newline || id == p->end)
        return false;
    if (id == 0 && family && family->never_zero)
        return true;
    if ((size_t)id >= v->n || v->token[id].flags & (TOKEN_HOLE | TOKEN_SPECIAL |
                                                    TOKEN_UNUSED | TOKEN_BLANK))
        return true;
    for (size_t i = 0; never[i] && !v->bpe; i++)
        if (has_text(v, id, never[i]))
            return true;
    return false;
}

static void
make_ban(struct vocab *v, int n_rows)
{
    struct tok_ids ids = { 0 };

    for (int id = 0; id < n_rows; id++)
        if (is_banned(v, id))
            tok_ids_add(&ids, id);
    free(v->ban);
    v->ban = ids.v;
    v->profile.ban = ids.v;
    v->profile.n_ban = ids.n;
}

/* Only punctuation, digits and white space, or one of the common. */
static bool
is_exempt(const struct vocab *v, int id)
{
    size_t len, n = 0;
    const char *s = vocab_text(v, id, &len);
    uint32_t cp;
    bool signs = true;

    if (v->token[id].flags & (TOKEN_HOLE | TOKEN_SPECIAL | TOKEN_UNUSED))
        return false;
    if (v->wordpiece && len > v->wp.prefix_len &&
        memcmp(s, v->wp.prefix, v->wp.prefix_len) == 0) {
        s += v->wp.prefix_len;
        len -= v->wp.prefix_len;
    } else if (v->bpe && len > 1 && s[0] == ' ') {
        s++;
        len--;
    }
    for (size_t i = 0; i < len && signs; i += n) {
        n = uni_decode(s + i, len - i, &cp);
        signs = uni_is_punctuation(cp) || uni_is_number(cp) ||
                uni_is_white(cp) || (cp < 0x80 && !uni_is_letter(cp));
    }
    if (signs)
        return len > 0;
    return len == 3 && memmem(common, sizeof common - 1, s, 3) != NULL;
}

static void
make_exempt(struct vocab *v)
{
    free(v->exempt);
    v->exempt = xcalloc(v->n + 1, sizeof *v->exempt);
    for (size_t i = 0; i < v->n; i++)
        v->exempt[i] = (int)i == v->profile.newline || is_exempt(v, (int)i);
}

/* --- choosing --- */

/* Added tokens beyond the matrix cannot be fed: forget them. */
static void
drop_beyond(struct vocab *v, size_t n_rows)
{
    int *special[] = { &v->unk,  &v->pad, &v->cls, &v->sep,
                       &v->mask, &v->bos, &v->eos };
    size_t kept = 0;

    if (v->n <= n_rows)
        return;
    for (size_t i = 0; i < v->n_added; i++) {
        if ((size_t)v->added[i].id < n_rows)
            v->added[kept++] = v->added[i];
        else
            free(v->added[i].text);
    }
    v->n_added = kept;
    for (size_t i = 0; i < sizeof special / sizeof *special; i++)
        if (*special[i] >= (int)n_rows)
            *special[i] = -1;
    vocab_add_note(v,
                   "%zu added tokens have no row in the model and are "
                   "ignored",
                   v->n - n_rows);
    v->n = n_rows;
}

bool
vocab_choose_profile(struct vocab *v, const char *network, int n_rows, int bos,
                     int eos, struct err *err)
{
    struct profile *p = &v->profile;
    struct facts f = { .v = v, .network = network ? network : "" };

    if (n_rows < 1 || v->n_base > (size_t)n_rows)
        return err_set(err, ERR_MODEL,
                       "the vocabulary has %zu tokens but the "
                       "model only %d rows: it does not belong to this model",
                       v->n_base, n_rows);
    drop_beyond(v, (size_t)n_rows);
    f.bos = bos >= 0 && (size_t)bos < v->n ? bos : -1;
    f.eos = eos >= 0 && (size_t)eos < v->n ? eos : -1;
    *p = (struct profile){ .begin = -1, .newline = -1, .end = -1 };
    p->newline_text = v->bpe != NULL;
    if (v->family || !v->config.has_profile)
        from_family(v, &f);
    else if (!from_config(v, err))
        return false;
    if (v->wordpiece && !v->wp.lower) {
        p->lower = v->config.force_lower >= 0 ? v->config.force_lower == 1
                                              : !wordpiece_has_capitals(v);
        if (p->lower && v->config.force_lower < 0)
            vocab_add_note(v, "the vocabulary has no capital letters: what "
                              "the model reads is lower-cased, although "
                              "tokenizer_config.json says otherwise");
    }
    make_ban(v, n_rows);
    make_exempt(v);
    return true;
}

const struct profile *
vocab_profile(const struct vocab *v)
{
    return &v->profile;
}

const bool *
vocab_exempt(const struct vocab *v)
{
    return v->exempt;
}

/* --- prompts --- */

/* Stand-ins for characters that a vocabulary may lack. */
static const struct {
    uint32_t cp;
    char to[4];
} stand_in[] = {
    { 0x2018, "'" },  { 0x2019, "'" },  { 0x201A, "'" },   { 0x2013, "-" },
    { 0x2014, "-" },  { 0x2015, "-" },  { 0x201C, "\"" },  { 0x201D, "\"" },
    { 0x201E, "\"" }, { 0x201F, "\"" }, { 0x2026, "..." },
};

static bool
covered(const struct vocab *v, const char *s, size_t len)
{
    return vocab_find(v, s, len) >= 0;
}

/* The replacement of a character in buf (NUL-terminated), or NULL. */
static const char *
stand_in_for(uint32_t cp, char buf[4])
{
    if (cp >= 0xFF01 && cp <= 0xFF5E) {
        buf[0] = (char)(cp - 0xFF01 + '!');
        buf[1] = '\0';
        return buf;
    }
    for (size_t i = 0; i < sizeof stand_in / sizeof *stand_in; i++)
        if (stand_in[i].cp == cp)
            return stand_in[i].to;
    return NULL;
}

/* text with stand-ins; never longer than text. Given (free). */
static char *
substitute(const struct vocab *v, const char *text, size_t len, size_t *n)
{
    char *out = xmalloc(len + 1), buf[4];
    uint32_t cp, last = 0;

    *n = 0;
    for (size_t i = 0, k; i < len; i += k) {
        const char *to = NULL;

        k = uni_decode(text + i, len - i, &cp);
        if (cp >= 0x2013 && !uni_is_han(cp) && !covered(v, text + i, k))
            to = stand_in_for(cp, buf);
        if (to && covered(v, to, 1)) {
            bool second_dash = to[0] == '-' && cp == last; /* —— is one */
            size_t m = second_dash ? 0 : strlen(to);

            memcpy(out + *n, to, m);
            *n += m;
            last = second_dash ? 0 : cp;
        } else {
            memcpy(out + *n, text + i, k);
            *n += k;
            last = 0;
        }
    }
    return out;
}

/* White space goes, and one space comes between all characters: so
 * CDial-GPT was trained, whose vocabulary has no pieces of words. */
char *
vocab_spaced_out(const char *text, size_t len, size_t *n)
{
    char *out = xmalloc(2 * len + 1);
    uint32_t cp;

    *n = 0;
    for (size_t i = 0, k; i < len; i += k) {
        k = uni_decode(text + i, len - i, &cp);
        if (uni_is_white(cp))
            continue;
        if (*n > 0)
            out[(*n)++] = ' ';
        memcpy(out + *n, text + i, k);
        *n += k;
    }
    return out;
}

static bool
encode_paragraph(const struct vocab *v, const char *s, size_t len,
                 struct tok_ids *out, struct err *err)
{
    int flags = v->profile.lower ? VOCAB_LOWER : 0;
    char *own = NULL, *spaced = NULL;
    bool ok;

    if (len == 0)
        return true;
    if (v->profile.soft)
        s = own = substitute(v, s, len, &len);
    if (v->profile.characters)
        s = spaced = vocab_spaced_out(s, len, &len);
    ok = v->ops->encode(v, s, len, flags, out, err);
    free(spaced);
    free(own);
    return ok;
}

bool
vocab_leaves_space(const struct vocab *v, const char *text, size_t len)
{
    uint32_t cp;
    size_t p;

    if (!v->bpe || len < 2 || text[len - 1] != ' ')
        return false;
    p = uni_prev(text, len - 1);
    uni_decode(text + p, len - 1 - p, &cp);
    return !uni_is_white(cp);
}

bool
vocab_encode_prompt(const struct vocab *v, const char *text, size_t len,
                    struct tok_ids *out, struct err *err)
{
    const struct profile *p = &v->profile;

    if (v->bpe) {
        /* add_prefix_space is for the head of a text, not for each span */
        bool middle = out->n > 1 || (out->n == 1 && out->v[0] != p->begin);

        len -= vocab_leaves_space(v, text, len);
        return v->ops->encode(v, text, len, middle ? VOCAB_MIDDLE : 0, out,
                              err);
    }
    if (p->newline < 0) /* the basic tokenizer drops line breaks */
        return encode_paragraph(v, text, len, out, err);
    for (size_t i = 0; i < len;) {
        const char *nl = memchr(text + i, '\n', len - i);
        size_t end = nl ? (size_t)(nl - text) : len;

        if (!encode_paragraph(v, text + i, end - i, out, err))
            return false;
        if (nl)
            tok_ids_add(out, p->newline);
        i = end + 1;
    }
    return true;
}
