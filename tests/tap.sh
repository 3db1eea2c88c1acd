#!/bin/sh
# Runs a test program and mends one thing in its TAP output: cmocka 1.1 writes
# a skipped test as "not ok N # SKIP", which the protocol reads as a failure.
# The exit status is the program's own.
exec 4>&1
status=$({ { "$@" 4>&- 3>&-; echo $? >&3; } |
	sed -u 's/^not ok \([0-9]* *# SKIP\)/ok \1/' >&4; } 3>&1)
exit "$status"
