/* engine/load/gguf_write.h  Writes a GGUF file, version 3 (docs/gguf.md of
 * ggml): metadata and tensors are told first, then the head is written, then
 * the tensors' bytes one after the other. Belongs to one thread. */
#ifndef JIELONG_GGUF_WRITE_H
#define JIELONG_GGUF_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/load/quant.h"

struct gguf_out;
struct gguf_out *gguf_out_new(void);
void gguf_out_free(struct gguf_out *o); /* NULL is allowed */

/* --- metadata; a key is told once --- */

void gguf_put_u32(struct gguf_out *o, const char *key, uint32_t v);
void gguf_put_f32(struct gguf_out *o, const char *key, float v);
void gguf_put_bool(struct gguf_out *o, const char *key, bool v);
void gguf_put_text(struct gguf_out *o, const char *key, const char *s);
/* A list: exactly n items of its kind follow. */
void gguf_put_texts(struct gguf_out *o, const char *key, size_t n);
void gguf_item_text(struct gguf_out *o, const char *s, size_t len);
void gguf_put_ints(struct gguf_out *o, const char *key, size_t n);
void gguf_item_int(struct gguf_out *o, int32_t v);

/* --- tensors --- */

/* Bytes of a row of n numbers in a type: F32 F16 BF16 Q8_0 Q4_0, for the last
 * two n is a multiple of 32. */
size_t gguf_row_bytes(enum ggml_type type, size_t n);
/* rows x cols row-major, or a vector when rows is 0. */
void gguf_put_tensor(struct gguf_out *o, const char *name, enum ggml_type type,
                     size_t rows, size_t cols);

/* --- the file --- */

uint64_t gguf_file_bytes(const struct gguf_out *o); /* the whole of it */
/* The head, once, to the beginning of fd. false: errno. */
bool gguf_write_head(struct gguf_out *o, int fd);
/* The next bytes of the tensor that is under way: tensors come in the order
 * they were told in, each whole. What fills up to the next one is written
 * with the last of them. false: errno. */
bool gguf_write_data(struct gguf_out *o, int fd, const void *p, size_t len);

#endif
