/* ui/term_keys.c */
