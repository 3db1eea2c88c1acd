/* engine/bpe.c */
