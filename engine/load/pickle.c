/* engine/load/pickle.c  The stack machine: opcodes are rows of a table.
 *
 * What torch.save writes needs about forty opcodes; any other is refused by
 * number and offset. The limits are far above what the largest GPT-2
 * checkpoint needs (about 12,000 values) and keep the memory of a hostile
 * pickle below its own size plus a few megabytes.
 */
#include "engine/load/pickle.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"

#define VALUES_MAX 200000
#define STACK_MAX  200000
#define MEMO_MAX   200000
#define CELLS_MAX  200000
#define TUPLE_MAX  64
#define STR_MAX    65536

enum global {
    G_ORDERED_DICT,
    G_REBUILD_TENSOR_V2,
    G_REBUILD_TENSOR,
    G_REBUILD_PARAMETER,
    G_PARAMETER,
    G_SIZE,
    G_DEVICE,
    G_DTYPE,
    G_STORAGE /* + enum dtype */
};

static const struct {
    const char *name;
    uint8_t global;
} globals[] = {
    { "collections.OrderedDict", G_ORDERED_DICT },
    { "torch._utils._rebuild_tensor_v2", G_REBUILD_TENSOR_V2 },
    { "torch._utils._rebuild_tensor", G_REBUILD_TENSOR },
    { "torch._utils._rebuild_parameter", G_REBUILD_PARAMETER },
    { "torch._utils._rebuild_parameter_with_state", G_REBUILD_PARAMETER },
    { "torch.nn.parameter.Parameter", G_PARAMETER },
    { "torch.Size", G_SIZE },
    { "torch.device", G_DEVICE },
    { "torch.float32", G_DTYPE },
    { "torch.float16", G_DTYPE },
    { "torch.bfloat16", G_DTYPE },
    { "torch.float64", G_DTYPE },
    { "torch.int64", G_DTYPE },
    { "torch.int32", G_DTYPE },
    { "torch.uint8", G_DTYPE },
    { "torch.bool", G_DTYPE },
};

static const struct {
    const char *name;
    enum dtype dtype;
} storages[] = {
    { "FloatStorage", DT_F32 },     { "HalfStorage", DT_F16 },
    { "BFloat16Storage", DT_BF16 }, { "DoubleStorage", DT_F64 },
    { "LongStorage", DT_I64 },      { "IntStorage", DT_I32 },
    { "ShortStorage", DT_I16 },     { "CharStorage", DT_I8 },
    { "ByteStorage", DT_U8 },       { "BoolStorage", DT_BOOL },
};

/* What one run of the machine carries about. */
struct run {
    struct pickle *p;
    struct rd *r;
    const char *name;
    struct err *err;
    size_t op_at; /* offset of the opcode at hand */
    bool stop;
};

void
pickle_init(struct pickle *p)
{
    memset(p, 0, sizeof *p);
}

void
pickle_free(struct pickle *p)
{
    free(p->value);
    free(p->item);
    free(p->cell);
    free(p->storage);
    free(p->tensor);
    free(p->stack);
    free(p->mark);
    free(p->memo);
    memset(p, 0, sizeof *p);
}

static bool
refuse(struct run *x, const char *what)
{
    err_set(x->err, ERR_MODEL, "%s: pickle, byte %zu: %s", x->name, x->op_at,
            what);
    return false;
}

