#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# vhost-pci.sh - a virtual machine serves another one's disk and network card
#
# Both carriers, both windows, both ways for the appliance to reach them; who is
# restarted, killed or stopped meanwhile.  See vhost-pci.bash.

needs_kernel=1
needs_sid=1
needs_module="stable sid"
. "$(dirname "$0")/lib.sh"
. "$here/vfio-user.bash"
. "$here/vhost-pci.bash"

# vp_start CARRIER WINDOW ACCESS KERNEL: host and appliance, with one window
vp_start()
{
	vp_serve "$1" "$2" w0
	image own0.img 64
	a_steps "$3" 0000:00:08.0 | steps a
	# shellcheck disable=SC2046
	a_start a "$3" "$4" $(a_window 8 w0) $(a_disk own0)
	a_says a serving 90
}

# a_end: the appliance ends well
a_end()
{
	tell end
	guest_done a "$a" 60
}

# The disk has what b has written to it.
vp_kept()
{
	"$(program blktool)" check own0.img 50331648 4194304 "${1-7}"
	e2fsck_clean own0.img
}

# What removes the function waits until pviod has let go of it.
a_unplug()
{
	tell 'gone() { echo 1 >/sys/bus/pci/devices/$windows/remove; }'
	tell 'step "unplugged" gone'
	tell say gone
	a_says a gone 30
}

io_case()
{
	vp_start "$@"
	steps b <<-END
		$net_steps
		$b_steps
		use 2000000
	END
	b_start b w0
	guest_done b "$guest" 120
	[ "$3" != vfio ] || a_unplug
	a_end
	vp_kept
}

# --- what happens to them ------------------------------------------------------

# b is reset in the middle of reading and sending, at once, as a board is; then by
# its kernel's shutdown; and finds all again.  Nothing is sent during the latter:
# Linux 6.1 stops its queues first, and then start_xmit() of virtio_net waits for
# ever for a stopped one to be empty.
reboot_case()
{
	vp_start "$@"
	steps b <<-END
		$net_steps
		$b_steps
		echo
		boot=\$(dd if=/dev/vda bs=4096 skip=15360 count=1 2>/dev/null |
			head -c 1 | tr '\\0' a)
		say boot \$boot
		step "network up" net_up $b_mac 10.0.0.2/24
		if [ \$boot = a ]; then disk_io 7; else
			step "read it again" blktool check /dev/vda 50331648 4194304 7
		fi
		net_io 10.0.0.1 200000
		if [ \$boot != c ]; then
			echo -n \$boot | tr abc bcd |
				dd of=/dev/vda bs=4096 seek=15360 conv=notrunc,fsync,sync 2>/dev/null
			say resets
			dd if=/dev/vda of=/dev/null bs=65536 iflag=direct &
			if [ \$boot = a ]; then
				ping -q -i 0.01 -s 1400 10.0.0.1 >/dev/null &
				usleep 100000
				echo b >/proc/sysrq-trigger
			fi
			usleep 100000
			reboot -f
		fi
	END
	b_start b w0 -action reboot=reset
	guest_done b "$guest" 150
	[ "$(guest_word b boot)" = c ] || fail "it was not booted three times"
	a_end
	"$(program blktool)" check own0.img 50331648 4194304 7
}

threads=4 blocks=256 # of 4 KiB for each

# hammer_start: b writes, all the time, and reads back; its network is used, too
hammer_start()
{
	steps b <<-END
		echo
		net_up $b_mac 10.0.0.2/24
		ping -q -i 0.05 10.0.0.1 >/dev/null &
		blktool hammer /dev/vda 11 $threads $blocks || say not ok hammer
		step "ping" until_true 20 ping -c 1 -W 1 10.0.0.1
	END
	b_start b w0
	b=$guest
	guest_says b progress 90
}

progress_since()
{
	[ "$(guest_word b progress)" != "$1" ]
}

# hammer_goes_on WHEN: requests are answered
hammer_goes_on()
{
	if grep -aE '^blktool: |^@@ not ok' b.console; then
		fail "the guest found something wrong"
	fi
	within 30 progress_since "$(guest_word b progress)" || {
		vp_show
		fail "no request is answered $1"
	}
}

# hammer_end: it is told to stop; no write that was acknowledged is missing
hammer_end()
{
	local writes

	hammer_goes_on "any more"
	# The block behind the threads' own.
	tell "printf x | dd of=/dev/vda bs=4096 seek=$((threads * blocks)) conv=notrunc,fsync 2>/dev/null"
	guest_done b "$b" 60
	a_end
	writes=$(guest_word b writes)
	[ "$(wc -w <<<"$writes")" = "$threads" ] || fail "hammer did not end"
	# shellcheck disable=SC2086
	"$(program blktool)" verify own0.img 11 "$blocks" $writes
	echo "figure: $(($(tr ' ' + <<<"$writes"))) acknowledged writes," \
		"slowest $(guest_word b slowest)"
}

# The appliance's process is killed with requests in flight; and all of pviod.
# Not while QEMU is connecting: 7.2's gives up for good when that fails.
kill_case()
{
	local i

	vp_start "$@"
	hammer_start
	for i in 1 2 3 4; do
		tell "die 1; say killed $i"
		a_says a "killed $i" 60
		hammer_goes_on "after kill $i"
	done
	tell 'kill -9 $pviod $(unit); rm -f /control.sock; serve; say again'
	a_says a again 30
	hammer_end
}

