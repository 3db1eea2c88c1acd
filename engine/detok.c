/* engine/detok.c */
