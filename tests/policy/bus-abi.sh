#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# bus-abi.sh - the numbers of docs/bus-abi.md are those of the header
#
# Every name and structure of the header is to be compared.
. "$(dirname "$0")/lib.sh"

doc=docs/bus-abi.md
header=include/pvio/bus-abi.h
. ./tests/policy/abi.sh

# --- connectors ---------------------------------------------------------------

says "^\| PROBE \| $num \| none \| magic $num \+ version << 32 \|" \
	PVIO_BUS_OP_PROBE PVIO_BUS_MAGIC
says "^\| CALL \| $num \|" PVIO_BUS_OP_CALL
says "^\| DOORBELL \| $num \|" PVIO_BUS_OP_DOORBELL
says "^# .*, version ([0-9]+)\.([0-9]+)$" \
	'PVIO_BUS_VERSION >> 16' 'PVIO_BUS_VERSION & 0xffff'
half="write 64 bits at $num, or 32 at $num and then 32 at $num"
says "read 32 bits at $num \(magic\) and $num \(version\) \| $half" \
	PVIO_BUS_REG_MAGIC PVIO_BUS_REG_VERSION PVIO_BUS_REG_CALL \
	PVIO_BUS_REG_CALL 'PVIO_BUS_REG_CALL + 4'
says "\| write 32 bits at $num \|" PVIO_BUS_REG_DOORBELL
says "window of registers is $num bytes" PVIO_BUS_REG_BYTES
pci=$(sed -nE 's/.*PCI ([0-9a-f]{4}):([0-9a-f]{4}), BAR ([0-9]).*/0x\1 0x\2 \3/p' \
	"$tmp/page")
