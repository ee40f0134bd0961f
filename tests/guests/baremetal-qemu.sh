#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# baremetal-qemu.sh - the guest without an operating system on QEMU's own
# devices: its driver is not made for ours only
#
# Packed rings are left out: QEMU 7.2 does not mark used descriptors that it
# wrote to, without which their length says nothing (virtio 1.4, 2.8.3,
# 2.8.4).

. "$(dirname "$0")/lib.sh"

# qemu OPTION...: 1 is the guest's status 0, by way of isa-debug-exit
qemu()
{
	local status=0

	have qemu-system-x86_64
	timeout 60 qemu-system-x86_64 -accel tcg -nodefaults -display none \
		-serial stdio -m 64 -no-reboot \
		-device isa-debug-exit,iobase=0x501 \
		-kernel "$(program baremetal.elf)" "$@" >vm.log 2>&1 \
		</dev/null || status=$?
	[ $status = 1 ] || fail "QEMU ends with $status"
}

disk_of()
{
	truncate -s 64K disk.img
	echo "-drive file=disk.img,if=none,id=d,format=raw"
}

pci_case()
{
	# shellcheck disable=SC2046
	qemu $(disk_of) -device virtio-blk-pci,drive=d,disable-legacy=on \
		-append "irq=$1 $2 disk=write wait=interrupt"
	grep -q '^ok disk:.* requests=33 .* interrupts=33$' vm.log ||
		fail "requests or interrupts are missing"
}

mmio_case()
{
	# shellcheck disable=SC2046
	qemu -M microvm,isa-serial=on,acpi=off -bios /usr/share/qemu/qboot.rom \
		-global virtio-mmio.force-legacy=false \
		$(disk_of) -device virtio-blk-device,drive=d \
		-append "bus=mmio $1 disk=write wait=interrupt"
	grep -q '^ok disk:.* requests=33 .* interrupts=33$' vm.log ||
		fail "requests or interrupts are missing"
}

run_case baremetal-qemu-pci-msix pci_case msix ''
run_case baremetal-qemu-pci-msix-event pci_case msix 'event=1 indirect=1'
run_case baremetal-qemu-pci-intx pci_case line ''
run_case baremetal-qemu-mmio mmio_case ''
finish
