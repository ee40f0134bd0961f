#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# vfio-user-disk.sh - disks as PCI functions in stock QEMU, by vfio-user: both
# doorbells, MSI-X and INTx, split and packed rings, several queues; and what a
# machine does to its devices: reset, sleep, unbind, unplug, plug, translate
# addresses
#
# 6.1 and 7.2 are the kernels of Debian stable and unstable.

needs_kernel=1
needs_sid=1
. "$(dirname "$0")/lib.sh"
. "$here/vfio-user.bash"

# io_steps [SEED]: what every case has its guest do, and io_kept asks the image
io_steps()
{
	cat <<-END
		$vfu_steps
		step "file system" file_system /dev/vda
		step "write" blktool fill /dev/vda 50331648 4194304 ${1:-7}
		step "read" blktool check /dev/vda 50331648 4194304 ${1:-7}
		about /sys/block/vda/device
	END
}

io_kept()
{
	"$(program blktool)" check disk.img 50331648 4194304 "${1:-7}"
	e2fsck_clean disk.img
	[ "$(counter disk bytes_out)" -gt 4194304 ] ||
		fail "it was not pvio that read the disk"
}

# io_case DOORBELL KERNEL RING IRQ QUEUES
io_case()
{
	local ring=$3 irq=$4 queues=$5 packed=0 keys=()

	case $ring in
	packed) packed=1 ;;
	split) keys=('packed = false;') ;;
	esac
	[ "$irq" != IO-APIC ] || guest_args=pci=nomsi
	vfu_serve "$1" "$2"
	image disk.img 64
	disk_start pviod "$PWD/disk.img" "queues=$queues" "${keys[@]}"
	steps guest <<-END
		$(io_steps)
		say queues \$(ls /sys/block/vda/mq | wc -l)
	END
	vfu_start guest -smp "$queues" -device "$(vfu_json disk.sock)"
	guest_done guest "$guest" 90
	io_kept
	vfu_polite guest
	[ "$(guest_word guest queues)" = "$queues" ] ||
		fail "the guest uses another number of queues"
	[ "$(guest_word guest irqs)" = "$irq" ] ||
		fail "interrupts came by $(guest_word guest irqs)"
	[ "$(feature guest 32)$(feature guest 34)" = "1$packed" ] ||
		fail "not a $ring ring"
	vfu_rang guest "$1"
	echo "figure: $rings doorbell messages, $(counter disk kicks) kicks," \
		"$(counter disk requests) requests"
}

# The guest resets the machine, in the middle of reading, and so does the host.
reboot_case()
{
	vfu_serve "$1" "$2"
	image disk.img 64
	disk_start pviod "$PWD/disk.img" queues=2
	steps guest <<-END
		$(io_steps)
		boot=\$(dd if=/dev/vda bs=1 skip=62914560 count=1 2>/dev/null)
		say boot "\$boot"
		if [ "\$boot" != c ]; then
			dd if=/dev/vda of=/dev/null bs=65536 count=200 &
			case \$boot in
			a) reboot -f ;;
			b) say ready; sleep 60 ;;
			esac
		fi
	END
	printf a | dd of=disk.img bs=1 seek=62914560 conv=notrunc status=none
	vfu_start guest -smp 2 -action reboot=reset \
		-device "$(vfu_json disk.sock)"
	guest_says guest "boot a" 60
	printf b | dd of=disk.img bs=1 seek=62914560 conv=notrunc status=none
	guest_says guest "boot b" 60
	guest_says guest ready 60
	printf c | dd of=disk.img bs=1 seek=62914560 conv=notrunc status=none
	qmp guest system_reset
	guest_says guest "boot c" 60
	guest_done guest "$guest" 60
	[ "$(grep -ca '@@ ok file system' guest.console)" = 3 ] ||
		fail "it did not work in all three boots"
	io_kept
	vfu_polite guest
}

