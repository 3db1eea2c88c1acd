/* src/gitblob.h  The id that git gives a file's content: SHA-1 over
 * "blob SIZE", a NUL and the bytes. Hugging Face tells it for small files, for
 * which it tells no SHA-256; it is checked beside our own SHA-256, never in
 * place of it. One owner. */
#ifndef JIELONG_GITBLOB_H
#define JIELONG_GITBLOB_H

#include <stddef.h>
#include <stdint.h>

struct gitblob;

struct gitblob *gitblob_new(uint64_t size);
void gitblob_add(struct gitblob *g, const void *p, size_t len);
/* 40 lower-case hex digits and NUL; frees g. */
void gitblob_finish(struct gitblob *g, char hex[41]);

#endif
