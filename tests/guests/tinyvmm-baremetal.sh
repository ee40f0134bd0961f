#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# tinyvmm-baremetal.sh - the guest without an operating system, in
# examples/tinyvmm on this machine's /dev/kvm, whatever kind that is, and on that
# of a guest which QEMU emulates
#
# Kicks arrive by ioeventfd, interrupts by irqfd: tinyvmm counts the kicks that
# were exits, the guest its interrupts.  The disk is looked at from outside.

# The nested case is for builds with guest tests: it wants a kernel and tools.
[ ! -x "${PVIO_BUILD:-.}/tests/guests/blktool" ] || needs_kernel=1
. "$(dirname "$0")/lib.sh"
. "$here/baremetal.bash"

# io_case BUS INTERRUPT RING: INTERRUPT is the guest's irq= and tinyvmm's name
# for the interrupts it counts
io_case()
{
	local bus=$1 irq=${2%,*} interrupts=${2#*,} ring=$3

	truncate -s "$disk_bytes" disk.img
	vm --bus "$bus" --disk disk.img --net echo --append \
		"bus=$bus irq=$irq ring=$ring disk=write wait=interrupt seed=7 net=ask" ||
		fail "tinyvmm ends with $?"
	image_holds 7
	said requests=$disk_requests
	said interrupts=$disk_requests
	# A device that looks just before it is kicked suppresses the kick.
	[ "$(count block0 kicks)" -gt $((disk_requests / 2)) ] ||
		fail "hardly a kick"
	counted block0 notify_exits 0
	counted block0 "$interrupts" $disk_requests
	grep -q '^ok net: sent=16 received=16 ' vm.log || fail "frames are lost"
	counted net1 notify_exits 0
}

# Without ioeventfd every kick is an exit: the counter counts.
exits_case()
{
	truncate -s "$disk_bytes" disk.img
	vm --bus "$1" --no-ioeventfd --disk disk.img --append \
		"bus=$1 disk=write depth=1" || fail "tinyvmm ends with $?"
	[ "$(count block0 notify_exits)" -gt $((disk_requests / 2)) ] ||
		fail "hardly an exit"
}

# What was written over one bus is there over the other, and a wrong bit is
# found: the guest can fail.
reads_case()
{
	truncate -s "$disk_bytes" disk.img
	vm --bus pci --disk disk.img --append "disk=write seed=11" ||
		fail "tinyvmm ends with $?"
	vm --bus mmio --disk disk.img --append "bus=mmio disk=read seed=11" ||
		fail "tinyvmm ends with $?"
	said requests=16
	printf x | dd of=disk.img bs=1 seek=40000 conv=notrunc status=none
	! vm --disk disk.img --append "disk=read seed=11" || fail "not noticed"
	grep -q '^not ok disk: sector 0x48 + 0xc40 ' vm.log || fail "another sector"
}

# Two guests, with a wire between them.
wire_case()
{
	local answer

	[ -w /dev/kvm ] || skip "no /dev/kvm, or no right to use it"
	start answer "$(program tinyvmm)" --mem 16M --bus mmio --stats \
		--elf "$(program baremetal.elf)" \
		--append "bus=mmio net=answer frames=64" \
		--net 'backend = { type = "stream"; path = "wire.sock"; server = true; }'
	answer=$started
	within 10 grep -q '^net: up' answer.log || fail "the first is not up"
	vm --append "net=ask frames=64 ring=packed" \
		--net 'backend = { type = "stream"; path = "wire.sock"; }' ||
		fail "tinyvmm ends with $?"
	gone_within "$answer" 10 || fail "the first did not end"
	grep -q '^ok net: sent=64 received=64 ' vm.log answer.log ||
		fail "frames are lost"
	grep -q '^ok$' answer.log || fail "the first is not content"
}

# The same where KVM is the real one: all of it in one guest of QEMU.
nested_case()
{
	local nested_cpus=1

	have qemu-system-x86_64 busybox cpio
	kernel_get
	steps first <<-END
		$hung_steps
		$nested_steps
		try()
		{
			truncate -s $disk_bytes /tmp/disk.img
			without_hanging 20 tinyvmm --mem 16M \
				--elf /baremetal.elf \
				--stats --bus \$1 --disk /tmp/disk.img \
				--net echo --append "bus=\$1 irq=\$2 ring=\$3 \
				disk=write wait=interrupt net=ask" >/tmp/out
			status=\$?
			cat /tmp/out
			[ \$status = 0 ] &&
				! grep -q '"notify_exits": *[1-9]' /tmp/out &&
				interrupts_suffice </tmp/out
		}
		for ring in split packed "split event=1" "packed event=1"; do
			step "pci, msix, \$ring" try pci msix "\$ring"
			step "pci, intx, \$ring" try pci line "\$ring"
			step "mmio, \$ring" try mmio line "\$ring"
		done
	END
	nested_run first 80 "$(program baremetal.elf)"
	[ "$(grep -ac '^@@ ok .*,' first.console)" = 12 ] || fail "not all ran"
}

for ring in split packed "split event=1 indirect=1" "packed event=1"; do
	name=$(echo "$ring" | sed 's/=1//g; s/ /-/g')
	run_case "baremetal-pci-msix-$name" io_case pci msix,msix_sent "$ring"
	run_case "baremetal-pci-intx-$name" io_case pci line,intx_asserted \
		"$ring"
	run_case "baremetal-mmio-$name" io_case mmio line,irq_asserted "$ring"
done
run_case baremetal-pci-exits exits_case pci
run_case baremetal-mmio-exits exits_case mmio
run_case baremetal-reads reads_case
run_case baremetal-wire wire_case
[ -z "${needs_kernel-}" ] || run_case baremetal-nested nested_case
finish
