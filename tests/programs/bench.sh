#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# pvio-bench reaches a device by every transport, reads back what it wrote, and
# reports each.  How fast it was says nothing here.
set -u
bench=${PVIO_BUILD:-.}/pvio-bench
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
failed=0
disk='model = "block"; backend = { type = "memory"; size = "1M"; };'

fail() {
	echo "FAIL: $1"
	sed 's/^/	/' "$dir/said"
	failed=1
}

run() { # COMMAND OPTION...
	"$bench" "$@" > "$dir/said" 2>&1 || fail "$*: status $?"
}

ways=$("$bench" kick --help | sed -n 's/.*in turn (all): //p' | tr -d ,)
[ -n "$ways" ] || { echo "FAIL: no transport is named"; exit 1; }

# One CPU is enough for what is tested.
run kick --count 20 --repeat 1 --cpus 0,0
for way in $ways; do
	grep -q "^  $way, .* kick to used" "$dir/said" || fail "kick: no $way"
done

run net --transport all --one-thread --kind transmit --size 64 --ms 5 \
	--repeat 1 --cpus 0,0
for way in $ways; do
	grep -q "^  $way: transmit, 64 B, packed" "$dir/said" ||
		fail "net: no $way"
done

for rings in '' --packed; do
	run block --config "$disk" --transport all --verify --depth 8 --ms 50 \
		--repeat 1 --label disk $rings
	for way in $ways; do
		grep -q "^  $way: disk depth 8, errors  *0  *0  *0" \
			"$dir/said" ||
			fail "block $rings: $way does not read what it wrote"
	done
done

run signal --signals 500 --repeat 1
for layout in bitmap ring; do
	[ "$(grep -c ": $layout .* ns/signal" "$dir/said")" = 7 ] ||
		fail "signal: a figure of the $layout is missing"
done

"$bench" block --config "$disk" --transport pigeon > "$dir/said" 2>&1
[ $? = 2 ] || fail "a transport that does not exist is accepted"
exit $failed
