#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# tinyvmm-bus.sh - the guest without an operating system on pvio's bus, whose
# doorbell is rung in five ways, in examples/tinyvmm
#
# On this machine's /dev/kvm, whatever it can do, and on that of a guest which
# QEMU emulates, where there are hypercalls.  The guest says how often it rang;
# tinyvmm counts the times that were exits, and pvio those that arrived.

[ ! -x "${PVIO_BUILD:-.}/tests/guests/blktool" ] || needs_kernel=1
# The stable kernel's KVM knows nothing of Xen.
[ -z "${needs_kernel-}" ] || needs_sid=1
. "$(dirname "$0")/lib.sh"
. "$here/baremetal.bash"

# Doorbells of 33 requests and 16 frames, one at a time.  A device that looks
# just before suppresses some.
enough=10

# bus_vm KIND OPTION...: run the guest, or skip what KVM refuses
bus_vm()
{
	local kind=$1 rc=0 reason

	shift
	vm --bus "pvio-$kind" "$@" || rc=$?
	reason=$(sed -n 's/^tinyvmm: \(KVM.*\)/\1/p' vm.log)
	[ -z "$reason" ] || skip "not on this machine's KVM: $reason"
	[ "$rc" = 0 ] || fail "tinyvmm ends with $rc"
}

# said_of_bus WORD: the number that the guest said
said_of_bus()
{
	sed -n "s/^ok bus:.* $1=\([0-9]*\).*/\1/p" vm.log
}

# counted_of_bus KEY: the number that tinyvmm said
counted_of_bus()
{
	tr -d '\n' <vm.log | sed -n "s/.*\"bus\": {[^}]*\"$1\": \([0-9]*\).*/\1/p"
}

# equals WHAT N M
equals()
{
	[ "$2" = "$3" ] || fail "$1: $2, not $3"
}

# rang_by eventfd|exit: how doorbells came.  pvio counts those it woke up for:
# several that came before are one.
rang_by()
{
	local said exits arrived

	said=$(said_of_bus doorbells)
	exits=$(counted_of_bus doorbell_exits)
	arrived=$(counted_of_bus doorbells)
	echo "doorbells: $said said, $exits exits, $arrived arrived"
	[ "$said" -gt $enough ] || fail "hardly a doorbell"
	[ "$arrived" -gt $enough ] || fail "hardly a doorbell arrived"
	[ "$arrived" -le "$said" ] || fail "doorbells that nobody rang"
	case $1 in
	eventfd) equals "doorbells that were exits" "$exits" 0 ;;
	exit) equals "doorbells that were exits" "$exits" "$said" ;;
	esac
}

# io_case KIND MEANS OPTIONS: both devices, behind one doorbell
io_case()
{
	local interrupts

	truncate -s "$disk_bytes" disk.img
	bus_vm "$1" --disk disk.img --net echo --append \
		"bus=pvio disk=write wait=interrupt seed=7 net=ask $3"
	image_holds 7
	said requests=$disk_requests
	said interrupts=$disk_requests
	grep -q '^ok net: sent=16 received=16 ' vm.log || fail "frames are lost"
	[ "$(count block0 kicks)" -gt $enough ] || fail "hardly a kick"
	rang_by "$2"
	equals calls "$(counted_of_bus calls)" "$(said_of_bus calls)"
	# The last one may come when the guest has seen all it waited for.
	interrupts=$(said_of_bus interrupts)
	[ "$interrupts" -ge $disk_requests ] &&
		[ "$interrupts" -le "$(counted_of_bus interrupts)" ] ||
		fail "$interrupts interrupts"
}

# Without ioeventfd every doorbell is an exit: the counter counts.
exits_case()
{
	truncate -s "$disk_bytes" disk.img
	bus_vm "$1" --no-ioeventfd --disk disk.img --append \
		"bus=pvio disk=write wait=interrupt"
	rang_by exit
}

# What was written over the bus is there over PCI, and the other way round.
reads_case()
{
	truncate -s "$disk_bytes" disk.img
	bus_vm mmio --disk disk.img --append "bus=pvio disk=write seed=11"
	vm --bus pci --disk disk.img --append "disk=read seed=11" ||
		fail "tinyvmm ends with $?"
	vm --bus pci --disk disk.img --append "disk=write seed=12" ||
		fail "tinyvmm ends with $?"
	bus_vm mmio --disk disk.img --append "bus=pvio disk=read seed=12"
	said requests=16
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
		number()
		{
			tr -d '\n' </tmp/out | sed -n "s/.*\$1\([0-9]*\).*/\1/p"
		}
		try()
		{
			truncate -s $disk_bytes /tmp/disk.img
			without_hanging 20 tinyvmm --mem 16M \
				--elf /baremetal.elf \
				--stats --bus pvio-\$1 --disk /tmp/disk.img \
				--net echo --append "bus=pvio \$3 \
				disk=write wait=interrupt net=ask" >/tmp/out 2>&1
			status=\$?
			cat /tmp/out
			interrupts_suffice </tmp/out &&
				grep -q '^ok net: .* received=16 ' /tmp/out &&
				[ \$status = 0 ] || return 1
			said=\$(number 'ok bus:.* doorbells=')
			exits=\$(number '"doorbell_exits": ')
			arrived=\$(number '"doorbells": ')
			[ \$arrived -gt $enough ] && [ \$arrived -le \$said ] &&
				case \$2 in
				exit) [ \$exits = \$said ] ;;
				*) [ \$exits = 0 ] ;;
				esac
		}
		for options in "" "irq=direct ring=packed"; do
			step "xen, \$options" try xen exit "\$options"
			step "hyperv, \$options" try hyperv eventfd "\$options"
			step "msr, \$options" try msr exit "\$options"
			step "pio, \$options" try pio eventfd "\$options"
			step "mmio, \$options" try mmio eventfd "\$options"
		done
		step "xen, kick=direct" try xen exit kick=direct
		step "hyperv, kick=direct" try hyperv exit kick=direct
	END
	nested_run first 80 "$(program baremetal.elf)"
	[ "$(grep -ac '^@@ ok .*,' first.console)" = 12 ] || fail "not all ran"
}

for means in pio,eventfd mmio,eventfd msr,exit xen,exit hyperv,eventfd; do
	kind=${means%,*}
	means=${means#*,}
	run_case "bus-$kind" io_case "$kind" "$means" ""
	run_case "bus-$kind-packed" io_case "$kind" "$means" "ring=packed event=1"
	run_case "bus-$kind-irq-direct" io_case "$kind" "$means" "irq=direct"
	# A doorbell that names its signal has no eventfd.
	run_case "bus-$kind-kick-direct" io_case "$kind" exit "kick=direct"
done
run_case bus-pio-exits exits_case pio
run_case bus-mmio-exits exits_case mmio
run_case bus-reads reads_case
kernel_of=sid
[ -z "${needs_kernel-}" ] || run_case bus-nested nested_case
finish