# The guest sleeps (S3), from which QEMU wakes it with a reset of its devices.
sleep_case()
{
	vfu_serve "$1" "$2"
	image disk.img 64
	disk_start pviod "$PWD/disk.img" queues=2
	steps guest <<-END
		$(io_steps)
		for i in 1 2; do
			say sleeps \$i
			step "woken \$i" sh -c "echo mem >/sys/power/state"
			step "read \$i" blktool check /dev/vda 50331648 4194304 7
			step "file system \$i" file_system /dev/vda
		done
	END
	vfu_start guest "${sleeper[@]}" -device "$(vfu_json disk.sock)"
	for i in 1 2; do
		guest_says guest "sleeps $i" 60
		within 60 was_suspended guest "$i" || fail "it does not sleep"
		qmp guest system_wakeup
	done
	guest_done guest "$guest" 60
	io_kept
	vfu_polite guest
}

# The guest's driver lets go of the device, and takes it again; first that of
# virtio, then that of PCI.
rebind_case()
{
	vfu_serve "$1" "$2"
	image disk.img 64
	disk_start pviod "$PWD/disk.img"
	steps guest <<-END
		$(io_steps)
		virtio=\$(basename \$(readlink -f /sys/block/vda/device))
		pci=\$(basename \$(readlink -f /sys/bus/virtio/devices/\$virtio/..))
		gone() { [ ! -e /sys/block/vda ]; }
		there() { [ -b /dev/vda ]; }
		for i in 1 2 3; do
			echo \$virtio >/sys/bus/virtio/drivers/virtio_blk/unbind
			step "gone \$i" gone
			echo \$virtio >/sys/bus/virtio/drivers/virtio_blk/bind
			step "there \$i" until_true 10 there
			step "read \$i" blktool check /dev/vda 50331648 4194304 7
			echo \$pci >/sys/bus/pci/drivers/virtio-pci/unbind
			step "gone by PCI \$i" gone
			echo \$pci >/sys/bus/pci/drivers/virtio-pci/bind
			step "there by PCI \$i" until_true 10 there
			step "read by PCI \$i" blktool check /dev/vda 50331648 4194304 7
			virtio=\$(basename \$(readlink -f /sys/block/vda/device))
		done
	END
	vfu_start guest -device "$(vfu_json disk.sock)"
	guest_done guest "$guest" 90
	io_kept
	vfu_polite guest
}

# Plugged in and out of a running machine, twice.  Without MSI-X, since QEMU 11.1
# aborts when a function that has it goes (vfio_user_msix_teardown: it takes a
# region out of a container that is gone already).
hotplug_case()
{
	vfu_serve "$1" "$2"
	transport+=" vectors = 0;"
	image disk.img 64
	disk_start pviod "$PWD/disk.img"
	steps guest <<-END
		gone() { [ ! -e /sys/block/vda ]; }
		there() { [ -b /dev/vda ]; }
		use_it() {
			$(io_steps)
		}
		$hotplug_steps
	END
	vfu_hotplug guest disk.sock
	io_kept
	vfu_polite guest
}

# Plugged in, with MSI-X.
plug_case()
{
	vfu_serve "$1" "$2"
	image disk.img 64
	disk_start pviod "$PWD/disk.img"
	steps guest <<-END
		there() { [ -b /dev/vda ]; }
		step "nothing yet" test ! -e /dev/vda
		say ready
		step "plugged in" until_true 30 there
		$(io_steps)
	END
	# shellcheck disable=SC2086
	vfu_start guest -machine q35 $root_port
	guest_says guest ready 60
	qmp guest device_add "$(vfu_json disk.sock '"id":"d","bus":"rp"')"
	guest_done guest "$guest" 60
	io_kept
	vfu_polite guest
	[ "$(guest_word guest irqs)" = MSI ] || fail "no MSI-X"
}

