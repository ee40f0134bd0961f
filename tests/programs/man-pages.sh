#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# The pages are well-formed, open with the example they say, and name every
# option of the programs.
set -u
build=${PVIO_BUILD:-.}
cd "${srcdir:-.}" || exit 99
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
failed=0

fail() {
	echo "FAIL: $1"
	failed=1
}

# same PAGE EXAMPLE: the first display of the page is the file.
same() {
	awk '/^\.Ed/ { exit } on { print } /^\.Bd -literal/ { on = 1 }' \
		"docs/$1" | sed 's/^\\&//; s/\\e/\\/g' > "$tmp/page"
	cmp -s "$tmp/page" "examples/$2" || {
		fail "$1 does not open with examples/$2"
		diff "$tmp/page" "examples/$2" | head -5
	}
}
same pvio.3 embed.c
same pvio-model.3 model.c
same pvio-transport.3 transport.c
same pvio-pci.3 embed-pci.c

# options PAGE PROGRAM: what --help lists, the page explains.
options() {
	sed 's/\\-/-/g' docs/$1 docs/pvio-block.8 | tr -s ' ' > "$tmp/page"
	for option in $("$build/$2" --help |
		grep -o -- '--[a-z][a-z-]*' | sort -u); do
		grep -q -- "Fl -${option#--}\\>\\|, -${option#--}\\>" \
			"$tmp/page" || fail "$1 does not name $option"
	done
}
options pviod.8 pviod
options pvioctl.1 pvioctl
options pvio-block.8 pvio-block
options pvio-net.8 pvio-net

if command -v mandoc > /dev/null; then
	for page in docs/*.[1-8]; do
		mandoc -Tlint -Wwarning "$page" || fail "$page"
	done
else
	echo "no mandoc: the pages' form was not looked at"
fi
exit $failed
