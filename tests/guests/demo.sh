#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# demo.sh - what ./demo shows once pvio is built: two guests, each with a disk
# and a network card of pviod, on one switch; file-system and network I/O; and
# what pviod has measured meanwhile
#
# Guests are User-mode Linux, or with PVIO_DEMO_GUEST=qemu QEMU without KVM.
# Status 75: User-mode Linux does not run here.

kind=uml bytes=200000000
if [ "${PVIO_DEMO_GUEST-}" = qemu ] || ! command -v linux.uml >/dev/null; then
	kind=qemu bytes=20000000
fi
needs_kernel=1
[ $kind = qemu ] || needs_kernel=
. "$(dirname "$0")/lib.sh"
set -e
trap stop_all EXIT
trap 'exit 1' TERM INT
cd "$work"

say()
{
	printf '\n\033[1m%s\033[0m\n' "$*"
}

show()
{
	sed 's/^/    /'
}

# boot KIND: both guests
boot()
{
	local i sockets

	for i in 1 2; do
		sockets=("$PWD/vm$i-disk.sock" "$PWD/vm$i-net.sock")
		case $1 in
		uml)
			uml_start "vm$i" "virtio_uml.device=${sockets[0]}:2" \
				"virtio_uml.device=${sockets[1]}:1"
			;;
		qemu)
			qemu_start "vm$i" \
				-chardev "socket,id=d,path=${sockets[0]},reconnect=1" \
				-device vhost-user-blk-pci,chardev=d \
				-chardev "socket,id=n,path=${sockets[1]},reconnect=1" \
				-netdev vhost-user,id=n0,chardev=n \
				-device "virtio-net-pci,netdev=n0,mac=52:54:00:00:00:0$i,vectors=0,romfile="
			;;
		esac
		guests[i]=$guest
	done >/dev/null
}

# both_said REGEX
both_said()
{
	grep -qa "^@@ $1" vm1.console && grep -qa "^@@ $1" vm2.console
}

wait_for()
{
	within "$2" both_said "$1" || {
		show_logs "$PWD"
		fail "the guests did not get to '$1' in $2 s"
	}
}

guests=()
image vm1.img 256
image vm2.img 256
{
	echo "control = \"$PWD/control.sock\";"
	echo 'switches = ( { name = "sw0"; } );'
	echo 'guests = ('
	for i in 1 2; do
		cat <<-END
			  { name = "vm$i"; devices = (
			    { name = "vm$i-disk"; model = "block"; serial = "pvio-demo-$i";
			      backend = { type = "file"; path = "$PWD/vm$i.img"; };
			      transport = { type = "vhost-user"; socket = "$PWD/vm$i-disk.sock"; }; },
			    { name = "vm$i-net"; model = "net"; mac = "52:54:00:00:00:0$i";
			      backend = { type = "switch"; switch = "sw0"; };
			      transport = { type = "vhost-user"; socket = "$PWD/vm$i-net.sock"; }; } ); }$([ $i = 2 ] || echo ,)
		END
	done
	echo ');'
} >pvio.conf

say "pvio.conf: two guests, each with a disk (a file) and a card on one switch"
show <pvio.conf

# What both do first, and at last: the host ends them by pulling their cables.
first='
step "disk" test "$(cat /sys/block/vda/serial)" = pvio-demo-$i
say the disk is /dev/vda, $(($(cat /sys/block/vda/size) / 2048)) MiB, serial \
	$(cat /sys/block/vda/serial), driver \
	$(basename $(readlink /sys/block/vda/device/driver))
step "network up" net_up 52:54:00:00:00:0$i 10.0.0.$i/24
say the card is $nic, $(cat /sys/class/net/$nic/address), driver \
	$(basename $(readlink /sys/class/net/$nic/device/driver))
step "ext4: make, mount, write, umount, mount, compare" file_system /dev/vda'
last='
say done
step "the cable is pulled" until_true 120 contains /sys/class/net/$nic/carrier 0'
qemu_last='
say done
lost() { ! ping -c 1 -W 1 10.0.0.$((3 - i)) >/dev/null; }
step "the cable is pulled" until_true 120 lost'

make_steps()
{
	local end=$last

	[ "$1" = uml ] || end=$qemu_last
	steps vm1 <<-END
		i=1
		$first
		step "bench" blktool bench /dev/vda write 65536 4 2
		step "bench" blktool bench /dev/vda read 65536 4 2
		step "bench" blktool bench /dev/vda write 4096 1 2
		step "bench" blktool bench /dev/vda read 4096 8 2
		nettool serve 5001 >/dev/null &
		say ready
		$end
	END
	steps vm2 <<-END
		$net_steps
		i=2
		$first
		step "vm1 answers" until_true 60 ping -c 1 -W 1 10.0.0.1
		step "vm1 serves" until_true 60 nettool tcp 10.0.0.1 5001 send 8 1
		step "ping" ping -c 5 -i 0.2 10.0.0.1
		net_io 10.0.0.1 $2
		say ready
		$end
	END
}

say "pviod starts: one process for each guest, and one for the switch"
pviod_start
ctl list | show

make_steps $kind $bytes
say "two Linux guests boot ($kind)"
boot $kind
if [ $kind = uml ] && ! within 20 both_said 'the card'; then
	echo "    User-mode Linux does not run here"
	exit 75
fi
wait_for 'the card' 60
for i in 1 2; do
	tr -d '\r' <vm$i.console | sed -n "s/^@@ the /    vm$i: the /p"
done

say "file systems and network at work"
wait_for 'done' 120
for i in 1 2; do
	tr -d '\r' <vm$i.console | sed -n "s/^@@ ok /    vm$i: ok: /p; s/^@@ not ok /    vm$i: FAILED: /p" |
		grep -v ': bench$' || :
done

say "throughput, as the guests saw it"
tr -d '\r' <vm1.console | sed -n 's/^   \(.*MB\/s\)$/    vm1: disk \1/p'
tr -d '\r' <vm2.console | sed -n 's/^   \(.*MB\/s\)$/    vm2 to vm1: \1/p
	s/^   \(udp.*\)$/    vm2 to vm1: \1/p; s/^   \(round-trip.*\)$/    vm2 to vm1: ping \1/p'

say "pvioctl stats: kicks from the guests, notifications to them"
for d in vm1-disk vm1-net vm2-net; do
	ctl stats $d | tee stats.$d | show
done
awk 'FNR == 1 { d = FILENAME; sub(/^stats\./, "", d) }
	$1 ~ /^[0-9]+$/ && $3 > 0 {
		printf "    %s queue %s: %.3f kicks and %.3f notifications a request, %.1f requests a batch\n",
			d, $1, $5 / $3, $8 / $3, $7 ? $3 / $7 : 0
	}' stats.*

say "pvioctl latency: where the time of a request goes, by stage"
ctl latency vm1-disk | show
ctl latency vm1-net | show

say "pvioctl link: the cables are pulled, and the guests see it and power off"
ctl link vm1-net down | show
ctl link vm2-net down | show
# QEMU's guests ask each other; both cables are out by then.
for i in 1 2; do
	guest_done "vm$i" "${guests[i]}" 60 >/dev/null || {
		show_logs "$PWD"
		exit 1
	}
	PATH=$PATH:/sbin e2fsck -fn "vm$i.img" >e2fsck.log 2>&1 || {
		show <e2fsck.log
		fail "the file system of vm$i is not whole"
	}
	echo "    vm$i: every step was good; on the host, e2fsck finds its file system whole"
done
kill "$pviod"
gone_within "$pviod" 10 || fail "pviod does not end"
rm -rf "$work"
