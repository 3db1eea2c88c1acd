/* engine/stop.c */
