#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# tinyvmm-bars.sh - a guest that moves its BARs to strange places does not end
# examples/tinyvmm, nor fill its log

. "$(dirname "$0")/lib.sh"

[ -c /dev/kvm ] || skip_all "this machine has no /dev/kvm"
[ -w /dev/kvm ] || skip_all "no right to use /dev/kvm"

bars_case()
{
	local cc=${CC:-cc}

	have "${cc%% *}"
	image disk.img 1
	$cc -O1 -m64 -ffreestanding -fno-pic -mno-red-zone -mgeneral-regs-only \
		-fno-stack-protector -fno-asynchronous-unwind-tables \
		-I"$here/../.." -nostdlib -static -Wl,-Ttext-segment=0x100000 \
		-Wl,--build-id=none -o bars.elf "$here/bars-guest.c"
	timeout 60 "$(program tinyvmm)" --elf bars.elf --disk disk.img \
		--disk 'backend = { type = "memory"; size = "1M"; };' \
		>vm.log 2>&1 </dev/null || fail "tinyvmm ended with status $?"
	[ ! -s vm.log ] || fail "tinyvmm had something to say"
}

run_case tinyvmm-bars-anywhere bars_case
finish
