/* engine/load/gguf_write.c  See gguf_write.h. */
#include "engine/load/gguf_write.h"

#include <string.h>

#include "engine/base/file.h"
#include "engine/base/mem.h"

#define ALIGNMENT \
    32 /* what the format takes when general.alignment is unsaid */

enum { /* value types of the file */
       V_U32 = 4,
       V_I32 = 5,
       V_F32 = 6,
       V_BOOL = 7,
       V_STRING = 8,
       V_ARRAY = 9
};

struct bytes {
    char *p;
    size_t len, cap;
};

struct gguf_out {
    struct bytes kv, tensors;
    uint64_t n_kv, n_tensors;
    uint64_t data;  /* bytes of all tensors so far, with the gaps */
    uint64_t *size; /* of each, without */
    size_t size_cap;
    size_t at;     /* tensor that is being written */
    uint64_t done; /* bytes of it */
};

struct gguf_out *
gguf_out_new(void)
{
    return xcalloc(1, sizeof(struct gguf_out));
}

void
gguf_out_free(struct gguf_out *o)
{
    if (!o)
        return;
    free(o->kv.p);
    free(o->tensors.p);
    free(o->size);
    free(o);
}

/* --- bytes, little-endian --- */

static void
add(struct bytes *b, const void *p, size_t len)
{
    if (b->cap - b->len < len)
        b->p = mem_grow(b->p, &b->cap, b->len + len, 1);
    memcpy(b->p + b->len, p, len);
    b->len += len;
}

static void
add_number(struct bytes *b, uint64_t v, size_t bytes)
{
    unsigned char c[8];

    for (size_t i = 0; i < bytes; i++)
        c[i] = (unsigned char)(v >> 8 * i);
    add(b, c, bytes);
}

static void
add_text(struct bytes *b, const char *s, size_t len)
{
    add_number(b, len, 8);
    add(b, s, len);
}

/* --- metadata --- */

static void
add_key(struct gguf_out *o, const char *key, uint32_t type)
{
    add_text(&o->kv, key, strlen(key));
    add_number(&o->kv, type, 4);
    o->n_kv++;
}

void
gguf_put_u32(struct gguf_out *o, const char *key, uint32_t v)
{
    add_key(o, key, V_U32);
    add_number(&o->kv, v, 4);
}

void
gguf_put_f32(struct gguf_out *o, const char *key, float v)
{
    uint32_t u;

    memcpy(&u, &v, sizeof u);
    add_key(o, key, V_F32);
    add_number(&o->kv, u, 4);
}

void
gguf_put_bool(struct gguf_out *o, const char *key, bool v)
{
    add_key(o, key, V_BOOL);
    add_number(&o->kv, v, 1);
}

void
gguf_put_text(struct gguf_out *o, const char *key, const char *s)
{
    add_key(o, key, V_STRING);
    add_text(&o->kv, s, strlen(s));
}

static void
add_list(struct gguf_out *o, const char *key, uint32_t type, size_t n)
{
    add_key(o, key, V_ARRAY);
    add_number(&o->kv, type, 4);
    add_number(&o->kv, n, 8);
}

void
gguf_put_texts(struct gguf_out *o, const char *key, size_t n)
{
    add_list(o, key, V_STRING, n);
}

void
gguf_item_text(struct gguf_out *o, const char *s, size_t len)
{
    add_text(&o->kv, s, len);
}

void
gguf_put_ints(struct gguf_out *o, const char *key, size_t n)
{
    add_list(o, key, V_I32, n);
}

void
gguf_item_int(struct gguf_out *o, int32_t v)
{
    add_number(&o->kv, (uint32_t)v, 4);
}

/* --- tensors --- */

size_t
gguf_row_bytes(enum ggml_type type, size_t n)
{
    const struct quant_row *q = quant_find(type);

    if (q)
        return n / q->elems * q->bytes;
    return n * (type == GGML_F32 ? 4 : 2);
}

static uint64_t
aligned(uint64_t n)
{
    return (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

void
gguf_put_tensor(struct gguf_out *o, const char *name, enum ggml_type type,
                size_t rows, size_t cols)
{
    struct bytes *b = &o->tensors;

    add_text(b, name, strlen(name));
    add_number(b, rows ? 2 : 1, 4);
    add_number(b, cols, 8); /* the fastest dimension stands first */
    if (rows)
        add_number(b, rows, 8);
    add_number(b, type, 4);
    add_number(b, o->data, 8);
    o->size = mem_grow(o->size, &o->size_cap, (size_t)o->n_tensors + 1,
                       sizeof *o->size);
    o->size[o->n_tensors] =
        (uint64_t)gguf_row_bytes(type, cols) * (rows ? rows : 1);
    o->data += aligned(o->size[o->n_tensors++]);
}

/* --- the file --- */

static uint64_t
head_bytes(const struct gguf_out *o)
{
    return 24 + (uint64_t)o->kv.len + o->tensors.len;
}

uint64_t
gguf_file_bytes(const struct gguf_out *o)
{
    return aligned(head_bytes(o)) + o->data;
}

static bool
write_zeros(int fd, uint64_t n)
{
    static const char zeros[ALIGNMENT];

    return file_write_all(fd, zeros, (size_t)n, NULL);
}

bool
gguf_write_head(struct gguf_out *o, int fd)
{
    uint64_t len = head_bytes(o);
    struct bytes b = { 0 };
    bool ok;

    add(&b, "GGUF", 4);
    add_number(&b, 3, 4);
    add_number(&b, o->n_tensors, 8);
    add_number(&b, o->n_kv, 8);
    ok = file_write_all(fd, b.p, b.len, NULL) &&
         file_write_all(fd, o->kv.p, o->kv.len, NULL) &&
         file_write_all(fd, o->tensors.p, o->tensors.len, NULL) &&
         write_zeros(fd, aligned(len) - len);
    free(b.p);
    return ok;
}

bool
gguf_write_data(struct gguf_out *o, int fd, const void *p, size_t len)
{
    uint64_t size = o->size[o->at];

    if (!file_write_all(fd, p, len, NULL))
        return false;
    o->done += len;
    if (o->done < size)
        return true;
    o->at++;
    o->done = 0;
    return write_zeros(fd, aligned(size) - size);
}
