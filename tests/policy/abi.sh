# SPDX-License-Identifier: BSD-3-Clause
#
# abi.sh - for the scripts that compare the numbers of a page with a header
#
# From the page's tables and sentences a program is made, $tmp/check.c, that
# compares each number with what the header has for it.  $doc and $header are
# set, lib.sh is there.
if [ ! -e "$doc" ]; then
	echo "SKIP: there is no $doc"
	exit 77
fi

# The page with each paragraph and each row of a table on a line of its own.
awk '
	/^[|#]/ || /^```/ { if (text) print text; text = ""; print; next }
	/^$/ { if (text) print text; text = ""; next }
	{ text = text ? text " " $0 : $0 }
	END { if (text) print text }
' "$doc" | tr '\t`' '  ' | tr -s ' ' >"$tmp/page"

cat >"$tmp/check.c" <<END
#include "$header"
#include <stddef.h>
#include <stdio.h>

static int failed;

static void check(const char *what, unsigned long long header,
		  unsigned long long page)
{
	if (header == page)
		return;
	printf("%s is 0x%llx in the header, and 0x%llx in the page\n", what,
	       header, page);
	failed = 1;
}

int main(void)
{
END

# is EXPRESSION NUMBER: one comparison.
is()
{
	printf '\tcheck("%s", (unsigned long long)(%s), %s);\n' \
		"$1" "$1" "$2" >>"$tmp/check.c"
}

# says PATTERN EXPRESSION...: the page has that once, with a number in each
# group, and they are the expressions.
says()
{
	pattern=$1
	shift
	if [ "$(grep -cE -- "$pattern" "$tmp/page")" != 1 ]; then
		fail "$doc does not say, once: $pattern"
		return
	fi
	n=1
	for expression; do
		number=$(sed -nE "s/.*$pattern.*/\\$n/p" "$tmp/page")
		is "$expression" "$number"
		n=$((n + 1))
	done
}

# between HEADING [WORD]: the table rows behind HEADING.
between()
{
	awk -v from="$1" '
		/^#/ { on = index($0, from) > 0 }
		on && /^\|/' "$tmp/page"
}

# layout HEADING STRUCT BYTES FIELD...: the rows of offset and size there.
layout()
{
	struct=$2 bytes=$3
	between "$1" | grep -E '^\| [0-9]+ \| [0-9* a-z_]+ \| .*[^ ]' |
		awk -F'|' '!seen[$2]++ { print $2, $3 }' | head -n $(($# - 3)) \
		>"$tmp/rows"
	shift 3
	[ "$(wc -l <"$tmp/rows")" = $# ] ||
		fail "$doc: too few rows of struct $struct"
	for field; do
		read -r offset size
		is "offsetof(struct $struct, $field)" "$offset"
		is "sizeof(((struct $struct *)0)->$field)" \
			"($(echo "$size" | sed 's/\* *nr_words//'))"
	done <"$tmp/rows"
	is "sizeof(struct $struct)" "$bytes"
}

# compared: run it.  The second time without the holes that alignment would make.
compared()
{
	printf '\treturn failed;\n}\n' >>"$tmp/check.c"
	for pack in '' -fpack-struct; do
		rm -f "$tmp/check"
		$CC -Wall $pack -Iinclude -I. "$tmp/check.c" -o "$tmp/check" ||
			fail "the comparison does not compile"
		[ ! -x "$tmp/check" ] || "$tmp/check" || failed=1
	done
}

num='(0x[0-9a-f]+|[0-9]+)'