# shellcheck disable=SC2086
set -- $pci
[ $# = 3 ] || fail "$doc does not say which PCI function the bridge is"
is PVIO_BUS_PCI_VENDOR "${1:-0}"
is PVIO_BUS_PCI_DEVICE "${2:-0}"
is PVIO_BUS_PCI_BAR "${3:-0}"
says "read base \+ $num \| write base \+ $num \| write base \+ $num \|" \
	PVIO_BUS_MSR_PROBE PVIO_BUS_MSR_CALL PVIO_BUS_MSR_DOORBELL
is PVIO_BUS_NR_MSRS "$(grep -oE 'base \+ [0-9]' "$tmp/page" | sort -u | wc -l)"
xen="hypercall, rax $num \| rdi $num \| rdi $num, rsi address \| rdi $num,"
says "$xen" PVIO_BUS_XEN_HYPERCALL PVIO_BUS_OP_PROBE PVIO_BUS_OP_CALL \
	PVIO_BUS_OP_DOORBELL
says "function $num \+ operation" PVIO_BUS_SMCCC_FID
says "connection $num \+ kick queue" PVIO_BUS_HYPERV_CONNECTION
says "DOORBELL with $num \+ signal" PVIO_BUS_DOORBELL_SIGNAL

# --- calls --------------------------------------------------------------------

says "A call block, aligned to $num bytes" PVIO_BUS_CALL_ALIGN
layout '## 2. Calls' pvio_bus_call '(272 + 264)' state result request response
says "state: $num idle, $num issued, $num done" PVIO_BUS_CALL_IDLE \
	PVIO_BUS_CALL_ISSUED PVIO_BUS_CALL_DONE
between '## 2. Calls' | sed -nE 's/^\| ([0-9]+) \| ([A-Z_]+) \|.*/\2 \1/p' \
	>"$tmp/results"
[ "$(wc -l <"$tmp/results")" -ge 8 ] || fail "$doc: no table of results"
while read -r name number; do
	is "PVIO_BUS_$name" "$number"
done <"$tmp/results"

# --- messages -----------------------------------------------------------------

says "revision 1, of at most $num bytes" PVIO_BUS_MAX_MESSAGE
sed '/^### /,$d' "$tmp/page" >"$tmp/first" # the header's table is before those
mv "$tmp/page" "$tmp/whole" && mv "$tmp/first" "$tmp/page"
says "The header has $num:" 'sizeof(struct pvio_bus_header)'
layout '## 3. Messages' pvio_bus_header 8 type id device token size
mv "$tmp/whole" "$tmp/page"
says "bit ([0-9]) response, bit ([0-9]) about the bus" \
	'__builtin_ctz(PVIO_BUS_TYPE_RESPONSE)' \
	'__builtin_ctz(PVIO_BUS_TYPE_BUS)'
says "32 bits each; there are $num\." PVIO_BUS_FEATURE_BLOCKS

# message, direction, structure: what is in front of what varies in length.
cat >"$tmp/structs" <<END
GET_DEVICE_INFO out pvio_bus_device_info_out
GET_DEVICE_FEATURES in 8
GET_DEVICE_FEATURES out sizeof(struct.pvio_bus_features)-sizeof(((struct.pvio_bus_features*)0)->bits)
SET_DRIVER_FEATURES in offsetof(struct.pvio_bus_features,bits)
GET_CONFIG in pvio_bus_get_config_in
GET_CONFIG out pvio_bus_config
SET_CONFIG in pvio_bus_config
SET_CONFIG out pvio_bus_config
GET_DEVICE_STATUS out pvio_bus_status
SET_DEVICE_STATUS in pvio_bus_status
SET_DEVICE_STATUS out pvio_bus_status
GET_VQUEUE in pvio_bus_queue_index
GET_VQUEUE out pvio_bus_queue_out
SET_VQUEUE in pvio_bus_set_queue_in
RESET_VQUEUE in pvio_bus_queue_index
GET_SHM in sizeof(((struct.pvio_bus_shm_out*)0)->id)
GET_SHM out pvio_bus_shm_out
GET_DEVICES in pvio_bus_get_devices_in
GET_DEVICES out pvio_bus_get_devices_out
PING in pvio_bus_ping
PING out pvio_bus_ping
INFO out pvio_bus_info_out
SET_AREA in pvio_bus_set_area_in
ROUTE in pvio_bus_route_in
ROUTE out pvio_bus_route_out
GET_EVENT out pvio_bus_event_out
END

# Each row of the two tables: its number, and how long either message is.
{ between 'To a device'; between 'To the bus'; } |
	grep -E '^\| 0x' | awk -F' *\\| *' '
	function bytes(text,   n, i, part, count, each) {
		# "the same" is what the request has
		sub(/the same, then /, same ", ", text)
		n = split(text, part, / *, */)
		each = 0
		for (i = 1; i <= n; i++) {
			count = 1
			if (match(part[i], /\[[^]]*\]/)) {
				count = substr(part[i], RSTART + 1, RLENGTH - 2)
				# of a length that varies
				if (count !~ /^[0-9]+$/)
					count = 0
			}
			if (part[i] ~ /^u8 /)
				each += count
			else if (part[i] ~ /^le16 /)
				each += 2 * count
			else if (part[i] ~ /^le32 /)
				each += 4 * count
			else if (part[i] ~ /^le64 /)
				each += 8 * count
			else if (part[i] ~ /^le/)
				print "what is", part[i] >"/dev/stderr"
			# "le64 desc, le64 driver": each has its type
		}
		return each
	}
	{
		# a remark in brackets may have a comma
		gsub(/ \([^)]*\)/, "")
		same = $4
		print $3, $2, bytes($4), bytes($5)
	}' >"$tmp/messages"
[ "$(wc -l <"$tmp/messages")" -ge 18 ] || fail "$doc: no tables of messages"
while read -r name id in out; do
	is "PVIO_BUS_$name" "$id"
	for way in in out; do
		[ $way = in ] && bytes=$in || bytes=$out
		struct=$(awk -v n="$name" -v w=$way \
			'$1 == n && $2 == w { print $3 }' "$tmp/structs")
		case $struct in
		'') [ "$bytes" = 0 ] ||
			fail "bus-abi.sh has no structure for $name, $way" ;;
		pvio_*) is "sizeof(struct $struct)" "$bytes" ;;
		*) is "$(echo "$struct" | tr . ' ')" "$bytes" ;;
		esac
	done
