/* engine/writer.h  One request on a loaded model: read, look, write on.
 *
 * Knows nothing of threads: what it has to say goes to a host, and between
 * two tokens it asks the host for new knobs. Belongs to one thread.
 */
#ifndef JIELONG_WRITER_H
#define JIELONG_WRITER_H

#include <stdatomic.h>

#include "engine/gen.h"

struct writer;

/* A request that owns what it points to. */
struct job {
    struct gen_request req; /* spans and all they point to are the job's */
    uint32_t serial;
    void *memory; /* one block behind the spans */
    struct knobs_turn *turns;
};
/* A copy; ends in job_free(), for which NULL is allowed. */
struct job *job_new(const struct gen_request *req, uint32_t serial);
void job_free(struct job *j);
/* Lanes of the request, 1 .. GEN_LANES_MAX. */
int job_lanes(const struct job *j);

struct writer_host {
    void *ud;
    /* Takes the event (moved). `droppable`: progress that may be lost. */
    void (*post)(void *ud, const struct gen_event *ev, bool droppable);
    /* true: *k are new knobs for the request in hand, and *serial is what
     * KNOBS repeats. */
    bool (*knobs)(void *ud, struct knobs *k, uint32_t *serial);
    /* true: all lanes of the request in hand but *lane shall end. */
    bool (*keep)(void *ud, int *lane);
    const atomic_bool *cancel; /* end the request in hand */
};

/* m and host are borrowed till writer_free(). n_threads 0: as many as the
 * machine has. NULL and err without a vocabulary (ERR_MODEL) or memory
 * (ERR_MEMORY). */
struct writer *writer_new(const struct model *m, int n_threads,
                          const struct writer_host *host, struct err *err);
void writer_free(struct writer *w);
/* Serves the request to the END of its last lane (posted; before it FAILED if
 * it failed). */
void writer_do(struct writer *w, const struct job *j);
/* Tokens that the network ran over to stand at the last prompt. */
size_t writer_last_run(const struct writer *w);
/* And in all since writer_new(). */
uint64_t writer_rows(const struct writer *w);

#endif
