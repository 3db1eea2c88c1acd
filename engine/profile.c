/* engine/profile.c */