# Every buffer is mapped for its request and unmapped after it.
iommu_case()
{
	local n

	vfu_serve "$1" "$2"
	image disk.img 64
	disk_start pviod "$PWD/disk.img"
	steps guest <<-END
		$(io_steps)
		for g in /sys/kernel/iommu_groups/*; do
			[ -e \$g/devices/0000:00:08.0 ] && say domain \$(cat \$g/type)
		done
	END
	guest_args="intel_iommu=on iommu.strict=1 iommu.passthrough=0"
	vfu_start guest -machine q35 -device intel-iommu,caching-mode=on \
		-device "$(vfu_json disk.sock '"addr":"8"')"
	guest_done guest "$guest" 120
	io_kept
	vfu_polite guest
	[ "$(guest_word guest domain)$(feature guest 33)" = DMA1 ] ||
		fail "not behind the IOMMU: $(guest_word guest domain)"
	n=$(grep -c vfio_user_dma_unmap guest.trace)
	[ "$n" -gt 500 ] || fail "$n pieces of memory were unmapped"
	echo "figure: $n pieces of memory unmapped"
}

# The serving process is killed under a guest: QEMU does not connect again, so
# the guest's disk is dead, but QEMU, the guest and the daemon live, and the
# next QEMU finds a disk that works.
kill_case()
{
	local pid

	vfu_serve "$1" "$2"
	image disk.img 64
	disk_start pviod "$PWD/disk.img"
	steps guest <<-'END'
		step "write" blktool fill /dev/vda 50331648 4194304 7
		say ready
		dead() {
			dd if=/dev/vda of=/dev/null bs=4096 count=1 skip=$i \
				iflag=direct && say read $i
		}
		i=0
		while [ $i -lt 100 ]; do
			i=$((i + 1))
			dead &
			usleep 100000
			say alive $i
		done 2>/dev/null
	END
	vfu_start guest -device "$(vfu_json disk.sock)"
	guest_says guest "read 3" 60
	pid=$(ps -o pid= --ppid "$pviod" | tr -d ' ' | head -n 1)
	kill -KILL "$pid"
	# What was under way may come through; nothing later does.
	guest_says guest "alive $(($(guest_word guest alive) + 20))" 60
	[ "$(guest_word guest read)" -lt "$(($(guest_word guest alive) - 15))" ] ||
		fail "the guest still reads"
	is_gone "$guest" && fail "QEMU has ended"
	qmp guest quit
	gone_within "$guest" 20 || fail "QEMU does not end"
	is_gone "$pviod" && fail "pviod has ended"
	steps second <<-END
		step "what was written is there" blktool check /dev/vda 50331648 4194304 7
		$(io_steps 9)
	END
	vfu_start second -device "$(vfu_json disk.sock)"
	guest_done second "$guest" 60
	io_kept 9
	vfu_polite second
}

run_case vfio-user-disk-trap-6.1 io_case trap stable packed MSI 1
run_case vfio-user-disk-trap-7.2 io_case trap sid split MSI 2
run_case vfio-user-disk-poll-6.1 io_case poll stable split MSI 2
run_case vfio-user-disk-poll-7.2 io_case poll sid packed MSI 1
run_case vfio-user-disk-intx-6.1 io_case trap stable split IO-APIC 2
run_case vfio-user-disk-intx-7.2 io_case poll sid packed IO-APIC 1
run_case vfio-user-disk-reboot-6.1 reboot_case trap stable
run_case vfio-user-disk-reboot-7.2 reboot_case poll sid
run_case vfio-user-disk-sleep-6.1 sleep_case poll stable
run_case vfio-user-disk-sleep-7.2 sleep_case trap sid
run_case vfio-user-disk-rebind rebind_case trap stable
run_case vfio-user-disk-hotplug-6.1 hotplug_case poll stable
run_case vfio-user-disk-hotplug-7.2 hotplug_case trap sid
run_case vfio-user-disk-plug-7.2 plug_case poll sid
run_case vfio-user-disk-iommu-6.1 iommu_case trap stable
run_case vfio-user-disk-iommu-7.2 iommu_case poll sid
run_case vfio-user-disk-kill-6.1 kill_case trap stable
run_case vfio-user-disk-kill-7.2 kill_case poll sid
finish
