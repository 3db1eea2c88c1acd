/* engine/ops.c */
