# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2034,SC2154
#
# vhost-pci.bash - two virtual machines, of which one serves the other's devices;
# sourced after lib.sh and vfio-user.bash
#
#	b	an ordinary guest: QEMU's vhost-user devices
#	host	pviod with a window, in the case's directory
#	a	the appliance: a guest with pviod, ordinary models and backends
#
# The appliance's disk is ./NAME.img, its own /dev/vda; its network card is a tap
# of its own, 10.0.0.1, with a nettool behind it.  When it has started it does
# what it is told to on its console: see tell().
#
# ivshmem is Debian stable's QEMU, vfio-user unstable's; b is always stable's.

b_mac=52:54:00:00:00:02

# --- the host ------------------------------------------------------------------

# vp_windows WINDOW...: ./pvio.conf with these.  A WINDOW is a name; its ports are
# NAME-disk and NAME-net, with sockets of these names, and its keys are in
# $window_keys.  Uses $carrier, and $window, bounce or ram.
vp_windows()
{
	local name windows=()

	for name; do
		windows+=("{ name = \"$name\"; carrier = \"$carrier\";
		  socket = \"$PWD/$name.sock\"; window = \"$window\";
		  $([ "$window" = bounce ] && echo 'size = "16M";' ||
			echo "file = \"$PWD/$name.ram\";")
		  ${window_keys-}
		  ports = (
		    { name = \"$name-disk\"; model = \"block\";
		      socket = \"$PWD/$name-disk.sock\"; },
		    { name = \"$name-net\"; model = \"net\";
		      socket = \"$PWD/$name-net.sock\"; } ); }")
		[ "$window" = bounce ] || truncate -s 256M "$name.ram"
	done
	cat >pvio.conf <<-END
		control = "$PWD/control.sock";
		windows = ( $(printf '%s,\n' "${windows[@]}" | sed '$s/,$//') );
	END
}

# vp_serve CARRIER WINDOW NAME...: pviod with windows of these names
vp_serve()
{
	local name

	carrier=$1 window=$2
	shift 2
	[ "$carrier" = ivshmem ] || {
		qemu_of=sid
		vfu_serve poll
	}
	vp_windows "$@"
	pviod_start
	for name; do
		started_makes "$PWD/$name.sock"
	done
}

# window_pid: of the process that is the broker of a window
window_pid()
{
	ps -o pid= --ppid "$pviod" | tr -d ' ' | head -n 1
}

# port_stats PORT NAME: a number of its counters, or of its window's
port_stats()
{
	counter "$@"
}

# --- the appliance -------------------------------------------------------------

# An initramfs with pviod and pvioctl, as they have been built.
initramfs_appliance()
{
	local root p

	initramfs_base "$1" "$kmods" "${qemu_modules[@]}" tun \
		irqbypass vfio vfio_virqfd vfio_iommu_type1 vfio-pci-core vfio-pci
	root=$(mktemp -d ./appliance.XXXXXX)
	mkdir -p "$root/lib"
	for p in pviod pvioctl; do
		# libtool's wrappers are not for other machines.
		if [ -x "$PVIO_BUILD/.libs/$p" ]; then
			LD_LIBRARY_PATH=$PVIO_BUILD/.libs \
				with_libraries "$PVIO_BUILD/.libs/$p" "$root"
		else
			with_libraries "$(program "$p")" "$root"
		fi
	done
	find "$root" -name 'libpvio.so*' -exec mv -t "$root/lib" {} +
	find "$root" -type f -exec strip --strip-debug {} + 2>/dev/null || :
	cpio_of "$root" "$root.cpio"
	cat "$root.cpio" >>"$1"
	rm -rf "$root" "$root.cpio"
}

# a_device N NAME ADDRESS MODEL PORT KEYS: one of the appliance's pvio.conf
a_device()
{
	cat <<-END
		{ name = "$2-$4"; model = "$4"; $6
		  transport = { type = "vhost-pci"; window = "$3";
		                port = $5; }; }
	END
}

# a_steps ACCESS ADDRESS...: what the appliance does.  The Nth window, at the
# ADDRESS of its function, has disk N, and a tap with 10.0.N.1.  With $a_later it
# does not start to serve by itself.
a_steps()
{
	local access=$1 n=0 address devices=() taps='' disk

	shift
	for address; do
		disk=/dev/vd$(printf '%b' "\\x$(printf %x $((97 + n)))")
		devices+=("$(a_device $n "w$n" "$address" block 0 \
			"cache = \"writethrough\";
			 backend = { type = \"file\"; path = \"$disk\"; };")")
		devices+=("$(a_device $n "w$n" "$address" net 1 \
			"mac = \"${b_mac%?}$((n + 2))\";
			 backend = { type = \"tap\"; ifname = \"tap$n\"; };")")
		taps+="tap tap$n 10.0.$n.1; "
		n=$((n + 1))
	done
	cat <<-END
		access=$access
		windows="$*"
		cat >/pvio.conf <<-CONF
			control = "/control.sock";
			guests = ( { name = "b"; devices = (
			$(printf '%s,\n' "${devices[@]}" | sed '$s/,$//')
			); } );
		CONF
	END
	cat <<-'END'
		tap() {
			tunctl -t $1 >/dev/null && ip link set $1 up &&
				ip addr add $2/24 dev $1
		}
		# Give the windows to user space.
		take() {
			case $access in
			module) insmod /modules/pvio_window.ko ;;
			vfio)
				for w in $windows; do
					echo vfio-pci >/sys/bus/pci/devices/$w/driver_override
					echo $w >/sys/bus/pci/drivers/vfio-pci/bind
				done
				;;
			esac
		}
		serve() {
			pviod -c /pvio.conf >>/pviod.log 2>&1 &
			pviod=$!
			until_true 20 test -S /control.sock
		}
		# unit: the process that serves
		unit() {
			grep -l "^PPid:[[:space:]]*$pviod\$" \
				/proc/[0-9]*/status 2>/dev/null |
				cut -d / -f 3 | head -n 1
		}
		has_new_unit() { [ -n "$(unit)" ] && [ "$(unit)" != "$1" ]; }
		# die N: kill -9 what serves, N times
		die() {
			i=0
			while [ $((i += 1)) -le $1 ]; do
				was=$(unit)
				kill -9 $was
				until_true 20 has_new_unit $was || say not ok kill $i
				usleep $((200000 + i * 50000))
			done
		}
		# Do what comes on the console, until it is "end".
		listen() {
			say serving
			while read -r line; do
				[ "$line" != end ] || break
				eval "$line"
			done
			sed 's/^/   pviod: /' /pviod.log
			kill $pviod
			wait $pviod
		}
	END
	cat <<-END
		# Behind what the firmware has left on the line.
		echo
		ip link set lo up
		step "taps" eval "$taps"
		nettool serve 5001 >/dev/null &
		start() { step "windows" take; step "pviod" serve; }
		${a_later:+:} start
		listen
	END
}

# a_start NAME ACCESS KERNEL ARGS...: an appliance, of whose windows the functions
# are in ARGS; NAME.steps is there; sets $a.  $a_machine is another than "pc".
a_start()
{
	local name=$1 access=$2 machine=(-machine "${a_machine:-pc}") qemu_way

	kernel_of=$3
	shift 3
	kernel_get
	guest_module=
	case $access in
	module) module_get pvio_window ;;
	vfio)
		machine=(-machine q35 -device intel-iommu,caching-mode=on)
		guest_args="intel_iommu=on ${guest_args-}"
		;;
	esac
	rm -f "$name.in"
	mkfifo "$name.in"
	# Open both ways, so that neither waits for the other.
	exec {input}<>"$name.in"
	a_input=$input
	case $carrier in
	ivshmem) qemu_of=stable qemu_way=qemu_start ;;
	vfio-user) qemu_of=sid qemu_way=vfu_start ;;
	esac
	guest_kind=appliance guest_input=$PWD/$name.in \
		"$qemu_way" "$name" "${machine[@]}" "$@"
	a=$guest
	guest_args='' guest_module='' qemu_of=stable kernel_of=stable
}

