/* engine/base/sha256.h  SHA-256 over pieces (libcrypto behind it). One owner. */
#ifndef JIELONG_SHA256_H
#define JIELONG_SHA256_H

#include <stddef.h>

struct sha256;

struct sha256 *sha256_new(void);
void sha256_add(struct sha256 *s, const void *p, size_t len);
/* 64 lower-case hex digits and NUL; frees s. */
void sha256_finish(struct sha256 *s, char hex[65]);

#endif
