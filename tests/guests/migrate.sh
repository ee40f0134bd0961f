#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# migrate.sh - a guest with a disk moves from one QEMU and pviod to another,
# while it reads and writes: what the device writes into its memory meanwhile
# is in the dirty log, or it would read something else afterwards

needs_sid=1
. "$(dirname "$0")/lib.sh"

# serve_at NAME: pviod NAME with the image, at NAME.sock
serve_at()
{
	# Both have the image open for as long as the move takes.
	cat >"$1.conf" <<-END
		control = "$PWD/$1.control";
		guests = ( { name = "$1"; devices = ( {
		  name = "disk"; model = "block";
		  backend = { type = "file"; path = "$PWD/disk.img"; lock = false; };
		  transport = { type = "vhost-user"; socket = "$PWD/$1.sock"; };
		} ); } );
	END
	start "$1-pviod" "$(program pviod)" -c "$PWD/$1.conf"
	started_makes "$PWD/$1.sock"
}

# side NAME PROPERTIES [QEMU OPTION...]: a pviod and a QEMU on it
side()
{
	local name=$1 properties=$2

	shift 2
	serve_at "$name"
	steps "$name" <guest.steps
	qemu_start "$name" -chardev "socket,id=d,path=$PWD/$name.sock" \
		-device "vhost-user-blk-pci,chardev=d$properties" "$@"
}

# move PROPERTIES: the guest "from" works, and is told to go on as "to"
move()
{
	side from "$1"
	source=$guest
	guest_says from "round 2" 60
	side to "$1" -incoming "unix:$PWD/move.sock"
	started_makes "$PWD/move.sock"
	monitor from "migrate_set_parameter max-bandwidth 1G" \
		"migrate -d unix:$PWD/move.sock"
}

# is_silent: nothing was heard of the guest where it is now
is_silent()
{
	! grep -qa '^@@' to.console
}

migrate_case()
{
	local source

	[ -z "$PVIO_TEST_PEER" ] || skip "about pvio's dirty log"
	image disk.img 64
	steps guest <<-'END'
		step "fill" blktool fill /dev/vda 0 16777216 7
		say ready
		for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
			echo 3 >/proc/sys/vm/drop_caches
			step "read $i" blktool check /dev/vda 0 16777216 7
			step "write $i" blktool fill /dev/vda 16777216 4194304 $i
			step "read back $i" blktool check /dev/vda 16777216 4194304 $i
			say round $i
		done
	END
	move "$1"
	if ! gone_within "$guest" 120 && is_silent; then
		guest_asked to
		echo "figure: silent after the move, and tried again; there:"
		tail -n 80 to.console to-stuck.log | tr -d '\r' |
			sed 's/^/figure: /'
		stop_all
		mkdir silent
		mv from* to* move.sock silent/
		move "$1"
	fi
	guest_done to "$guest" 120
	! grep -qa '^@@ round 12' from.console || fail "it did not move"
	monitor from quit
	gone_within "$source" 10 || fail "the source did not end"
	"$(program blktool)" check disk.img 0 16777216 7
	"$(program blktool)" check disk.img 16777216 4194304 12
}

# With unstable's QEMU: before 9.0 its emulation loses what a guest's processor
# writes while the log of dirty pages is being read (fixed there by "physmem: Fix
# migration dirty bitmap coherency with TCG memory access").  Of 36 moves under
# 7.2 two ended in a guest whose memory was not what it had been, one with our
# disk and one with QEMU's own; of 18 under 11.1 none.
# Under 11.1 a guest was silent for ever where it had moved to, once, and not again
# in 91 moves made to see why.  So that is tried once more, and said.
qemu_of=sid
run_case migrate-split migrate_case ""
run_case migrate-packed migrate_case ,packed=on
finish
