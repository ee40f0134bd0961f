#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# window-abi.sh - the numbers of docs/vhost-pci.md are those of the header
#
# Every name and structure of the header is to be compared, but for padding.
. "$(dirname "$0")/lib.sh"

doc=docs/vhost-pci.md
header=transports/vhost-pci/abi.h
. ./tests/policy/abi.sh

says "power of two, at least $num\. Its last $num bytes" WINDOW_MIN_BYTES \
	WINDOW_CONTROL_BYTES
says "each multiple of $num behind it one of up to $num ports" \
	WINDOW_PORT_BYTES WINDOW_MAX_PORTS
says "^\* A window has up to $num ports" WINDOW_MAX_PORTS
says "\| magic: $num ?; written last \|" WINDOW_MAGIC
says "\| version: $num \|" WINDOW_VERSION
says "The header is $num bytes\." 'sizeof(struct window_header)'
says "What is before offset $num is the host's" \
	'offsetof(struct window_header, guest_epoch)'
layout '### Header' window_header 128 magic version nr_ports bytes epoch beat \
	doorbell guest_epoch guest_beat
layout '### Port' window_port 384 session is_open served device_id nr_queues \
	queue_size queues_per_unit to_guest to_host
says "A port is $num bytes; its rings' bytes are at $num \(to the guest\)" \
	'sizeof(struct window_port)' WINDOW_TO_GUEST_OFFSET
says "and $num \(to the host\), $num each, and its in-flight region is from $num" \
	WINDOW_TO_HOST_OFFSET WINDOW_CHANNEL_BYTES WINDOW_INFLIGHT_OFFSET
is WINDOW_INFLIGHT_BYTES 'WINDOW_PORT_BYTES - WINDOW_INFLIGHT_OFFSET'
layout '### Rings' window_ring 128 head tail
layout '### Frames' window_frame 16 bytes session kind number
says "A frame is a header of $num bytes and a payload, padded to $num:" \
	'sizeof(struct window_frame)' WINDOW_FRAME_ALIGN
says "\| bytes of the payload: up to $num \|" WINDOW_MAX_PAYLOAD
says "\| kind: $num message, $num message of the back-end's \(" \
	WINDOW_MESSAGE WINDOW_BACKEND_MESSAGE

# The function's numbers have no 0x there, nor the BARs.
pci=$(sed -nE 's/^\| PCI \|.*\| ([0-9a-f]{4}):([0-9a-f]{4}) \|$/0x\1 0x\2/p' \
	"$tmp/page")
# shellcheck disable=SC2086
set -- $pci
[ $# = 2 ] || fail "$doc does not say which PCI function a window is"
is WINDOW_PCI_VENDOR "${1:-0}"
is WINDOW_PCI_DEVICE "${2:-0}"
says "^\| registers \|.*\| BAR ([0-9]) \|$" WINDOW_PCI_REGISTERS
says "^\| window \|.*\| BAR ([0-9]) \|$" WINDOW_PCI_MEMORY
says "at $num there is the number of this peer, or 0, and $num is the doorbell" \
	WINDOW_REG_POSITION WINDOW_REG_DOORBELL

{
	sed -nE 's/^#define (WINDOW_[A-Z_]+)[ \t]+[^ \t].*/\1/p' $header
	sed -nE 's/^\t(WINDOW_[A-Z_]+) = .*/\1/p' $header
	sed -nE 's/^struct (window_[a-z_]+) \{$/\1/p' $header
} >"$tmp/names"
[ "$(wc -l <"$tmp/names")" -gt 15 ] || fail "cannot find names in $header"
while read -r name; do
	grep -qw -- "$name" "$tmp/check.c" || fail "$doc does not have $name"
done <"$tmp/names"

compared
exit $failed