# tell COMMAND...: the appliance that was started last does it
tell()
{
	echo "+ a: $*"
	echo "$*" >&"$a_input"
}

# vp_show: what both sides say, before a case fails
vp_show()
{
	ctl stats || :
	for port in w0-disk w0-net; do
		ctl --json stats $port || :
	done
	tell 'cat /pviod.log; pvioctl -s /control.sock stats; say shown'
	within 10 guest_said a shown || :
}

# a_window N NAME: QEMU's arguments for the window NAME, at 0000:00:(N).0
a_window()
{
	case $carrier in
	ivshmem)
		echo -chardev "socket,id=$2,path=$PWD/$2.sock" \
			-device "ivshmem-doorbell,chardev=$2,vectors=32,addr=$1"
		;;
	vfio-user)
		echo -device "$(vfu_json "$2.sock" "\"addr\":\"$1\"")"
		;;
	esac
}

# a_disk NAME: QEMU's arguments for a disk of the appliance's own
a_disk()
{
	echo -drive "if=none,id=$1,file=$PWD/$1.img,format=raw" \
		-device "virtio-blk-pci,drive=$1"
}

# a_said NAME REGEX, a_says NAME REGEX SECONDS: guest_says for an appliance
a_says()
{
	local guest=$a

	guest_says "$@"
}

# --- the ordinary guest --------------------------------------------------------

# b_start NAME WINDOW ARGS...: a guest with the devices of a window; NAME.steps is
# there; sets $guest.  What is written to b_input is on its console.
b_start()
{
	local name=$1 w=$2 guest_memory=$guest_memory

	shift 2
	qemu_of=stable kernel_of=stable
	# Below the window's control area.
	[ "$window" = bounce ] ||
		guest_memory="-m 240 -object memory-backend-file,id=m,size=240M,mem-path=$PWD/$w.ram,share=on"
	rm -f "$name.in"
	mkfifo "$name.in"
	exec {b_input}<>"$name.in"
	# vectors=0: its QEMU crashes with more of them, without KVM.
	guest_input=$PWD/$name.in qemu_start "$name" \
		-chardev "socket,id=d,path=$PWD/$w-disk.sock,reconnect=1" \
		-device vhost-user-blk-pci,chardev=d \
		-chardev "socket,id=n,path=$PWD/$w-net.sock,reconnect=1" \
		-netdev vhost-user,id=n0,chardev=n \
		-device "virtio-net-pci,netdev=n0,mac=$b_mac,vectors=0,romfile=" \
		"$@"
}

# What it does with them.
b_steps=$(
	cat <<'END'
# disk_io SEED
disk_io() {
	step "write $1" blktool fill /dev/vda 50331648 4194304 $1
	step "read $1" blktool check /dev/vda 50331648 4194304 $1
}
# use BYTES [SUBNET]: all of it
use() {
	net=10.0.${2-0}
	step "network up" net_up 52:54:00:00:00:02 $net.2/24
	step "ping" ping -c 3 -i 0.2 -W 5 $net.1
	step "file system" file_system /dev/vda
	disk_io 7 &
	disk=$!
	net_io $net.1 $1
	wait $disk
}
END
)