#define GROW(p, field, max)                                              \
    ((p)->n_##field < (max) &&                                           \
     ((p)->n_##field < (p)->cap_##field ||                               \
      ((p)->field = mem_grow((p)->field, &(p)->cap_##field,              \
                             (p)->n_##field + 1, sizeof *(p)->field)) != \
          NULL))

static bool
push(struct run *x, uint32_t v)
{
    if (!GROW(x->p, stack, STACK_MAX))
        return refuse(x, "too many values at once");
    x->p->stack[x->p->n_stack++] = v;
    return true;
}

/* A new value, given as a literal; PICKLE_NONE when there are too many. */
static uint32_t
new_value(struct run *x, struct pickle_value v)
{
    if (!GROW(x->p, value, VALUES_MAX)) {
        refuse(x, "too many values for a weights file");
        return PICKLE_NONE;
    }
    x->p->value[x->p->n_value] = v;
    return (uint32_t)x->p->n_value++;
}

static bool
push_new(struct run *x, struct pickle_value v)
{
    uint32_t id = new_value(x, v);

    return id != PICKLE_NONE && push(x, id);
}

/* How many values stand above the last mark (or at all). */
static size_t
above_mark(const struct pickle *p)
{
    return p->n_stack - (p->n_mark ? p->mark[p->n_mark - 1] : 0);
}

static bool
pop(struct run *x, uint32_t *v)
{
    if (above_mark(x->p) == 0)
        return refuse(x, "takes a value where there is none");
    *v = x->p->stack[--x->p->n_stack];
    return true;
}

static bool
top(struct run *x, uint32_t *v)
{
    if (above_mark(x->p) == 0)
        return refuse(x, "takes a value where there is none");
    *v = x->p->stack[x->p->n_stack - 1];
    return true;
}

/* Takes the values above the last mark, and the mark: *first is their place
 * on the stack, which the caller reads before it pushes again. */
static bool
pop_mark(struct run *x, size_t *first, size_t *n)
{
    struct pickle *p = x->p;

    if (p->n_mark == 0)
        return refuse(x, "closes a group that was not opened");
    *first = p->mark[--p->n_mark];
    *n = p->n_stack - *first;
    p->n_stack = *first;
    return true;
}

static struct pickle_value *
val(struct run *x, uint32_t v)
{
    return &x->p->value[v];
}

/* The n values from place `first` of the stack on, which were popped. */
static bool
push_tuple(struct run *x, size_t first, size_t n)
{
    struct pickle *p = x->p;
    struct pickle_value t = { .type = PK_TUPLE,
                              .n = (uint32_t)n,
                              .first = (uint32_t)p->n_item };
    uint32_t copy[TUPLE_MAX];
    size_t i;

    if (n > TUPLE_MAX)
        return refuse(x, "a tuple of more than 64 values");
    if (n)
        memcpy(copy, p->stack + first, n * sizeof *copy);
    for (i = 0; i < n; i++) {
        if (!GROW(p, item, STACK_MAX))
            return refuse(x, "too many values for a weights file");
        p->item[p->n_item++] = copy[i];
    }
    return push_new(x, t);
}

static bool
append(struct run *x, uint32_t to, uint32_t key, uint32_t value)
{
    struct pickle *p = x->p;
    uint32_t c = (uint32_t)p->n_cell;

    if (!GROW(p, cell, CELLS_MAX))
        return refuse(x, "too many values for a weights file");
    p->cell[p->n_cell++] = (struct pickle_cell){ key, value, PICKLE_NONE };
    if (p->value[to].n++ == 0)
        p->value[to].first = c;
    else
        p->cell[p->value[to].last].next = c;
    p->value[to].last = c;
    return true;
}

static bool
set_item(struct run *x, uint32_t dict, uint32_t key, uint32_t value)
{
    uint8_t kt = val(x, key)->type;

    if (val(x, dict)->type != PK_DICT)
        return refuse(x, "sets an item of something that is no dict");
    if (kt != PK_STR && kt != PK_INT)
        return refuse(x, "a dict key that is neither text nor number");
    return append(x, dict, key, value);
}

static bool
as_u64(struct run *x, uint32_t v, uint64_t *out)
{
    const struct pickle_value *p = val(x, v);

    if (p->type != PK_INT || p->u.i < 0)
        return refuse(x, "a size or offset that is no whole number >= 0");
    *out = (uint64_t)p->u.i;
    return true;
}

/* --- globals --- */

static bool
push_global(struct run *x, const char *module, size_t mlen, const char *name,
            size_t nlen)
{
    char full[256];
    size_t i;
    struct pickle_value v = { .type = PK_OPAQUE };
    const char *last;

    if (mlen + nlen + 2 > sizeof full)
        return refuse(x, "a global with an endless name");
    memcpy(full, module, mlen);
    full[mlen] = '.';
    memcpy(full + mlen + 1, name, nlen);
    full[mlen + 1 + nlen] = '\0';
    if (memchr(full, '\0', mlen + nlen + 1))
        return refuse(x, "a global with a NUL in its name");
    for (i = 0; i < sizeof globals / sizeof *globals; i++)
        if (strcmp(full, globals[i].name) == 0) {
            v.type = PK_GLOBAL;
            v.global = globals[i].global;
            return push_new(x, v);
        }
    last = full + mlen + 1;
    if (strncmp(full, "torch.", mlen + 1) == 0 ||
        strncmp(full, "torch.cuda.", mlen + 1) == 0)
        for (i = 0; i < sizeof storages / sizeof *storages; i++)
            if (strcmp(last, storages[i].name) == 0) {
                v.type = PK_GLOBAL;
                v.global = (uint8_t)(G_STORAGE + storages[i].dtype);
                return push_new(x, v);
            }
    /* Carried about by name; whatever wants to use it names it. The bytes of
     * module and name are kept apart in the input, so keep the module. */
    v.u.s = module;
    v.n = (uint32_t)mlen;
    v.first = (uint32_t)nlen;
    v.last = (uint32_t)(name - module);
    return push_new(x, v);
}

static bool
refuse_global(struct run *x, uint32_t v)
{
    const struct pickle_value *g = val(x, v);

    if (g->type != PK_OPAQUE)
        return refuse(x, "calls something that is no known name");
    return err_set(x->err, ERR_MODEL,
                   "%s: this checkpoint wants to run `%.*s.%.*s` (pickle, byte "
                   "%zu); it is not a plain weights file",
                   x->name, (int)g->n, g->u.s, (int)g->first,
                   g->u.s + (int32_t)g->last, x->op_at);
}

static bool
sizes(struct run *x, uint32_t v, uint64_t out[LOAD_RANK_MAX], uint32_t *n)
{
    const struct pickle_value *t = val(x, v);
    uint32_t i;

    if (t->type != PK_TUPLE || t->n > LOAD_RANK_MAX)
        return refuse(x, "a shape that is no tuple of at most 8 numbers");
    for (i = 0; i < t->n; i++)
        if (!as_u64(x, x->p->item[t->first + i], &out[i]))
            return false;
    *n = t->n;
    return true;
}

/* _rebuild_tensor_v2(storage, offset, size, stride, ...) */
static bool
rebuild_tensor(struct run *x, const struct pickle_value *args)
{
    struct pickle *p = x->p;
    const uint32_t *a;
    struct pickle_tensor t = { 0 };
    struct pickle_value v = { .type = PK_TENSOR };
    uint32_t n_stride, i;
    uint64_t reach, step, numel;
    bool empty = false;

    if (args->n < 4)
        return refuse(x, "a tensor without its storage");
    a = p->item + args->first;
    if (val(x, a[0])->type != PK_STORAGE)
        return refuse(x, "a tensor without its storage");
    t.storage = (uint32_t)val(x, a[0])->u.i;
    if (!as_u64(x, a[1], &t.offset) || !sizes(x, a[2], t.dim, &t.rank) ||
        !sizes(x, a[3], t.stride, &n_stride))
        return false;
    if (n_stride != t.rank)
        return refuse(x, "a tensor with more sizes than strides");
    reach = t.offset;
    for (i = 0; i < t.rank; i++) {
        if (t.dim[i] == 0) {
            empty = true;
            continue;
        }
        if (__builtin_mul_overflow(t.dim[i] - 1, t.stride[i], &step) ||
            __builtin_add_overflow(reach, step, &reach))
            return refuse(x, "a tensor whose strides overflow");
    }
    numel = p->storage[t.storage].view_numel;
    if (!empty && reach >= numel)
        return refuse(x, "a tensor that reaches beyond its storage");
    if (!GROW(p, tensor, LOAD_TENSOR_MAX))
        return refuse(x, "more than 100000 tensors");
    v.u.i = (int64_t)p->n_tensor;
    p->tensor[p->n_tensor++] = t;
    return push_new(x, v);
}

static bool
reduce_dict(struct run *x, const struct pickle_value *args)
{
    struct pickle *p = x->p;
    uint32_t dict = new_value(x, (struct pickle_value){ .type = PK_DICT });
    const struct pickle_value *list, *pair;
    uint32_t c;

    if (dict == PICKLE_NONE)
        return false;
    if (args->n == 1) {
        list = val(x, p->item[args->first]);
        if (list->type != PK_LIST)
            return refuse(x, "an OrderedDict made from something odd");
        for (c = list->n ? list->first : PICKLE_NONE; c != PICKLE_NONE;
             c = p->cell[c].next) {
            pair = val(x, p->cell[c].value);
            if ((pair->type != PK_TUPLE && pair->type != PK_LIST) ||
                pair->n != 2)
                return refuse(x, "an OrderedDict made from something odd");
            if (pair->type == PK_TUPLE) {
                if (!set_item(x, dict, p->item[pair->first],
                              p->item[pair->first + 1]))
                    return false;
            } else if (!set_item(x, dict, p->cell[pair->first].value,
                                 p->cell[pair->last].value)) {
                return false;
            }
        }
    } else if (args->n != 0) {
        return refuse(x, "an OrderedDict made from something odd");
    }
    return push(x, dict);
}

static bool
op_reduce(struct run *x, int op)
{
    uint32_t fn, args, v;
    struct pickle_value a;

    if (!pop(x, &args) || !pop(x, &fn))
        return false;
    if (val(x, fn)->type != PK_GLOBAL)
        return refuse_global(x, fn);
    a = *val(x, args);
    if (a.type != PK_TUPLE)
        return refuse(x, "a call without a tuple of arguments");
    switch (val(x, fn)->global) {
    case G_ORDERED_DICT: return reduce_dict(x, &a);
    case G_REBUILD_TENSOR:
    case G_REBUILD_TENSOR_V2: return rebuild_tensor(x, &a);
    case G_REBUILD_PARAMETER:
    case G_PARAMETER:
        if (a.n < 1)
            return refuse(x, "a parameter without its tensor");
        v = x->p->item[a.first];
        if (val(x, v)->type != PK_TENSOR)
            return refuse(x, "a parameter without its tensor");
        return push(x, v);
    case G_SIZE:
        if (a.n != 1)
            return refuse(x, "a torch.Size made from something odd");
        v = x->p->item[a.first];
        if (val(x, v)->type != PK_TUPLE)
            return refuse(x, "a torch.Size made from something odd");
        return push(x, v);
    case G_DEVICE: return push_new(x, (struct pickle_value){ .type = PK_NONE });
    default: return refuse(x, "calls a name that is data");
    }
}

/* Attributes of a dict or tensor (state_dict()'s _metadata): dropped. */
static bool
op_build(struct run *x, int op)
{
    uint32_t state, target;
    uint8_t t, s;

    if (!pop(x, &state) || !top(x, &target))
        return false;
    t = val(x, target)->type;
    s = val(x, state)->type;
    if (t == PK_DICT && (s == PK_DICT || s == PK_NONE))
        return true;
    if (t == PK_TENSOR && (s == PK_DICT || s == PK_NONE))
        return true;
    if (t == PK_OPAQUE)
        return refuse_global(x, target);
    return refuse(x, "gives state to something that has none");
}

/* ('storage', type, key, location, numel [, view]) */
static bool
op_persid(struct run *x, int op)
{
    struct pickle *p = x->p;
    uint32_t id;
    const struct pickle_value *t, *type, *key, *view;
    const uint32_t *a;
    struct pickle_storage s = { 0 };
    struct pickle_value v = { .type = PK_STORAGE };
    uint64_t end;

    if (!pop(x, &id))
        return false;
    t = val(x, id);
    if (t->type != PK_TUPLE || t->n < 5 || t->n > 6)
        return refuse(x, "a storage that is not described as torch does it");
    a = p->item + t->first;
    if (!pickle_is_str(p, a[0], "storage"))
        return refuse(x, "refers to something that is no storage");
    type = val(x, a[1]);
    key = val(x, a[2]);
    if (type->type != PK_GLOBAL || type->global < G_STORAGE)
        return type->type == PK_OPAQUE
                   ? refuse_global(x, a[1])
                   : refuse(x, "a storage of no known type");
    if (key->type != PK_STR)
        return refuse(x, "a storage whose key is no text");
    s.dtype = (enum dtype)(type->global - G_STORAGE);
    s.key = key->u.s;
    s.key_len = key->n;
    if (!as_u64(x, a[4], &s.numel))
        return false;
    s.view_numel = s.numel;
    if (t->n == 6 && val(x, a[5])->type != PK_NONE) {
        view = val(x, a[5]);
        if (view->type != PK_TUPLE || view->n != 3 ||
            !as_u64(x, p->item[view->first + 1], &s.view) ||
            !as_u64(x, p->item[view->first + 2], &s.view_numel))
            return refuse(x, "a view that is not described as torch does it");
        if (__builtin_add_overflow(s.view, s.view_numel, &end) || end > s.numel)
            return refuse(x, "a view that reaches beyond its storage");
    }
    if (!GROW(p, storage, LOAD_TENSOR_MAX))
        return refuse(x, "more than 100000 storages");
    v.u.i = (int64_t)p->n_storage;
    p->storage[p->n_storage++] = s;
    return push_new(x, v);
}

/* --- the other opcodes --- */

static bool
op_proto(struct run *x, int op)
{
    if (rd_u8(x->r) > 5)
        return refuse(x, "a pickle protocol above 5");
    return true;
}

static bool
op_frame(struct run *x, int op)
{
    if (rd_u64(x->r) > rd_left(x->r))
        return refuse(x, "a frame longer than the file");
    return true;
}

static bool
op_mark(struct run *x, int op)
{
    if (!GROW(x->p, mark, STACK_MAX))
        return refuse(x, "too many groups at once");
    x->p->mark[x->p->n_mark++] = (uint32_t)x->p->n_stack;
    return true;
}

static bool
op_stop(struct run *x, int op)
{
    if (x->p->n_mark != 0 || x->p->n_stack != 1)
        return refuse(x, "ends with more or less than one value");
    x->stop = true;
    return true;
}

static bool
op_pop(struct run *x, int op)
{
    uint32_t v;

    return pop(x, &v);
}

static bool
op_dup(struct run *x, int op)
{
    uint32_t v;

    return top(x, &v) && push(x, v);
}

static bool
op_const(struct run *x, int op)
{
    struct pickle_value v = { .type = PK_NONE };

    if (op != 'N') {
        v.type = PK_BOOL;
        v.u.i = op == 0x88;
    }
    return push_new(x, v);
}

static bool
op_int(struct run *x, int op)
{
    struct pickle_value v = { .type = PK_INT };
    uint32_t n, i;
    const unsigned char *b;
    uint64_t u = 0;

    switch (op) {
    case 'K': v.u.i = rd_u8(x->r); break;
    case 'M': v.u.i = rd_u16(x->r); break;
    case 'J': v.u.i = (int32_t)rd_u32(x->r); break;
    default: /* LONG1, LONG4: two's complement */
        n = op == 0x8a ? rd_u8(x->r) : rd_u32(x->r);
        if (n > 8)
            return refuse(x, "a number of more than 64 bits");
        b = rd_bytes(x->r, n);
        if (!b)
            break;
        for (i = 0; i < n; i++)
            u |= (uint64_t)b[i] << (8 * i);
        if (n > 0 && n < 8 && (b[n - 1] & 0x80))
            u |= ~(uint64_t)0 << (8 * n);
        v.u.i = (int64_t)u;
    }
    return push_new(x, v);
}

static bool
op_float(struct run *x, int op)
{
    struct pickle_value v = { .type = PK_FLOAT };
    uint64_t u = __builtin_bswap64(rd_u64(x->r));

    memcpy(&v.u.d, &u, sizeof u);
    return push_new(x, v);
}

static bool
op_str(struct run *x, int op)
{
    struct pickle_value v = { .type = PK_STR };
    uint64_t n;

    n = op == 0x8c || op == 'U' || op == 'C' ? rd_u8(x->r) : rd_u32(x->r);
    if (n > STR_MAX)
        return refuse(x, "a text of more than 64 KiB");
    v.n = (uint32_t)n;
    v.u.s = (const char *)rd_bytes(x->r, (size_t)n);
    if (!v.u.s)
        v.n = 0;
    return push_new(x, v);
}

static bool
op_tuple(struct run *x, int op)
{
    size_t first, n;

    switch (op) {
    case ')': return push_tuple(x, 0, 0);
    case 't':
        if (!pop_mark(x, &first, &n))
            return false;
        break;
    default:
        n = (size_t)(op - 0x84);
        if (above_mark(x->p) < n)
            return refuse(x, "takes a value where there is none");
        first = x->p->n_stack -= n;
    }
    return push_tuple(x, first, n);
}

static bool
op_empty(struct run *x, int op)
{
    return push_new(x, (struct pickle_value){ .type = op == ']' ? PK_LIST
                                                                : PK_DICT });
}

static bool
op_append(struct run *x, int op)
{
    uint32_t list, v;
    size_t first, n, i;

    if (op == 'a') {
        if (!pop(x, &v) || !top(x, &list))
            return false;
        if (val(x, list)->type != PK_LIST)
            return refuse(x, "appends to something that is no list");
        return append(x, list, PICKLE_NONE, v);
    }
    if (!pop_mark(x, &first, &n) || !top(x, &list))
        return false;
    if (val(x, list)->type != PK_LIST)
        return refuse(x, "appends to something that is no list");
    for (i = 0; i < n; i++)
        if (!append(x, list, PICKLE_NONE, x->p->stack[first + i]))
            return false;
    return true;
}

static bool
op_setitem(struct run *x, int op)
{
    uint32_t dict, k, v;
    size_t first, n, i;

    if (op == 's')
        return pop(x, &v) && pop(x, &k) && top(x, &dict) &&
               set_item(x, dict, k, v);
    if (!pop_mark(x, &first, &n) || !top(x, &dict))
        return false;
    if (n % 2 != 0)
        return refuse(x, "a dict key without its value");
    for (i = 0; i < n; i += 2)
        if (!set_item(x, dict, x->p->stack[first + i],
                      x->p->stack[first + i + 1]))
            return false;
    return true;
}

static bool
op_put(struct run *x, int op)
{
    struct pickle *p = x->p;
    uint32_t v, slot;

    slot = op == 'q'   ? rd_u8(x->r)
           : op == 'r' ? rd_u32(x->r)
                       : (uint32_t)p->n_memo;
    if (!top(x, &v))
        return false;
    if (slot >= MEMO_MAX)
        return refuse(x, "a memo of more than 200000 places");
    while (p->n_memo <= slot) {
        if (!GROW(p, memo, MEMO_MAX))
            return refuse(x, "a memo of more than 200000 places");
        p->memo[p->n_memo++] = PICKLE_NONE;
    }
    p->memo[slot] = v;
    return true;
}

static bool
op_get(struct run *x, int op)
{
    uint32_t slot = op == 'h' ? rd_u8(x->r) : rd_u32(x->r);

    if (slot >= x->p->n_memo || x->p->memo[slot] == PICKLE_NONE)
        return refuse(x, "takes from an empty place of the memo");
    return push(x, x->p->memo[slot]);
}

static const char *
line(struct run *x, size_t *len)
{
    const char *s = (const char *)x->r->p + x->r->pos;
    const char *nl = rd_left(x->r) ? memchr(s, '\n', rd_left(x->r)) : NULL;

    if (!nl)
        return NULL;
    *len = (size_t)(nl - s);
    rd_skip(x->r, *len + 1);
    return s;
}

static bool
op_global(struct run *x, int op)
{
    const char *m, *n;
    size_t ml, nl;
    uint32_t mv, nv;

    if (op == 'c') {
        m = line(x, &ml);
        n = m ? line(x, &nl) : NULL;
        if (!n)
            return refuse(x, "a global without an end");
        return push_global(x, m, ml, n, nl);
    }
    if (!pop(x, &nv) || !pop(x, &mv))
        return false;
    if (val(x, nv)->type != PK_STR || val(x, mv)->type != PK_STR)
        return refuse(x, "a global whose name is no text");
    return push_global(x, val(x, mv)->u.s, val(x, mv)->n, val(x, nv)->u.s,
                       val(x, nv)->n);
}

static bool
op_newobj(struct run *x, int op)
{
    uint32_t cls, args;

    if (!pop(x, &args) || !pop(x, &cls))
        return false;
    if (val(x, cls)->type != PK_GLOBAL)
        return refuse_global(x, cls);
    if (val(x, cls)->global != G_ORDERED_DICT &&
        val(x, cls)->global != G_PARAMETER)
        return refuse(x, "makes an object of a name that has none");
    return push(x, cls) && push(x, args) && op_reduce(x, op);
}

static bool (*const ops[256])(struct run *x, int op) = {
    [0x80] = op_proto,  [0x95] = op_frame,  ['('] = op_mark,
    ['.'] = op_stop,    ['0'] = op_pop,     ['2'] = op_dup,
    ['N'] = op_const,   [0x88] = op_const,  [0x89] = op_const,
    ['K'] = op_int,     ['M'] = op_int,     ['J'] = op_int,
    [0x8a] = op_int,    [0x8b] = op_int,    ['G'] = op_float,
    ['X'] = op_str,     [0x8c] = op_str,    ['T'] = op_str,
    ['U'] = op_str,     ['C'] = op_str,     ['B'] = op_str,
    [')'] = op_tuple,   ['t'] = op_tuple,   [0x85] = op_tuple,
    [0x86] = op_tuple,  [0x87] = op_tuple,  [']'] = op_empty,
    ['}'] = op_empty,   ['a'] = op_append,  ['e'] = op_append,
    ['s'] = op_setitem, ['u'] = op_setitem, ['q'] = op_put,
    ['r'] = op_put,     [0x94] = op_put,    ['h'] = op_get,
    ['j'] = op_get,     ['c'] = op_global,  [0x93] = op_global,
    ['R'] = op_reduce,  [0x81] = op_newobj, ['b'] = op_build,
    ['Q'] = op_persid,
};

bool
pickle_read(struct pickle *p, struct rd *r, const char *name, uint32_t *root,
            struct err *err)
{
    struct run x = { .p = p, .r = r, .name = name, .err = err };
    int op;

    p->n_stack = p->n_mark = p->n_memo = 0;
    while (!x.stop) {
        x.op_at = r->pos;
        if (rd_left(r) == 0)
            return refuse(&x, "ends in the middle");
        op = rd_u8(r);
        if (!ops[op])
            return err_set(err, ERR_MODEL,
                           "%s: pickle, byte %zu: opcode 0x%02x, which no "
                           "weights file needs",
                           name, x.op_at, op);
        if (!ops[op](&x, op))
            return false;
        if (!rd_ok(r))
            return refuse(&x, "ends in the middle");
    }
    *root = p->stack[0];
    return true;
}

bool
pickle_is_str(const struct pickle *p, uint32_t v, const char *s)
{
    const struct pickle_value *x;

    if (v == PICKLE_NONE)
        return false;
    x = &p->value[v];
    return x->type == PK_STR && x->n == strlen(s) &&
           memcmp(x->u.s, s, x->n) == 0;
}

uint32_t
pickle_get(const struct pickle *p, uint32_t dict, const char *key)
{
    const struct pickle_value *d = &p->value[dict];
    uint32_t c, found = PICKLE_NONE;

    if (d->type != PK_DICT || d->n == 0)
        return PICKLE_NONE;
    for (c = d->first; c != PICKLE_NONE; c = p->cell[c].next)
        if (pickle_is_str(p, p->cell[c].key, key))
            found = p->cell[c].value; /* the later one wins, as in Python */
    return found;
}
