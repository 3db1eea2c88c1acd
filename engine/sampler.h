/* engine/sampler.h  The chain from logits to a token.
 *
 * Definitions, order and numerics: doc/sampling.md (chain in f32, sums in
 * f64, sorted by logit descending then id ascending, at least one candidate
 * always kept). A sampler belongs to one thread. The same function serves the
 * draw and the lens: it says for each of the top candidates what it was worth
 * before and after the knobs and which knob cut it.
 */
#ifndef JIELONG_SAMPLER_H
#define JIELONG_SAMPLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/err.h"
#include "engine/knobs.h"

struct sampler;

struct candidate {
    int id;
    float lp; /* natural log of the plain softmax: before the knobs */
    float q;  /* natural log after the knobs; -INFINITY when cut */
    enum knob_stage cut; /* STAGE_NONE: kept */
};

struct sampler *sampler_new(int n_vocab);
void sampler_free(struct sampler *s);

/* Ids never drawn (copied, added to those banned before), and ids exempt from
 * the penalties (n bools, the first n ids; borrowed for the sampler's life;
 * NULL: none). Ids out of range are ignored everywhere. */
void sampler_ban(struct sampler *s, const int *ids, size_t n);
void sampler_exempt(struct sampler *s, const bool *exempt, size_t n);
/* Logit bias: n pairs, copied; replaces all earlier bias. -INFINITY bans. */
void sampler_bias(struct sampler *s, const int *ids, const float *add,
                  size_t n);
/* Adds to the bias: `add` for the last of these n ids (copied) where the ones
 * before it are what was written last. So a word of several tokens can be
 * banned without banning its characters. */
void sampler_bias_phrase(struct sampler *s, const int *ids, size_t n,
                         float add);

struct draw {
    uint64_t seed;
    uint32_t i, run, br; /* doc/sampling.md */
};
struct drawn {
    int id;
    float lp, q;
    double u;   /* where the die fell, [0, 1) */
    int n_kept; /* candidates left after the chain */
};

/* logits[n_vocab] are only read. history: the tokens before (prompt and
 * run), the last ones count. extra_ban: one more id for this token (EOS
 * before the first sentence), -1 none. Fails (ERR_FAILED) when no finite
 * logit is left: the model produced no distribution. */
bool sampler_draw(struct sampler *s, const float *logits, const struct knobs *k,
                  const int *history, size_t n_history, int extra_ban,
                  const struct draw *at, struct drawn *out, struct err *err);

/* Runs the chain without drawing; fills the n likeliest (by lp). Returns how
 * many; entropy in bits and the kept count go to *entropy and *n_kept. */
size_t sampler_peek(struct sampler *s, const float *logits,
                    const struct knobs *k, const int *history, size_t n_history,
                    int extra_ban, struct candidate *out, size_t n,
                    double *entropy, int *n_kept);

#endif
