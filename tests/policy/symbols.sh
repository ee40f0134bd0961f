#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# symbols.sh - libpvio exports what its headers declare, and nothing else
#
# Compared are: what include/pvio and the headers for plug-ins declare,
# libpvio.sym, and the dynamic symbols of the library that was built.
# With --update, write libpvio.sym ("make symbols").
. "$(dirname "$0")/lib.sh"

for h in $public_headers; do
	$CC -D_GNU_SOURCE -E -Iinclude -I. "$h" |
		awk -v roots="./:core/:include/:backends/" \
			-f tests/policy/declared.awk
done | sort -u >"$tmp/declared"
if [ "${1:-}" = --update ]; then
	cp "$tmp/declared" libpvio.sym
	exit 0
fi
# Were we unable to read the headers, everything would agree.
grep -qx pvio_device_create "$tmp/declared" ||
	fail "cannot read declarations"

sort libpvio.sym >"$tmp/listed"
if ! diff -u "$tmp/declared" "$tmp/listed" >"$tmp/diff"; then
	fail "headers (-) and libpvio.sym (+) differ; run make symbols:"
	grep '^[-+]pvio' "$tmp/diff" || cat "$tmp/diff"
fi

need "$NM"
lib=$build/.libs/libpvio.so
if [ ! -e "$lib" ]; then
	echo "SKIP: no shared library in this build"
	exit 77
fi
$NM -D --defined-only "$lib" | awk '{ print $3 }' | sed 's/@.*//' |
	grep -vE '^(__|_init$|_fini$|_edata$|_end$)' | sort >"$tmp/exported"
if ! diff -u "$tmp/listed" "$tmp/exported" >"$tmp/diff"; then
	fail "libpvio.sym (-) and the library (+) differ:"
	grep '^[-+][a-z]' "$tmp/diff"
fi
exit $failed
