#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# window.sh - a window as a PCI function in stock QEMU, by vfio-user: its memory
# seen from both sides, the doorbell, and interrupts; there from the beginning,
# or plugged in; and after a reset
#
# 6.1 and 7.2 are the kernels of Debian stable and unstable.

needs_kernel=1
needs_sid=1
. "$(dirname "$0")/lib.sh"
. "$here/vfio-user.bash"

calls=200

# window_serve KERNEL SIZE: who uses the window, and how large it is
window_serve()
{
	vfu_serve trap "$1"
	kernel_get
	start host "$(program window-host)" "$PWD/window.sock" "$2"
	started_makes "$PWD/window.sock"
}

# window_tools NAME [MODULE...]: what guest NAME needs besides, modules in order
window_tools()
{
	local name=$1 m found

	shift
	mkdir -p "$name.root/tools" "$name.root/modules"
	cp "$(program windowtool)" "$name.root/tools/"
	for m; do
		# A name has - in its file, or _.
		found=$(find "$kmods" -name "${m//_/[_-]}.ko*" | head -n 1)
		case $found in
		*.xz) xz -dc "$found" >"$name.root/modules/$m.ko" ;;
		*.ko) cp "$found" "$name.root/modules/$m.ko" ;;
		esac
	done
}

window_steps=$(
	cat <<'END'
window() {
	for d in /sys/bus/pci/devices/*; do
		contains $d/vendor 0x1234 && contains $d/device 0x7077 &&
			basename $d && return
	done
	return 1
}
END
)

# window_kept CALLS INTERRUPTS: so many calls came, and so many interrupts or
# more went out
window_kept()
{
	local stats="^left: .*\"relayed_calls\": $1,"

	within 20 grep -q "$stats" host.log || fail "not $1 calls, or no end"
	stats=$(grep "$stats" host.log | grep -o '"relayed_kicks": [0-9]*')
	[ "${stats##* }" -ge "$2" ] || fail "$stats"
	vfu_polite guest
}

# sysfs_case KERNEL SIZE: twice, since the host's process outlives a QEMU
sysfs_case()
{
	local i

	window_serve "$1" "$2"
	for i in 1 2; do
		window_tools guest
		steps guest <<-END
			$window_steps
			step "window and doorbell" \
				windowtool sysfs \$(window) $calls
		END
		rm -f guest.trace
		vfu_start guest -device "$(vfu_json window.sock)"
		guest_done guest "$guest" 60
		grep -qa "   $(numfmt --from=iec "$2") bytes" guest.console ||
			fail "the window has another size"
	done
	window_kept $((2 * calls)) 0
}

# vfio_case KERNEL: with interrupts, before and after a reset of the machine
vfio_case()
{
	window_serve "$1" 16M
	window_tools guest irqbypass iommufd vfio_virqfd vfio vfio_iommu_type1 \
		vfio-pci-core vfio-pci
	steps guest <<-END
		$window_steps
		for m in irqbypass iommufd vfio_virqfd vfio; do
			[ ! -e /modules/\$m.ko ] || insmod /modules/\$m.ko
		done
		insmod /modules/vfio_iommu_type1.ko allow_unsafe_interrupts=1
		insmod /modules/vfio-pci-core.ko
		insmod /modules/vfio-pci.ko
		w=\$(window)
		echo vfio-pci >/sys/bus/pci/devices/\$w/driver_override
		echo \$w >/sys/bus/pci/drivers_probe
		step "calls and interrupts" windowtool vfio \$w $calls
		again() {
			windowtool vfio \$w $calls >/tmp/out
			local rc=\$?
			cat /tmp/out
			return \$rc
		}
		step "and again" again
		say done
		# The host resets the machine, once; the window stays.
		grep -q "^$((3 * calls)) calls before" /tmp/out || sleep 60
	END
	guest_args="intel_iommu=on"
	vfu_start guest -machine q35 -device intel-iommu,caching-mode=on \
		-action reboot=reset -device "$(vfu_json window.sock '"addr":"8"')"
	guest_says guest done 60
	# VFIO resets the function of a process that ends: so the host knows.
	within 20 grep -q "^left: .*\"relayed_calls\": $((2 * calls))," \
		host.log || fail "nobody has left"
	qmp guest system_reset
	guest_done guest "$guest" 90
	[ "$(grep -ca '@@ ok and again' guest.console)" = 2 ] ||
		fail "it did not work in both boots"
	window_kept $((4 * calls)) $((4 * calls))
}

# plug_case KERNEL SIZE: plugged into a running machine
plug_case()
{
	local port="-device pcie-root-port,id=rp,chassis=1"

	port+=",pref64-reserve=512M,mem-reserve=8M,io-reserve=0"
	window_serve "$1" "$2"
	window_tools guest
	steps guest <<-END
		$window_steps
		step "nothing yet" eval "! window"
		say ready
		step "plugged in" until_true 30 window
		step "window and doorbell" windowtool sysfs \$(window) $calls
	END
	# shellcheck disable=SC2086
	vfu_start guest -machine q35 $port
	guest_says guest ready 60
	qmp guest device_add "$(vfu_json window.sock '"id":"w","bus":"rp"')"
	guest_done guest "$guest" 60
	window_kept $calls 0
}

run_case window-6.1 sysfs_case stable 256M
run_case window-7.2 sysfs_case sid 4M
run_case window-vfio-6.1 vfio_case stable
run_case window-vfio-7.2 vfio_case sid
run_case window-plug-6.1 plug_case stable 256M
run_case window-plug-7.2 plug_case sid 64M
finish
