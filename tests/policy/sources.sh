#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# sources.sh - licence line, size, and no promises left in comments
. "$(dirname "$0")/lib.sh"

find core models backends transports guest include tools examples tests docs \
	configure.ac Makefile.am plugins.def autogen.sh check demo .ci \
	-type f \( -name '*.[chSl]' -o -name '*.mk' -o -name '*.sh' -o \
	-name '*.awk' -o -name '*.ac' -o -name '*.am' -o -name '*.def' -o \
	-name '*.[1-8]' -o -name '*.conf' -o -name check -o -name demo \
	-o -name run \) 2>/dev/null | sort >"$tmp/files"

while read -r f; do
	case $(head -n 3 "$f") in
	*SPDX-License-Identifier:*) ;;
	*) fail "$f: no SPDX-License-Identifier in its first lines" ;;
	esac
done <"$tmp/files"

# A test program is a list of claims about one subject, read one by one.
sources | while read -r f; do
	lines=$(wc -l <"$f")
	case $f in
	tests/*) max=900 ;;
	*) max=700 ;;
	esac
	[ "$lines" -le $max ] || echo "$f: $lines lines, more than $max"
done >"$tmp/long"
if [ -s "$tmp/long" ]; then
	fail "$(cat "$tmp/long")"
fi

# The words are put together so that this file has none of them.
words="$(printf '%s|' 'TO''DO' 'FIX''ME' 'XX''X')HA""CK"
# shellcheck disable=SC2046
if grep -nwE "$words" $(cat "$tmp/files"); then
	fail "finish it, or open an issue"
fi

# Tabs, not blanks; nothing behind the line.
if sources | xargs grep -nE '[[:space:]]+$|^ {8}' >"$tmp/blanks"; then
	fail "blanks at the end of a line, or eight of them for a tab:"
	cat "$tmp/blanks"
fi
exit $failed
