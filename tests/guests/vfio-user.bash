# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2034,SC2154
#
# vfio-user.bash - for tests with QEMU's vfio-user client; sourced after lib.sh
#
# QEMU of Debian unstable, with either kernel.  What passes between QEMU and
# pvio is in NAME.trace, from QEMU's side.

qemu_of=sid

# A place on q35 to plug into.
root_port="-device pcie-root-port,id=rp,chassis=1"
root_port+=,pref64-reserve=8M,mem-reserve=8M,io-reserve=0

# The machine of a guest that sleeps.  It has one processor: with two the second
# does not come back from about one S3 in fifty, with pvio's disk or QEMU's own
# ("CPU1 failed to report alive state": it runs what is at address 0, as if its
# INIT came after its SIPI), and Linux then waits for an interrupt of the queue
# that was that processor's.
sleeper=(-smp 1)

# vfu_serve DOORBELL [KERNEL]: how devices are served and who drives them
vfu_serve()
{
	transport="type = \"vfio-user\"; doorbell = \"$1\";"
	kernel_of=${2:-stable}
	qemu_get
	"${qemu[@]}" -device help | grep -q '"vfio-user-pci"' ||
		skip "this QEMU has no vfio-user-pci"
}

# vfu_json SOCKET [MEMBERS]: the device as -device and device_add take it
vfu_json()
{
	printf '{"driver":"vfio-user-pci",%s"socket":{"type":"unix","path":"%s"}}' \
		"${2:+$2,}" "$PWD/$1"
}

# vfu_start NAME ARGS...: qemu_start with the conversation written down, and a
# QMP monitor
vfu_start()
{
	local name=$1

	shift
	# There may have been one of this name before.
	rm -f "$name".qmp*
	mkfifo "$name.qmp.in" "$name.qmp.out"
	cat "$name.qmp.out" >"$name.qmp" &
	pids+=("$!")
	qemu_start "$name" -trace 'vfio_user*' -D "$name.trace" \
		-chardev "pipe,id=qmp,path=$PWD/$name.qmp" \
		-mon chardev=qmp,mode=control "$@"
	echo '{"execute":"qmp_capabilities"}' >"$name.qmp.in"
}

# qmp NAME COMMAND [ARGUMENTS]: the answer is not waited for
qmp()
{
	echo "+ qmp $2 ${3-}"
	echo "{\"execute\":\"$2\"${3:+,\"arguments\":$3}}" >"$1.qmp.in"
}

# was_suspended NAME TIMES: QEMU has said so of the guest
was_suspended()
{
	[ "$(grep -c '"SUSPEND"' "$1.qmp")" -ge "$2" ]
}

# was_deleted NAME TIMES: QEMU has said so of a device
was_deleted()
{
	[ "$(grep -c DEVICE_DELETED "$1.qmp")" -ge "$2" ]
}

# vfu_unplugged NAME TIMES: wait for it.  The guest's driver is gone before its
# slot is powered off, and until then the device is in QEMU's way.
vfu_unplugged()
{
	within 60 was_deleted "$1" "$2" || fail "QEMU still has the device"
}

# vfu_hotplug NAME SOCKET: start guest NAME, which runs $hotplug_steps, plug the
# device in and pull it out, twice
vfu_hotplug()
{
	local i

	# shellcheck disable=SC2086
	vfu_start "$1" -machine q35 $root_port
	for i in 1 2; do
		guest_says "$1" "empty $((i - 1))" 60
		vfu_unplugged "$1" $((i - 1))
		qmp "$1" device_add "$(vfu_json "$2" '"id":"d","bus":"rp"')"
		guest_says "$1" "plugged $i" 60
		qmp "$1" device_del '{"id":"d"}'
		guest_says "$1" "empty $i" 60
	done
	guest_done "$1" "$guest" 60
}

# The guest's side of it: is the device there(), is it gone(), and its use_it().
hotplug_steps=$(
	cat <<'END'
step "nothing yet" gone
say empty 0
for i in 1 2; do
	step "plugged in $i" until_true 30 there
	use_it
	say plugged $i
	step "pulled out $i" until_true 30 gone
	say empty $i
done
END
)

# vfu_polite NAME: QEMU had nothing to complain of, and no request was refused
vfu_polite()
{
	if grep -E 'vfio|reply|spurious' "$1.log"; then
		fail "QEMU said the above"
	fi
	[ -s "$1.trace" ] || fail "no messages were seen"
	# Flag 0x20: an error.
	if grep -E 'vfio_user_recv_hdr .* flags 0x[2367ab]' "$1.trace"; then
		fail "pvio refused the above"
	fi
}

# vfu_rang NAME DOORBELL: its doorbells were messages that nobody answered, or no
# messages; sets $rings
vfu_rang()
{
	local silent

	rings=$(grep -cE 'region_rw .*region 4 .*0x3[0-9a-f]{3}' "$1.trace") || :
	silent=$(($(grep -c 'vfio_user_region_rw' "$1.trace") -
		$(grep -cE 'vfio_user_recv_hdr .* cmd 0x(9|a) ' "$1.trace")))
	case $2 in
	trap)
		[ "$rings" -gt 100 ] || fail "$rings doorbells were trapped"
		[ "$silent" -ge "$rings" ] ||
			fail "of $rings doorbells some were answered: $silent were not"
		;;
	poll)
		[ "$rings" = 0 ] || fail "$rings doorbells were trapped"
		[ "$silent" = 0 ] || fail "$silent accesses were not answered"
		;;
	esac
}

# What a guest says of the device behind a sysfs directory.
vfu_steps=$(
	cat <<'END'
# about DIRECTORY: of the virtio device
about()
{
	say features $(cat "$1/features")
	n=$(basename "$(readlink -f "$1")")
	say irqs $(grep "$n" /proc/interrupts | grep -oE 'MSI|IO-APIC' | sort -u)
}
END
)

# feature NAME BIT: 0 or 1, as the guest has it
feature()
{
	local bits

	bits=$(guest_word "$1" features)
	echo "${bits:$2:1}"
}

# counter DEVICE NAME: of pvioctl's JSON, summed up
counter()
{
	ctl --json stats "$1" | tr ',{}' '\n' |
		awk -F: -v n="\"$2\"" '{ gsub(/ /, "") } $1 == n { s += $2 }
			END { print s + 0 }'
}
