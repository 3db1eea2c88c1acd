/* engine/vocab.c */
