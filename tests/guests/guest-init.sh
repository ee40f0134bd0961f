#!/bin/busybox sh
# SPDX-License-Identifier: BSD-3-Clause
#
# guest-init.sh - process 1 of a test guest
#
# Loads the modules listed in /modules/order, runs the test's /steps and powers
# off.  What the host's script looks for on the console starts with "@@":
# "@@ ok NAME" and "@@ not ok NAME" for each step, "@@ TEXT" for what a test
# says, and "@@ end" when all steps have been run.

/bin/busybox mkdir -p /proc /sys /dev /tmp /mnt /bin /sbin
/bin/busybox --install -s /bin
export PATH=/tools:/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
echo 3 >/proc/sys/kernel/printk
[ ! -e /proc/sys/net/ipv6 ] ||
	echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad

say()
{
	echo "@@ $*"
}

# step NAME COMMAND...
step()
{
	local name=$1 out

	shift
	out=$(mktemp)
	if "$@" >"$out" 2>&1; then
		sed 's/^/   /' "$out"
		say "ok $name"
	else
		sed 's/^/   /' "$out"
		say "not ok $name"
	fi
}

# refused NAME COMMAND...: the command must fail
refused()
{
	local name=$1 out

	shift
	out=$(mktemp)
	if "$@" >"$out" 2>&1; then
		say "not ok $name"
	else
		sed 's/^/   /' "$out"
		say "ok $name"
	fi
}

# until_true SECONDS COMMAND...
until_true()
{
	tries=$(($1 * 10))
	shift
	while ! "$@"; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || return 1
		usleep 100000
	done
}

contains()
{
	[ "$(cat "$1" 2>/dev/null)" = "$2" ]
}

# A net device by its MAC address: guests have no udev to name them.
net_by_mac()
{
	for n in /sys/class/net/*; do
		contains "$n/address" "$1" && basename "$n" && return
	done
	return 1
}

# net_up MAC ADDRESS/PREFIX [GATEWAY]: sets $nic
net_up()
{
	nic=$(net_by_mac "$1") || return 1
	ip link set lo up
	ip link set "$nic" up || return 1
	ip addr add "$2" dev "$nic" || return 1
	[ -z "${3-}" ] || ip route add default via "$3"
}

# file_system DEVICE: ext4 in its first 32 MiB, files, and again after umount
file_system()
{
	/tools/mke2fs -q -F -t ext4 "$1" 32M || return 1
	mount -t ext4 "$1" /mnt || return 1
	mkdir /mnt/dir || return 1
	for f in 1 2 3 4; do
		blktool fill "/mnt/dir/file$f" 0 $((f * 1000000)) "$f" &&
			cp "/mnt/dir/file$f" "/mnt/copy$f" || return 1
	done
	(cd /mnt && sha256sum dir/* copy*) >/tmp/sums || return 1
	cp /tmp/sums /mnt/sums && sync && umount /mnt || return 1
	echo 3 >/proc/sys/vm/drop_caches
	mount -t ext4 "$1" /mnt || return 1
	cmp /tmp/sums /mnt/sums && (cd /mnt && sha256sum -c -s sums) || return 1
	rm -r /mnt/dir && sync && umount /mnt
}

# Does the kernel say what it says when a device has misbehaved?
kernel_is_content()
{
	! dmesg | grep -iE 'I/O error|is not a head|virtio.*broken|task .* blocked for|Oops:|WARNING: CPU'
}

for m in $(cat /modules/order); do
	[ ! -e "/modules/$m.ko" ] || insmod "/modules/$m.ko" ||
		say "not ok load $m"
done
. /steps
step "the kernel is content" kernel_is_content
say end
poweroff -f
