/* ui/command.h  The table of commands; keys name them, help lists them. */
#ifndef JIELONG_COMMAND_H
#define JIELONG_COMMAND_H
#endif
