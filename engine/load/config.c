/* engine/load/config.c */
