#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# doorbell.sh - pvio-bench doorbell on this machine's KVM, and on that of a guest
# which QEMU emulates, where there are hypercalls
#
# The figures are printed, and only their being there is checked: a doorbell has
# one, or pvio-bench says what is missing.

needs_kernel=1
. "$(dirname "$0")/lib.sh"

rows="empty loop|PIO, exit|PIO, ioeventfd|MMIO, exit|MMIO, ioeventfd, length 4"
rows+="|MMIO, ioeventfd, any length|WRMSR, exit"
kvm_row="hypercall, KVM's MAP_GPA_RANGE, exit"
hyperv_row="hypercall, Hyper-V signal, eventfd"
xen_rows="hypercall, Xen's, exit|hypercall, Xen event channel, eventfd"

# measured FILE ROW|...: they have figures
measured()
{
	local row

	tr '|' '\n' <<<"$2" | while read -r row; do
		grep -aE "^ *$row +[0-9.-]+ +[0-9.-]+ +[0-9.-]+ +ns/r" "$1" |
			tr -d '\r' | sed 's/^ */figure: /' | grep . ||
			fail "no figure for $row"
	done
}

# explained FILE ROW|...: they have none, and it is said why not
explained()
{
	local row

	tr '|' '\n' <<<"$2" | while read -r row; do
		grep -aE "^ *$row +not on this host: [A-Za-z]+" "$1" ||
			fail "nothing is said of $row"
	done
}

here_case()
{
	local row

	[ -w /dev/kvm ] || skip "no /dev/kvm here, or no right to use it"
	timeout 120 "$(program pvio-bench)" doorbell --rings 500 --repeat 3 \
		>out.log
	measured out.log "$rows"
	tr '|' '\n' <<<"$kvm_row|$hyperv_row|$xen_rows" | while read -r row; do
		grep -E "^ *$row +([0-9.-]+ .*ns/ring|not on this host: .)" \
			out.log || fail "nothing is said of $row"
	done
}

# nested_case MEASURED EXPLAINED
nested_case()
{
	have qemu-system-x86_64 busybox cpio
	kernel_get
	mkdir -p first.root
	with_libraries "$(program pvio-bench)" first.root
	steps first <<-END
		$hung_steps
		step "doorbells" without_hanging 70 pvio-bench doorbell \
			--rings 500 --repeat 3
	END
	nested_run first 80
	measured first.console "$1"
	[ -z "$2" ] || explained first.console "$2"
}

run_case doorbell-here here_case
kernel_of=stable
run_case doorbell-nested nested_case "$rows|$kvm_row|$hyperv_row" "$xen_rows"
kernel_of=sid
run_case doorbell-nested-sid nested_case \
	"$rows|$kvm_row|$hyperv_row|$xen_rows" ""
finish