done <"$tmp/messages"

says "flags \(bit ([0-9]): enabled\)" '__builtin_ctz(PVIO_BUS_QUEUE_ENABLED)'
off="are $num for a queue that stays off, $num to enable it, $num to leave"
says "bits 1:0 $off" PVIO_BUS_QUEUE_OFF PVIO_BUS_QUEUE_ENABLE \
	PVIO_BUS_QUEUE_KEEP
is PVIO_BUS_QUEUE_STATE 3
says "bits ([0-9]) to ([0-9]), when set, leave size, desc, driver, device" \
	'__builtin_ctz(PVIO_BUS_QUEUE_KEEP_SIZE)' \
	'__builtin_ctz(PVIO_BUS_QUEUE_KEEP_DEVICE)'
is PVIO_BUS_QUEUE_KEEP_DESC '(PVIO_BUS_QUEUE_KEEP_SIZE * 2)'
is PVIO_BUS_QUEUE_KEEP_DRIVER '(PVIO_BUS_QUEUE_KEEP_SIZE * 4)'

# --- signals ------------------------------------------------------------------

says "A \*signal\* is a number below $num" PVIO_BUS_MAX_SIGNALS
says "Signal $num is the bus's own" PVIO_BUS_SIGNAL_EVENTS
says "Aligned to $num bytes and wholly in one" PVIO_BUS_AREA_ALIGN
says "nr_words is 1 to $num; it is $num \+ $num \* nr_words bytes long" \
	PVIO_BUS_MAX_WORDS 'sizeof(struct pvio_bus_area)' \
	'8 * PVIO_BUS_LEVELS'
says "Level 0 is served first, $num last" 'PVIO_BUS_LEVELS - 1'
says "SET_AREA \(direction $num: kick, $num: notify\)" PVIO_BUS_AREA_KICK \
	PVIO_BUS_AREA_NOTIFY
layout '## 4. Signals' pvio_bus_area 128 armed news
says "^\| 128 \| $num \* $num \* nr_words \|" 'sizeof(uint64_t)' \
	PVIO_BUS_LEVELS
between '## 4. Signals' | sed -nE 's/^\| ([0-9]) \| ([A-Z]+) \|.*/\2 \1/p' \
	>"$tmp/modes"
[ "$(wc -l <"$tmp/modes")" = 3 ] || fail "$doc: no table of modes"
while read -r name number; do
	is "PVIO_BUS_ROUTE_$name" "$number"
done <"$tmp/modes"
says "\(queue $num: of changes of" PVIO_BUS_QUEUE_CONFIG
says "device $num, queue 0: of the bus's" PVIO_BUS_THE_BUS
between '## 5. Devices come and go' |
	sed -nE 's/^\| ([0-9]) \| ([a-z]+) \|.*/\U\2\E \1/p' >"$tmp/events"
[ "$(wc -l <"$tmp/events")" = 4 ] || fail "$doc: no table of events"
while read -r name number; do
	is "PVIO_BUS_EVENT_$name" "$number"
done <"$tmp/events"

# --- what was compared --------------------------------------------------------

{
	sed -nE 's/^#define (PVIO_BUS_[A-Z_]+)[ \t]+[^ \t].*/\1/p' $header
	sed -nE 's/^\t(PVIO_BUS_[A-Z_]+) = .*/\1/p' $header
	sed -nE 's/^struct (pvio_bus_[a-z_]+) \{$/\1/p' $header
} >"$tmp/names"
[ "$(wc -l <"$tmp/names")" -gt 70 ] || fail "cannot find names in $header"
while read -r name; do
	grep -qw -- "$name" "$tmp/check.c" ||
		fail "$doc does not have $name"
done <"$tmp/names"

compared
exit $failed
