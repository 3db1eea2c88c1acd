/* engine/load/foreign.h  Formats whose parsers run in a jail (jail.h).
 *
 * A parser that meets downloaded bytes gets descriptors and gives back a flat
 * description: tensors, their names, and what the file says about itself.
 * Here it is sent over the pipe, and not believed again on this side: every
 * entry is compared with the sizes of the files before anybody reads by it.
 */
#ifndef JIELONG_FOREIGN_H
#define JIELONG_FOREIGN_H

#include "engine/load/load.h"
#include "engine/load/meta.h"

/* One file of a format: adds its tensors with file number `file`. */
typedef bool foreign_reader(int fd, uint32_t file, const char *name,
                            struct tensor_table *t, struct meta *meta,
                            struct err *err);

/* Runs the reader in a jail and adds what it found, checked, to t and meta.
 * An entry of file number `file` must lie inside fd; entries of later numbers
 * (data files of a TensorFlow index) are checked when those are opened:
 * tensor_inside(). */
bool foreign_read(foreign_reader *read, int fd, uint32_t file, const char *name,
                  struct tensor_table *t, struct meta *meta, struct err *err);

/* Do all bytes of an entry lie inside a file of this size? */
bool tensor_inside(const struct tensor_entry *e, uint64_t size);

/* What torch.save wrote, zip or legacy form (torch.c). */
foreign_reader torch_read;

#endif
