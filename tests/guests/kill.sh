#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# kill.sh - kill -9 of the serving process in the middle of verified writes
#
# The guest writes numbered blocks from several threads, and reads some back
# (blktool hammer), while the process that serves its disk is killed PVIO_KILLS
# times (20).  QEMU connects again and hands the in-flight region to the next
# process.  Afterwards every acknowledged write must be in the image, none may
# have been repeated after a later one, and the guest must have seen neither an
# error nor an answer to a request that it did not have.

needs_kernel=1
. "$(dirname "$0")/lib.sh"

kills=${PVIO_KILLS:-20}
threads=6 blocks=256 # of 4 KiB for each thread

# server_pid SERVER: who is to be killed
server_pid()
{
	case $1 in
	pviod) ps -o pid= --ppid "$pviod" | tr -d ' ' | head -n 1 ;;
	*) echo "$disk_server" ;;
	esac
}

has_new_server()
{
	local pid

	pid=$(server_pid pviod)
	[ -n "$pid" ] && [ "$pid" != "$1" ]
}

# progress_since NUMBER: has the guest had more requests answered?
progress_since()
{
	if grep -aE '^blktool: |^@@ not ok' guest.console; then
		fail "the guest found something wrong"
	fi
	[ "$(guest_word guest progress)" != "$1" ]
}

kill_case()
{
	local server=$1 queues=$2 properties=${3-} i pid before started_at writes

	qemu_get
	[ -z "$PVIO_TEST_PEER" ] || server=qsd
	case $server,$properties in
	qsd,*packed*) skip "qemu-storage-daemon has no packed rings" ;;
	esac
	image disk.img 32
	disk_start "$server" "$PWD/disk.img" "queues=$queues"
	steps guest <<-END
		blktool hammer /dev/vda 11 $threads $blocks || say not ok hammer
	END
	qemu_start guest -smp "$queues" \
		-chardev "socket,id=d,path=$PWD/disk.sock,$reconnect" \
		-device "vhost-user-blk-pci,chardev=d,num-queues=$queues${properties:+,$properties}"
	guest_says guest progress 60
	started_at=$SECONDS
	for ((i = 1; i <= kills; i++)); do
		before=$(guest_word guest progress)
		within 30 progress_since "$before" ||
			fail "no request was answered after kill $((i - 1))"
		sleep "0.0$((RANDOM % 10))"
		pid=$(server_pid "$server")
		kill -KILL "$pid" || fail "nobody serves"
		echo "kill $i: $pid, after $(guest_word guest progress)"
		case $server in
		pviod)
			within 10 has_new_server "$pid" ||
				fail "pviod did not start another process"
			;;
		*)
			gone_within "$pid" 5
			wait "$pid" 2>/dev/null || :
			rm -f disk.sock
			disk_start "$server" "$PWD/disk.img" "queues=$queues"
			;;
		esac
	done
	within 30 progress_since "$(guest_word guest progress)" ||
		fail "no request was answered after the last kill"
	# Tell the guest to stop: the block after the threads' own.
	printf x | dd of=disk.img bs=4096 seek=$((threads * blocks)) \
		conv=notrunc,fsync status=none
	guest_done guest "$guest" 60
	writes=$(guest_word guest writes)
	[ "$(wc -w <<<"$writes")" = "$threads" ] || fail "hammer did not end"
	# shellcheck disable=SC2086
	"$(program blktool)" verify disk.img 11 "$blocks" $writes
	echo "figure: $kills kills in $((SECONDS - started_at)) s," \
		"$(($(tr ' ' + <<<"$writes"))) acknowledged writes," \
		"slowest $(guest_word guest slowest)"
}

run_case kill-pviod-split kill_case pviod 1
run_case kill-pviod-packed kill_case pviod 1 packed=on
run_case kill-pvio-block-split-2-queues kill_case pvio-block 2
run_case kill-pvio-block-packed-2-queues kill_case pvio-block 2 packed=on
finish
