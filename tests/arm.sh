#!/bin/sh
# tests/arm.sh ROOT NATIVE   The levels of aarch64, compiled for it and run in
# qemu-user: a network's logits are the same bits there as on this machine
# (level_digest.c, NATIVE being that program built for it). TAP; skipped
# where the compiler (gcc-aarch64-linux-gnu, libc6-dev-arm64-cross) or
# qemu-user is missing.
set -u
root=$1 native=$(realpath "$2")
cc=aarch64-linux-gnu-gcc
if ! command -v $cc >/dev/null || ! command -v qemu-aarch64 >/dev/null ||
	! echo 'int main(void){return 0;}' | $cc -static -x c -o /dev/null - 2>/dev/null; then
	echo "1..0 # SKIP no compiler for aarch64, or no qemu-user"
	exit 0
fi
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$root" || exit 1

flags="-O2 -std=gnu11 -D_GNU_SOURCE -I. -ffp-contract=off
-fno-trapping-math -DJIELONG_ARM"
compile() { # NAME FILE FLAGS...
	name=$1 file=$2
	shift 2
	# shellcheck disable=SC2086
	$cc $flags "$@" -c "$file" -o "$dir/$name.o" || echo "not ok - $file"
}
failed=$(
	for f in engine/kernels/*.c; do
		case $f in
		*avx* | *amx*) ;;
		*neondot*) compile "k_$(basename "$f")" "$f" -march=armv8.2-a+dotprod ;;
		*) compile "k_$(basename "$f")" "$f" ;;
		esac
	done
	for f in base/err base/mem base/pool matrix ops attend kv gpt2 session; do
		[ ! -f engine/$f.c ] || compile "e_$(basename $f)" engine/$f.c
	done
	compile digest tests/level_digest.c
	# What opening a model would need, and a network of random weights does not.
	cat >"$dir/none.c" <<'C'
const void *model_gpt2(const void *m) { return 0; }
const void *model_info(const void *m) { return 0; }
const void *blas_get(void) { return 0; }
C
	compile none "$dir/none.c"
)
echo "1..2"
if [ -n "$failed" ] || ! $cc -static -o "$dir/digest" "$dir"/*.o -lm -lpthread; then
	echo "not ok 1 - compiles for aarch64"
	echo "$failed" | sed 's/^/# /'
	exit 1
fi
echo "ok 1 - compiles for aarch64"
{ "$native" && qemu-aarch64 -cpu max "$dir/digest" &&
	qemu-aarch64 -cpu cortex-a72 "$dir/digest"; } >"$dir/all"
status=$?
sed 's/^/# /' "$dir/all"
# One digest for each type, and the levels of both machines among the lines.
if [ $status = 0 ] && grep -q ^neondot "$dir/all" && grep -q '^neon ' "$dir/all" &&
	[ "$(cut -d' ' -f2,3 "$dir/all" | sort -u | wc -l)" = 4 ]; then
	echo "ok 2 - the same bits on aarch64"
else
	echo "not ok 2 - the same bits on aarch64"
	exit 1
fi
