#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# config-keys.sh - the manual names every configuration key and every symbol
#
# Keys are found where they are read: pvio_config_*(cfg, "key").
. "$(dirname "$0")/lib.sh"

conf=docs/pvio.conf.5
if [ ! -e $conf ]; then
	echo "SKIP: there is no $conf"
	exit 77
fi

# core/config.c reads keys for others, and has none.
sources | grep -Ev '^(tests/|core/config)' |
	xargs awk '
	# Calls may go over several lines: look at two together.
	{
		both = last " " $0
		while (match(both, /pvio_config_[a-z_]+\([^";()]*,[ \t]*"[a-z0-9_-]+"/)) {
			key = substr(both, RSTART, RLENGTH)
			both = substr(both, RSTART + RLENGTH)
			sub(/[^"]*"/, "", key)
			sub(/"$/, "", key)
			print key
		}
		last = $0
	}' | sort -u >"$tmp/keys"
grep -qx queue_size "$tmp/keys" || fail "cannot find keys in the sources"

# In the page a hyphen may be escaped.
sed 's/\\-/-/g; s/\\_/_/g' docs/*.[1-8] >"$tmp/conf"
while read -r key; do
	grep -qw -- "$key" "$tmp/conf" || fail "$conf does not name key $key"
done <"$tmp/keys"

if ls docs/*.3 >/dev/null 2>&1; then
	cat docs/*.3 >"$tmp/manual"
	while read -r symbol; do
		case $symbol in
		pvio_split_* | pvio_packed_*) continue ;;
		esac
		grep -qw "$symbol" "$tmp/manual" ||
			fail "no page of section 3 names $symbol"
	done <libpvio.sym
fi
exit $failed
