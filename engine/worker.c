/* engine/worker.c */
