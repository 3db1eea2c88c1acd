/* engine/ops.h  The arithmetic of a layer. The only file of the forward pass
 * that knows cblas. */
#ifndef JIELONG_OPS_H
#define JIELONG_OPS_H
#endif