# a_replace ACCESS KERNEL: the whole appliance is killed, and another one is there
a_replace()
{
	kill -KILL "$a"
	gone_within "$a" 10
	mv a.console a1.log
	# shellcheck disable=SC2046
	a_start a "$1" "$2" $(a_window 8 w0) $(a_disk own0)
	a_says a serving 90
}

# With requests in flight, which a bounce window keeps for so long; a loaded
# machine needs its time to start another appliance.
restart_case()
{
	window_keys='timeout_ms = 90000;'
	vp_start "$@"
	hammer_start
	a_replace "$3" "$4"
	hammer_end
}

# The broker is killed.  A VMM does not come back to one, so the appliance is
# another one, too.
broker_case()
{
	local was

	vp_start "$@"
	hammer_start
	was=$(window_pid)
	kill -KILL "$was"
	within 10 has_new_window "$was" || fail "pviod did not start another"
	a_replace "$3" "$4"
	hammer_end
}

has_new_window()
{
	local pid

	pid=$(window_pid)
	[ -n "$pid" ] && [ "$pid" != "$1" ]
}

# relayed: how many signals the host has, either way
relayed()
{
	echo "$(($(counter w0-disk relayed) + $(counter w0-disk forwarded)))"
}

# All of pviod that is on the host is stopped while b works: it is on nobody's
# way.
stopped_case()
{
	local pid before

	vp_start ivshmem ram "$@"
	steps b <<-END
		$net_steps
		$b_steps
		use 500000
		say ready
		read -r line
		disk_io 9
		net_io 10.0.0.1 2000000
		say done
		read -r line
	END
	b_start b w0
	guest_says b ready 120
	pid=$(window_pid)
	before=$(relayed)
	kill -STOP "$pviod" "$pid"
	echo go >&"$b_input"
	guest_says b 'done' 60
	ps -o stat= -p "$pid" | grep -q T || fail "it was not stopped"
	kill -CONT "$pviod" "$pid"
	ctl --json stats w0-disk
	[ "$(counter w0-disk lent)" -gt 3 ] || fail "no eventfd was lent"
	[ "$(relayed)" = "$before" ] || fail "signals were relayed"
	echo >&"$b_input"
	guest_done b "$guest" 30
	a_end
	vp_kept 9
}

# Two guests, each with a window of its own, at one appliance.
two_case()
{
	local first

	vp_serve "$1" "$2" w0 w1
	image own0.img 64
	image own1.img 64
	a_steps "$3" 0000:00:08.0 0000:00:09.0 | steps a
	# shellcheck disable=SC2046
	a_start a "$3" "$4" $(a_window 8 w0) $(a_window 9 w1) \
		$(a_disk own0) $(a_disk own1)
	a_says a serving 90
	for n in 0 1; do
		steps "b$n" <<-END
			$net_steps
			$b_steps
			use 1000000 $n
		END
	done
	b_start b0 w0
	first=$guest
	b_start b1 w1
	guest_done b1 "$guest" 150
	guest_done b0 "$first" 60
	a_end
	vp_kept
	"$(program blktool)" check own1.img 50331648 4194304 7
	e2fsck_clean own1.img
}

# The window comes to a running appliance.
hotplug_case()
{
	vp_serve vfio-user "$1" w0
	image own0.img 64
	a_later=1 a_machine=q35
	a_steps "$2" 0000:01:00.0 | steps a
	# shellcheck disable=SC2046
	a_start a "$2" "$3" \
		-device pcie-root-port,id=rp,chassis=1,addr=8,pref64-reserve=512M,mem-reserve=8M,io-reserve=0 \
		$(a_disk own0)
	a_says a serving 90
	qmp a device_add "$(vfu_json w0.sock '"id":"w","bus":"rp"')"
	tell 'step "plugged in" until_true 30 test -e /sys/bus/pci/devices/$windows'
	tell start
	tell say started
	a_says a started 60
	steps b <<-END
		$net_steps
		$b_steps
		use 1000000
	END
	b_start b w0
	guest_done b "$guest" 120
	a_end
	vp_kept
}

run_case vhost-pci-ivshmem-bounce-vfio-6.1 io_case ivshmem bounce vfio stable
run_case vhost-pci-ivshmem-bounce-module-7.2 io_case ivshmem bounce module sid
run_case vhost-pci-ivshmem-ram-vfio-7.2 io_case ivshmem ram vfio sid
run_case vhost-pci-ivshmem-ram-module-6.1 io_case ivshmem ram module stable
run_case vhost-pci-vfio-user-bounce-module-6.1 io_case vfio-user bounce module stable
run_case vhost-pci-vfio-user-ram-vfio-6.1 io_case vfio-user ram vfio stable
run_case vhost-pci-reboot-ram reboot_case ivshmem ram module stable
run_case vhost-pci-reboot-bounce reboot_case ivshmem bounce module stable
run_case vhost-pci-kill-ram kill_case ivshmem ram module stable
run_case vhost-pci-kill-bounce kill_case ivshmem bounce vfio stable
run_case vhost-pci-kill-vfio-user kill_case vfio-user ram module stable
run_case vhost-pci-restart-ram restart_case ivshmem ram module stable
run_case vhost-pci-restart-bounce restart_case vfio-user bounce module stable
run_case vhost-pci-broker-ram broker_case ivshmem ram module stable
run_case vhost-pci-broker-bounce broker_case ivshmem bounce module stable
run_case vhost-pci-host-stopped stopped_case module stable
run_case vhost-pci-two-guests two_case ivshmem bounce module stable
run_case vhost-pci-hotplug hotplug_case bounce module stable
finish
