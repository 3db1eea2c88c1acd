/* ui/prompt.c */
