#!/bin/sh
# Includes point down or sideways, never up: ui -> src -> engine -> engine/base,
# and from outside the engine only through its doors. Fails with the offenders.
cd "$1" || exit 1
inc() {
	pat=$1
	shift
	grep -rnE --include='*.[ch]' "^[[:space:]]*#[[:space:]]*include $pat" "$@" 2>/dev/null
}
bad=$(
	inc '"(src|ui|tests)/' engine
	inc '"(ui|tests)/' src | grep -v '^src/main\.c:.*"ui/ui\.h"'
	inc '"tests/' ui
	inc '"engine/' src ui |
		grep -vE '"engine/(gen|model|model_write|measure|cache|knobs|base/[a-z0-9_]+)\.h"'
	inc '"engine/' engine/base | grep -v '"engine/base/'
	inc '<(ncursesw/)?n?curses' engine src ui | grep -v '^ui/term\.c:'
	inc '<(openblas/)?cblas' engine src ui | grep -vE '^engine/(blas\.c|train/)'
	inc '<curl/' engine src ui | grep -v '^src/fetch\.c:'
	inc '<jansson' engine ui
)
[ -z "$bad" ] || {
	printf 'includes that break the layers:\n%s\n' "$bad"
	exit 1
}
