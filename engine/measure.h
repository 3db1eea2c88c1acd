/* engine/measure.h  How fast a model runs here. A door of the engine.
 *
 * Every round measures the machine and the program one after the other: on a
 * machine with neighbours a share is worth something only inside its round.
 * On the calling thread, which pool threads help; nothing else should run.
 */
#ifndef JIELONG_MEASURE_H
#define JIELONG_MEASURE_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/base/err.h"

#define MEASURE_ROUNDS_MAX 100

enum measure_what {
    MEASURE_READ,    /* GB/s of summing up as many bytes as the weights have:
                      * the read limit of the memory */
    MEASURE_DECODE,  /* tokens/s from position 20 on */
    MEASURE_LATE,    /* tokens/s from position 900 (or P - 100) on */
    MEASURE_SHORT,   /* tokens/s of a prompt's 16 tokens */
    MEASURE_PREFILL, /* tokens/s of 512 tokens (or P) */
    MEASURE_LANES3,  /* tokens/s of three samples of one prompt together, */
    MEASURE_LANES10, /* and of ten */
    MEASURE_COUNT
};

/* "read", "decode", "late", "short", "prefill", "lanes3", "lanes10" */
const char *measure_name(enum measure_what w);
/* "GB/s", "tok/s" */
const char *measure_unit(enum measure_what w);
/* The set of a list of names with commas between, as measure_options.set;
 * false: not such names, or none. */
bool measure_parse(const char *list, unsigned *set);

struct measure_figure { /* over the rounds; 0 where it was not measured */
    double median, least, most;
};

struct measure_result {
    struct measure_figure figure[MEASURE_COUNT];
    /* Bytes read a second (weights, and keys and values up to the position) as
     * a share of the read limit just before and after. Not of prefill and
     * lanes, nor where READ was not asked for. */
    struct measure_figure share[MEASURE_COUNT];
    int rounds;
    double first_s;       /* a fresh session, and 20 tokens to logits */
    size_t read_bytes;    /* of the weights, by one token */
    size_t kv_bytes;      /* at the end of the model's positions */
    size_t session_bytes; /* of all that the session holds */
    size_t peak_bytes;    /* of the process, before lanes */
};

struct model;
struct measure_options {
    int n_threads; /* 0: as many as the machine has */
    int n_rounds;  /* 1 .. MEASURE_ROUNDS_MAX */
    unsigned set;  /* 1 << measure_what, or 0: all */
    /* Looked at between parts; true: stop (ERR_CANCELLED). May be NULL. */
    bool (*stop)(void *ud);
    void *ud;
};
/* Some seconds for each round, on a session of its own. false and err:
 * ERR_CANCELLED, ERR_MEMORY, or ERR_MODEL for a model of less than 128
 * positions; *out is then worth nothing. */
bool measure_model(const struct model *m, const struct measure_options *opt,
                   struct measure_result *out, struct err *err);

#endif
