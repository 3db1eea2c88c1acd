/* engine/wordpiece.c */
