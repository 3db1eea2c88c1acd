#!/bin/sh
# Every text shown to a person has a Chinese translation: what xgettext finds
# in the sources is in po/zh_CN.po, translated, nothing fuzzy, formats agree;
# and po/POTFILES lists every file that has such a text. Fails with what is
# missing.
cd "$1" || exit 1
command -v xgettext >/dev/null && command -v msgmerge >/dev/null || {
	echo 'SKIP: xgettext and msgmerge (package gettext) are not installed'
	exit 77
}
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
status=0

find engine src ui -name '*.c' -exec grep -lE '(^|[^A-Za-z0-9_])(_|N_)\("' {} + |
	LC_ALL=C sort >"$tmp/files"
diff -u po/POTFILES "$tmp/files" || {
	echo 'po/POTFILES does not list the files that have texts (see above)'
	status=1
}
xgettext -k_ -kN_ --from-code=UTF-8 -f "$tmp/files" -o "$tmp/all.pot" \
	2>"$tmp/log" || {
	cat "$tmp/log"
	exit 1
}
for lang in $(cat po/LINGUAS); do
	msgfmt -c -o /dev/null "po/$lang.po" 2>&1 | grep -v 'header field' &&
		status=1
	msgmerge -q --no-fuzzy-matching -o "$tmp/$lang.po" "po/$lang.po" \
		"$tmp/all.pot" || exit 1
	for kind in untranslated fuzzy; do
		msgattrib --"$kind" --no-obsolete "$tmp/$lang.po" >"$tmp/$kind"
		grep -q '^msgid "..*"\|^msgid ""$' "$tmp/$kind" || continue
		echo "$lang: $kind:"
		cat "$tmp/$kind"
		status=1
	done
done
exit $status
