# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2154
#
# baremetal.bash - for tests that run guest/baremetal in examples/tinyvmm;
# sourced after lib.sh

# What guest/baremetal makes of a disk of 64 KiB, written and read in pieces of
# 4 KiB, with a flush in between.
disk_bytes=65536
disk_requests=33

# vm OPTION...: run the guest; its console and tinyvmm's counters are in vm.log
vm()
{
	[ -c /dev/kvm ] || skip "this machine has no /dev/kvm"
	[ -w /dev/kvm ] || skip "no right to use /dev/kvm"
	echo "+ tinyvmm $*"
	timeout 60 "$(program tinyvmm)" --mem 16M --stats \
		--elf "$(program baremetal.elf)" "$@" >vm.log 2>&1 </dev/null
}

# said WORD=N: the guest did, of its disk
said()
{
	grep -q "^ok disk:.* $1\( \|\$\)" vm.log || fail "the guest did not say $1"
}

# nested_steps: a function of steps in a nested guest, whose QEMU delivers some
# interrupts twice: did it see one for each request of its disk?
nested_steps=$(
	cat <<END
interrupts_suffice()
{
	[ "\$(sed -n 's/^ok disk:.* interrupts=\([0-9]*\).*/\1/p')" \
		-ge $disk_requests ]
}
END
)

# count DEVICE KEY: what tinyvmm counted, of its first queue
count()
{
	tr -d '\n' <vm.log | sed 's/{"name": /\n&/g' | grep "\"$1\"" |
		grep -oE "\"$2\": ?[0-9]+" | head -n 1 | grep -oE '[0-9]+$'
}

# counted DEVICE KEY N
counted()
{
	[ "$(count "$1" "$2")" = "$3" ] || fail "no $2 of $3 for $1"
}

# image_holds SEED: every word of disk.img is what the guest writes there
image_holds()
{
	od -An -v -tu4 -w8 disk.img | awk -v seed="$1" -v bytes="$disk_bytes" '
		$1 != NR - 1 + seed || $2 != 4294967295 - $1 {
			print "word " NR - 1 ": " $0; bad = 1; exit
		}
		END { exit bad || NR * 8 != bytes }' ||
		fail "the image is not what the guest wrote"
}
