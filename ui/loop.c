/* ui/loop.c */
