#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# smccc.sh - pvio's bus on arm64, reached by SMCCC: guest/baremetal with a disk
# in smccc-vmm, under the KVM of a guest which QEMU emulates
#
# pvio is built for arm64 first, and goes with the VMM into the first guest's
# initramfs.

needs_arm64=1
. "$(dirname "$0")/lib.sh"

source=$(cd "$here/../.." && pwd)
tree=$PVIO_CACHE/arm64
libs=$tree/usr/lib/aarch64-linux-gnu
gcc=aarch64-linux-gnu-gcc
disk_bytes=65536

# The compiler's own C library is older than the tree's: its files come second.
arm64_cc="$gcc --sysroot=$tree -B$libs -L$libs -isystem $tree/usr/include/aarch64-linux-gnu -isystem $tree/usr/include"

build_vmm()
{
	mkdir -p build
	(
		cd build
		export PKG_CONFIG_LIBDIR=$libs/pkgconfig
		export PKG_CONFIG_SYSROOT_DIR=$tree
		"$source/configure" --host=aarch64-linux-gnu --disable-shared \
			CC="$arm64_cc" CFLAGS=-O1 && make -j2 libpvio.la
	) >build.log 2>&1 || fail "pvio does not build for arm64"
	$arm64_cc -static -O1 -Wall -Werror -D_GNU_SOURCE -I"$source/include" \
		-I"$source" "$here/smccc-vmm.c" build/.libs/libpvio.a \
		-levent_pthreads -levent_core -lconfig -luring -ljson-c \
		-lpthread -o vmm
}

build_guest()
{
	local bare=$source/guest/baremetal

	$gcc -Os -ffreestanding -mgeneral-regs-only -mstrict-align \
		-mno-outline-atomics -fno-pic -fno-pie -no-pie \
		-fno-stack-protector -D_GNU_SOURCE -I"$bare/arm64" \
		-I"$source" -I"$source/include" -nostdlib -static \
		-Wl,-e,start -Wl,-Ttext-segment=0x100000 \
		-Wl,-z,max-page-size=4096 -Wl,--build-id=none -o guest.elf \
		"$bare"/{block,bus,main,net,runtime,virtqueue}.c \
		"$bare"/arm64/{arch.c,start.S} "$source"/guest/ring{,-split,-packed}.c
}

initramfs_arm64()
{
	mkdir -p root/{bin,dev,tmp}
	cp "$tree/usr/bin/busybox" root/bin/
	cp vmm guest.elf root/
	cat >root/init <<-END
		#!/bin/busybox sh
		b=/bin/busybox
		\$b mount -t devtmpfs none /dev
		\$b truncate -s $disk_bytes /tmp/disk.img
		for o in "" kick=direct irq=direct "ring=packed event=1"; do
			\$b timeout 40 /vmm /guest.elf \
				"bus=pvio disk=write seed=7 \$o" /tmp/disk.img &&
				echo "@@ ok \$o"
		done
		\$b od -An -tx4 -N 16 /tmp/disk.img
		\$b poweroff -f
	END
	chmod +x root/init
	cpio_of root initrd
}

# number LINE WORD: of what VMM or guest said in the current part of the console
number()
{
	sed -n "s/^$1:.* $2=\([0-9]*\).*/\1/p" part
}

smccc_case()
{
	local n

	have $gcc qemu-system-aarch64 cpio pkg-config
	[ -e "$tree/done" ] || skip "no tree of arm64: see fetch-arm64"
	[ -x "$source/configure" ] || skip "no configure script: see autogen.sh"
	build_vmm
	build_guest
	initramfs_arm64
	qemu-system-aarch64 -accel tcg -M virt,virtualization=on,gic-version=3 \
		-cpu max -m 1024 -nodefaults -nographic -serial stdio \
		-no-reboot -kernel "$tree"/usr/lib/modules/*/vmlinuz \
		-initrd initrd -append "console=ttyAMA0 quiet panic=-1" \
		>first.console 2>first.log </dev/null &
	guest=$!
	pids+=("$guest")
	gone_within "$guest" 120 || fail "the guest did not end"
	tr -d '\r' <first.console >console
	[ "$(grep -c '^@@ ok ' console)" = 4 ] || fail "not all ran"
	grep -q '^ 00000007 fffffff8 00000008 fffffff7' console ||
		fail "the image is not what the guest wrote"
	# Of each run: calls and doorbells were calls of SMCCC, one of them the
	# doorbell that the guest tries and is refused.
	for n in 1 2 3 4; do
		awk -v n=$n 'i == n - 1; /^@@ ok/ { i++ }' console >part
		grep -q '^ok bus: connector=smccc ' part || fail "run $n"
		[ "$(number 'ok bus' calls)" = "$(number exits calls)" ] &&
			[ "$(number pvio calls)" = "$(number exits calls)" ] ||
			fail "run $n: calls"
		[ $(($(number 'ok bus' doorbells) + 1)) = \
			"$(number exits doorbells)" ] || fail "run $n: doorbells"
		[ "$(number pvio doorbells)" -gt 4 ] || fail "hardly a doorbell"
	done
}

run_case smccc smccc_case
finish
