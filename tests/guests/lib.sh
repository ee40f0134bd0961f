# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# lib.sh - what the guest tests share; sourced by each of them
#
# A test is a list of cases: `run_case NAME FUNCTION ARGS...` runs the function
# with `set -e` in a directory of its own and prints one line, "PASS: NAME",
# "FAIL: NAME" with the logs, or "SKIP: NAME (why)".  `finish` sums up and ends
# with the exit code automake expects.  Arguments of the script choose cases by
# shell pattern.
#
# The script runs itself again in new network, process and mount namespaces: it
# needs no root, disturbs no interface of the host, and nothing it has started
# outlives it.
#
# Environment:
#	PVIO_BUILD	build directory (default: the working directory)
#	PVIO_CACHE	where the guest kernel is kept (/var/cache/pvio, or
#			~/.cache/pvio for users)
#	PVIO_TEST_DIR	keep logs here (default: a temporary directory)
#	PVIO_PATIENCE	multiplies all limits of time (3)
#	PVIO_TEST_QEMU	sid: run all guests with Debian unstable's QEMU, and
#	PVIO_TEST_KERNEL sid: with its kernel, instead of stable's
#	PVIO_TEST_PEER	qsd: serve disks with qemu-storage-daemon instead, or
#			qemu: network cards with QEMU itself, to tell a fault
#			of ours from one of the test

set -u
shopt -s nullglob
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PVIO_BUILD=${PVIO_BUILD:-$PWD}
if [ -z "${PVIO_CACHE-}" ]; then
	if [ "$(id -u)" = 0 ]; then
		PVIO_CACHE=/var/cache/pvio
	else
		PVIO_CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/pvio
	fi
fi
PVIO_TEST_PEER=${PVIO_TEST_PEER:-}
# Which release's: "stable" is that of the machine.  A case may set them.
qemu_of=${PVIO_TEST_QEMU:-stable}
kernel_of=${PVIO_TEST_KERNEL:-stable}
export PVIO_BUILD PVIO_CACHE PVIO_TEST_PEER

skip_all()
{
	echo "SKIP: $(basename "$0" .sh) ($*)"
	exit 77
}

# have PROGRAM...: skips the whole test (or case) when one is missing
have()
{
	local p
	for p; do
		command -v "$p" >/dev/null || skip "$p is not installed"
	done
}

if [ -z "${PVIO_TEST_INSIDE-}" ]; then
	# The machine's network is not there any more inside.
	[ -z "${needs_kernel-}" ] || "$here/fetch-kernel" "$PVIO_CACHE" || :
	case ${needs_sid-}$qemu_of$kernel_of in
	*1* | *sid*) "$here/fetch-sid" "$PVIO_CACHE" || : ;;
	esac
	[ -z "${needs_arm64-}" ] || "$here/fetch-arm64" "$PVIO_CACHE" || :
	for k in ${needs_module-}; do
		"$here/fetch-headers" "$PVIO_CACHE" "$k" || :
	done
	spaces=(--net --pid --mount --fork --kill-child --mount-proc)
	[ "$(id -u)" = 0 ] || spaces+=(--user --map-root-user)
	unshare "${spaces[@]}" true 2>/dev/null ||
		skip_all "no namespaces: unshare ${spaces[*]} fails here"
	PVIO_TEST_INSIDE=1 exec unshare "${spaces[@]}" "$BASH" "$0" "$@"
fi

ip link set lo up
work=${PVIO_TEST_DIR:-$(mktemp -d /tmp/pvio-test.XXXXXX)}
mkdir -p "$work"
wanted=("$@")
passed=0 failed=0 skipped=0
pids=() links=() # of a case, to be removed at its end
transport='type = "vhost-user";' # of its devices

# --- cases --------------------------------------------------------------------

skip()
{
	echo "$*" >skipped
	exit 77
}

fail()
{
	echo "failed: $*"
	exit 1
}

stop_all()
{
	local pid link

	set +e
	for pid in "${pids[@]}"; do
		kill "$pid" 2>/dev/null
	done
	for pid in "${pids[@]}"; do
		gone_within "$pid" 1 || kill -KILL "$pid" 2>/dev/null
	done
	pids=()
	for link in "${links[@]}"; do
		ip link del "$link"
	done
}

show_logs()
{
	local f
	for f in "$1"/*.log "$1"/*.conf "$1"/*.console; do
		echo "  --- ${f##*/}"
		tail -n 80 "$f" | tr -d '\r' | sed 's/^/  /'
	done
}

run_case()
{
	local name=$1 dir=$work/$1 rc pattern chosen start=$EPOCHREALTIME

	shift
	if [ "${#wanted[@]}" -gt 0 ]; then
		chosen=
		for pattern in "${wanted[@]}"; do
			# shellcheck disable=SC2053
			[[ $name == $pattern ]] && chosen=1
		done
		[ -n "$chosen" ] || return 0
	fi
	rm -rf "$dir"
	mkdir -p "$dir"
	(
		trap stop_all EXIT
		trap 'exit 1' TERM INT
		cd "$dir" || exit 1
		set -e
		"$@"
	) >"$dir/case.log" 2>&1 </dev/null &
	wait $!
	rc=$?
	case $rc in
	0)
		passed=$((passed + 1))
		echo "PASS: $name ($(since "$start") s)"
		grep '^figure: ' "$dir/case.log" | sed 's/^figure:/     /'
		[ -n "${PVIO_TEST_DIR-}" ] || rm -rf "$dir"
		;;
	77)
		skipped=$((skipped + 1))
		echo "SKIP: $name ($(cat "$dir/skipped"))"
		;;
	*)
		failed=$((failed + 1))
		echo "FAIL: $name ($(since "$start") s)"
		show_logs "$dir"
		;;
	esac
}

since()
{
	awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }'
}

finish()
{
	echo "$(basename "$0" .sh): $passed passed, $failed failed," \
		"$skipped skipped"
	if [ "$failed" -gt 0 ]; then
		echo "logs are in $work"
		exit 1
	fi
	[ -n "${PVIO_TEST_DIR-}" ] || rm -rf "$work"
	[ "$passed" -gt 0 ] || exit 77
	exit 0
}

# --- waiting ------------------------------------------------------------------

# within SECONDS COMMAND...: until it succeeds; on a machine with nothing else
# to do, so we wait PVIO_PATIENCE times as long
within()
{
	local until=$((SECONDS + $1 * ${PVIO_PATIENCE:-3} + 1))

	shift
	while ! "$@"; do
		[ "$SECONDS" -lt "$until" ] || return 1
		sleep 0.02
	done
}

is_gone()
{
	! kill -0 "$1" 2>/dev/null || [ "$(ps -o stat= -p "$1" | cut -c1)" = Z ]
}

gone_within()
{
	within "$2" is_gone "$1"
}

# start NAME COMMAND...: in the background, output to NAME.log; sets $started
start()
{
	local name=$1

	shift
	echo "+ $*"
	"$@" >"$name.log" 2>&1 </dev/null &
	started=$!
	pids+=("$started")
}

# started_makes SOCKET: or its log is shown
started_makes()
{
	# shellcheck disable=SC2016
	within 10 test -S "$1" || fail "no socket $1"
}

# --- pvio ---------------------------------------------------------------------

# program NAME: its path
program()
{
	local p
	for p in "$PVIO_BUILD/$1" "$PVIO_BUILD/tools/$1" \
		"$PVIO_BUILD/tests/guests/$1" \
		"$PVIO_BUILD/examples/tinyvmm/$1" \
		"$PVIO_BUILD/guest/baremetal/$1"; do
		[ ! -x "$p" ] || {
			echo "$p"
			return
		}
	done
	command -v "$1" || {
		echo "$1 is not built" >&2
		return 1
	}
}

# pviod_start: with ./pvio.conf; waits for its control socket; sets $pviod
pviod_start()
{
	start pviod "$(program pviod)" -c "$PWD/pvio.conf"
	pviod=$started
	started_makes "$PWD/control.sock"
}

ctl()
{
	timeout 10 "$(program pvioctl)" -s "$PWD/control.sock" "$@"
}

# --- guests -------------------------------------------------------------------

# image FILE MIB: a sparse disk
image()
{
	truncate -s "${2}M" "$1"
}

# kernel_get: sets $vmlinuz and $kmods
kernel_get()
{
	local dir=$PVIO_CACHE/cloud-kernel

	if [ "$kernel_of" = sid ]; then
		sid_get
		have xz
		kmods=$(echo "$sid"/usr/lib/modules/*)
		vmlinuz=$kmods/vmlinuz
		return
	fi
	[ -e "$dir/done" ] || skip "no guest kernel: see fetch-kernel"
	vmlinuz=$(echo "$dir"/boot/vmlinuz-*)
	kmods=$(echo "$dir"/lib/modules/*)
}

# module_get [MODULE]: sets $guest_module, of guest/linux built for the guest's
# kernel, which its initramfs has then in /modules
module_get()
{
	guest_module=$("$here/build-module" "$PVIO_CACHE" "$kernel_of" "$@") ||
		skip "no module: see fetch-headers and build-module"
}

# sid_get: sets $sid, a tree of Debian unstable
sid_get()
{
	sid=$PVIO_CACHE/sid
	[ -e "$sid/done" ] || skip "no tree of Debian unstable: see fetch-sid"
}

# qemu_get: sets $qemu, the command, and $reconnect, its option for sockets,
# whose name has changed.  Unstable's sees its own tree as /usr, so
# that it finds its libraries and firmware, and all else as it is; it is one
# process with the shell that starts it.
qemu_get()
{
	qemu=(qemu-system-x86_64)
	reconnect=reconnect=1
	if [ "$qemu_of" = sid ]; then
		sid_get
		# shellcheck disable=SC2016
		qemu=(unshare -m sh -c 'mount --bind "$0" /usr && exec "$@"'
			"$sid/usr" "${qemu[@]}")
		reconnect=reconnect-ms=1000
	else
		have "${qemu[@]}"
	fi
}

# cpio_of DIR FILE: an initramfs piece; the kernel takes several in a row
cpio_of()
{
	(cd "$1" && find . -mindepth 1 | cpio -o -H newc --quiet -R 0:0) >"$2"
}

# with_libraries PROGRAM DIR: the program and what it is linked with
with_libraries()
{
	local lib

	install -D "$1" "$2/bin/${1##*/}"
	ldd "$1" | grep -o '/[^ ]*' | while read -r lib; do
		install -D "$lib" "$2$lib"
	done
}

# initramfs_base FILE MODULES_DIR MODULE...: everything but the steps
initramfs_base()
{
	local file=$1 dir=$2 root m found

	shift 2
	root=$(mktemp -d ./initramfs.XXXXXX)
	mkdir -p "$root"/{bin,tools,modules,dev,proc,sys,tmp,mnt}
	cp "$(command -v busybox)" "$root/bin/busybox"
	cp "$(program blktool)" "$(program nettool)" "$root/tools/"
	with_libraries "$(command -v mke2fs || echo /sbin/mke2fs)" "$root"
	mv "$root/bin/mke2fs" "$root/tools/"
	install -m 755 "$here/guest-init.sh" "$root/init"
	for m; do
		found=$(find "$dir" -name "$m.ko*" | head -n 1)
		case $found in
		*.xz) xz -dc "$found" >"$root/modules/$m.ko" ;;
		*.ko) cp "$found" "$root/modules/" ;;
		esac
	done
	echo "$@" >"$root/modules/order"
	cpio_of "$root" "$file"
	rm -rf "$root"
}

# steps NAME <<EOF: what the guest is to do; makes NAME.steps
steps()
{
	cat >"$1.steps"
}

qemu_modules=(virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev
	virtio_pci virtio_mmio failover net_failover virtio_net virtio_blk
	crc16 crc32c_generic libcrc32c mbcache jbd2 ext4)

# initramfs KIND NAME: NAME.initrd for guest NAME from its NAME.steps; a KIND that
# is not known here has a function initramfs_KIND FILE
initramfs()
{
	local base=$work/$1-$kernel_of.base

	[ -e "$base" ] || case $1 in
	uml)
		initramfs_base "$base" /usr/lib/uml/modules \
			failover net_failover virtio_net virtio_blk
		;;
	qemu)
		initramfs_base "$base" "$kmods" "${qemu_modules[@]}"
		;;
	nested)
		initramfs_base "$base" "$kmods" irqbypass ccp kvm kvm-amd tun
		;;
	*)
		"initramfs_$1" "$base"
		;;
	esac
	mkdir -p "$2.root/modules"
	cp "$2.steps" "$2.root/steps"
	[ -z "${guest_module-}" ] || cp "$guest_module" "$2.root/modules/"
	cpio_of "$2.root" "$2.cpio"
	cat "$base" "$2.cpio" >"$2.initrd"
	rm -rf "$2.root" "$2.cpio"
}

# uml_start NAME ARGS...: a User-mode Linux guest; sets $guest
uml_start()
{
	local name=$1

	shift
	have linux.uml busybox cpio
	initramfs uml "$name"
	echo "+ linux.uml $*"
	LD_PRELOAD=$(program .libs/uml-xstate.so) \
		linux.uml mem=128M initrd="$name.initrd" con=null con0=null,fd:1 \
		uml_dir="$PWD" umid="$name" \
		quiet panic=-1 "$@" >"$name.console" 2>&1 </dev/null &
	guest=$!
	pids+=("$guest")
}

# Emulated timers come late on a busy machine, which Linux takes for broken
# hardware.
kernel_args="console=ttyS0 quiet panic=-1 no_timer_check nowatchdog"
kernel_args+=" rcupdate.rcu_cpu_stall_suppress=1"
# For guest_stuck(), and so that an address can be looked up in System.map.
kernel_args+=" nokaslr sysrq_always_enabled"

# What is different for some guests: a case may set them, and $guest_input, where
# the console's input is from.
guest_kind=qemu
guest_memory="-m 256 -object memory-backend-memfd,id=m,size=256M,share=on"

# smp_of ARGS...: the number of processors that QEMU's arguments ask for
smp_of()
{
	local n=1

	while [ $# -gt 0 ]; do
		[ "$1" != -smp ] || n=$2
		shift
	done
	echo "$n"
}

# qemu_start NAME ARGS...: Debian's QEMU without KVM, with a monitor that answers
# into NAME.mon; sets $guest
qemu_start()
{
	local name=$1 smp=()

	shift
	# A machine that can have no more than one processor has no atomic
	# instructions, as seen by other processes: an exchange loses what is
	# written between its two halves.
	[ "$(smp_of "$@")" != 1 ] || smp=(-smp 1,maxcpus=2)
	have busybox cpio
	qemu_get
	kernel_get
	initramfs "$guest_kind" "$name"
	# There may have been one of this name before.
	rm -f "$name".mon*
	mkfifo "$name.mon.in" "$name.mon.out"
	cat "$name.mon.out" >"$name.mon" &
	pids+=("$!")
	echo "+ qemu-system-x86_64 $*"
	# shellcheck disable=SC2086
	"${qemu[@]}" -accel tcg -nodefaults -nographic -no-reboot \
		-cpu max -serial stdio -kernel "$vmlinuz" \
		-initrd "$name.initrd" -append "$kernel_args ${guest_args-}" \
		$guest_memory -machine memory-backend=m \
		-chardev "pipe,id=mon,path=$PWD/$name.mon" -monitor chardev:mon \
		"$@" "${smp[@]}" \
		>"$name.console" 2>"$name.log" <"${guest_input:-/dev/null}" &
	guest=$!
	pids+=("$guest")
}

# nested_initramfs NAME FILE...: NAME.initrd for a guest that has KVM itself, with
# tinyvmm, and the files and its own kernel (/vmlinuz) in its root
nested_initramfs()
{
	local name=$1 file

	shift
	have busybox cpio
	mkdir -p "$name.root"
	with_libraries "$(program tinyvmm)" "$name.root"
	cp "$vmlinuz" "$name.root/vmlinuz"
	for file; do
		cp "$file" "$name.root/"
	done
	initramfs nested "$name"
}

# nested_start NAME: that guest; sets $guest.  It has $nested_cpus processors, or
# two.
nested_start()
{
	local name=$1

	qemu_get
	"${qemu[@]}" -accel tcg -nodefaults -nographic -no-reboot -m 1024 \
		-cpu max -smp "${nested_cpus-2}" -serial stdio \
		-kernel "$vmlinuz" -initrd "$name.initrd" -append "$kernel_args" \
		>"$name.console" 2>"$name.log" </dev/null &
	guest=$!
	pids+=("$guest")
}

# nested_run NAME SECONDS FILE...: both, until it has ended well.  QEMU's
# emulation of two processors with SVM is not what is tested, and it is not
# perfect: the guest was seen to hang before its first word, or to end as by a
# triple fault, when nothing of ours had run yet, and a guest of it before its
# first word or in a sleep, or, with two processors, to end by a triple fault; or
# the first to panic ("Oops: int3" in __schedule(): one processor runs what the
# other is patching); once in some tens of runs, under 7.2 and 11.1.  The same
# guests never did under KVM without QEMU.  So a run in which the first kernel did
# not get to its end is made again, up to three times, one whose steps say "hung"
# once, and that is said.  Nor does QEMU deliver each interrupt just once: some
# come twice.
nested_run()
{
	local name=$1 limit=$2 ends=0 hangs=0

	shift 2
	nested_initramfs "$name" "$@"
	while
		nested_start "$name"
		gone_within "$guest" "$limit" || kill -KILL "$guest"
		gone_within "$guest" 10
		if ! grep -qa '^@@ end' "$name.console"; then
			[ $((ends += 1)) -le 3 ]
		else
			grep -qa '@@ hung' "$name.console" &&
				[ $((hangs += 1)) -le 1 ]
		fi
	do
		echo "figure: hung, and was tried again; its last words:" \
			"$(tr -d '\r' <"$name.console" | grep -a . |
				tail -n 1 | cut -c1-60)"
		mv "$name.console" "$name-hung$ends$hangs.log"
	done
	guest_done "$name" "$guest" "$limit"
}

# hung_steps: a function of steps, "without_hanging SECONDS COMMAND..."
hung_steps=$(
	cat <<'END'
without_hanging()
{
	local status=0

	timeout "$@" || status=$?
	# What timeout says: by itself, or of the signal it sent.
	case $status in
	124 | 143) say hung "$@" ;;
	esac
	return $status
}
END
)

# monitor NAME COMMAND...: of qemu_start's guest, if it is still there; the answer
# is not waited for
monitor()
{
	local name=$1

	shift
	# shellcheck disable=SC2016
	[ ! -p "$name.mon.in" ] ||
		timeout 5 sh -c 'printf "%s\n" "$@" >"$0"' "$name.mon.in" "$@"
}

# guest_asked NAME: what its processors and pviod's queues do goes into
# NAME-stuck.log; what its kernel says of them, and of the tasks that wait, to its
# console.
guest_asked()
{
	local ask socket

	for ask in "info status" "info registers -a" "info lapic 0" "info lapic 1" \
		"info pic" "info irq" "info registers -a" "sendkey alt-sysrq-9" \
		"sendkey alt-sysrq-w" "sendkey alt-sysrq-l"; do
		monitor "$1" "$ask" || :
		sleep 1
	done
	{
		tr -d '\r' <"$1.mon" | grep -av '^[A-DF-QS-Z].*=\|masked\|(qemu)'
		for socket in *control*; do
			[ ! -S "$socket" ] || timeout 10 "$(program pvioctl)" \
				-s "$PWD/$socket" stats
		done
	} >"$1-stuck.log" 2>&1 || :
}

# guest_stuck NAME WHY: it does not go on
guest_stuck()
{
	guest_asked "$1"
	fail "$2"
}

# guest_said NAME REGEX
guest_said()
{
	grep -qaE "^@@ $2" "$1.console" || is_gone "$guest"
}

# guest_says NAME REGEX SECONDS: wait for it
guest_says()
{
	within "$3" guest_said "$1" "$2" && grep -qaE "^@@ $2" "$1.console" ||
		guest_stuck "$1" "guest $1 did not say '$2' in $3 s"
}

# guest_word NAME WORD: what came after it
guest_word()
{
	tr -d '\r' <"$1.console" | sed -n "s/^@@ $2 //p" | tail -n 1
}

# guest_done NAME PID SECONDS: it has ended, and all its steps were good
guest_done()
{
	gone_within "$2" "$3" || guest_stuck "$1" "guest $1 did not end in $3 s"
	grep -qaE '^@@ end' "$1.console" || fail "guest $1 ended early"
	if grep -aE '^@@ not ok' "$1.console"; then
		fail "guest $1 reported the above"
	fi
	grep -a '^   .*[0-9]/s\|^   .*MB/s' "$1.console" | tr -d '\r' |
		sed 's/^ */figure: /' || :
}

# e2fsck_clean IMAGE: the host agrees that the file system is whole
e2fsck_clean()
{
	PATH=$PATH:/sbin:/usr/sbin e2fsck -fn "$1"
}

# --- disks --------------------------------------------------------------------

# disk_start SERVER IMAGE [OPTION...]: serve it at ./disk.sock; SERVER is pviod
# or pvio-block; an OPTION is queues=N, read-only, or "KEY = VALUE;" of pvio.conf
disk_start()
{
	local server=$1 file=$2 queues=1 ro='' keys='' o

	shift 2
	for o; do
		case $o in
		queues=*) queues=${o#*=} ;;
		read-only) ro=1 ;;
		*\;) keys+=$o ;;
		*) fail "disk_start: option $o?" ;;
		esac
	done
	case ${PVIO_TEST_PEER:-$server} in
	pviod)
		cat >pvio.conf <<-END
			control = "$PWD/control.sock";
			guests = ( { name = "vm"; devices = (
			  { name = "disk"; model = "block"; queues = $queues; $keys
			    ${ro:+read_only = true;}
			    backend = { type = "file"; path = "$file"; };
			    transport = { $transport socket = "$PWD/disk.sock"; };
			  } ); } );
		END
		pviod_start
		;;
	pvio-block)
		start pvio-block "$(program pvio-block)" \
			--socket-path="$PWD/disk.sock" --blk-file="$file" \
			--num-queues="$queues" ${ro:+--read-only} \
			$([[ $transport != *vfio-user* ]] || echo --vfio-user)
		;;
	qsd)
		have qemu-storage-daemon
		start qsd qemu-storage-daemon \
			--blockdev "file,filename=$file,node-name=f,discard=unmap${ro:+,read-only=on}" \
			--export "vhost-user-blk,id=e,node-name=f,num-queues=$queues,addr.type=unix,addr.path=$PWD/disk.sock,writable=$([ -n "$ro" ] && echo off || echo on)"
		;;
	esac
	disk_server=$started
	started_makes "$PWD/disk.sock"
}

# --- networks -----------------------------------------------------------------

# tap_up NAME [multi_queue]: a tap of this test's own network, 10.0.0.1 and
# fd00::1, with a nettool behind it
tap_up()
{
	have ip
	[ -e /dev/net/tun ] || skip "there is no /dev/net/tun"
	ip tuntap add "$1" mode tap vnet_hdr ${2:+"$2"} ||
		skip "no right to make a tap"
	ip link set "$1" up
	ip addr add 10.0.0.1/24 dev "$1"
	ip addr add fd00::1/64 dev "$1" nodad
	start nettool "$(program nettool)" serve 5001
	links+=("$1")
}

# What a guest does on its network, as a function of its steps: both ways, TCP
# in pieces that need segmentation, and datagrams of all sizes.
net_steps=$(
	cat <<'END'
# net_io ADDRESS [BYTES]
net_io()
{
	step "tcp to $1" nettool tcp "$1" 5001 send "${2:-20000000}" 1
	step "tcp from $1" nettool tcp "$1" 5001 recv "${2:-20000000}" 2
	step "udp with $1" nettool udp "$1" 5001 2000 3
}
END
)

# net_start BACKEND [KEY=VALUE;...]: serve a card at ./net.sock; BACKEND is a
# group of pvio.conf
net_start()
{
	cat >pvio.conf <<-END
		control = "$PWD/control.sock";
		guests = ( { name = "vm"; devices = (
		  { name = "net"; model = "net"; mac = "52:54:00:00:00:01"; ${2-}
		    backend = { $1 };
		    transport = { $transport socket = "$PWD/net.sock"; }; } ); } );
	END
	pviod_start
	started_makes "$PWD/net.sock"
}

# Two cards on one switch, at ./net1.sock (by $transport) and ./net2.sock.
switch_start()
{
	cat >pvio.conf <<-END
		control = "$PWD/control.sock";
		switches = ( { name = "sw"; } );
		guests = (
		  { name = "vm1"; devices = (
		    { name = "net1"; model = "net"; mac = "52:54:00:00:00:01"; ${1-}
		      backend = { type = "switch"; switch = "sw"; };
		      transport = { $transport socket = "$PWD/net1.sock"; };
		    } ); },
		  { name = "vm2"; devices = (
		    { name = "net2"; model = "net"; mac = "52:54:00:00:00:02"; ${1-}
		      backend = { type = "switch"; switch = "sw"; };
		      transport = { type = "vhost-user";
		                    socket = "$PWD/net2.sock"; }; } ); } );
	END
	pviod_start
	started_makes "$PWD/net1.sock"
	started_makes "$PWD/net2.sock"
}

# The steps of two guests on a switch: the first serves, the second asks, and
# tells it to stop.
switch_steps()
{
	steps guest1 <<-'END'
		step "network up" net_up 52:54:00:00:00:01 10.0.0.1/24
		nettool serve 5001 >/dev/null &
		step "told to stop" timeout 120 nc -l -p 5002
	END
	steps guest2 <<-END
		$net_steps
		step "network up" net_up 52:54:00:00:00:02 10.0.0.2/24
		step "the other guest" until_true 60 ping -c 1 -W 1 10.0.0.1
		step "it serves" until_true 60 nettool tcp 10.0.0.1 5001 send 8 1
		net_io 10.0.0.1 ${1-}
		step "tell it to stop" nc 10.0.0.1 5002 -w 5 </dev/null
	END
}

# passt_start: user-mode networking at ./passt.sock; the guest's gateway,
# 192.0.2.1, is the host's own 127.0.0.1, with a nettool behind it
passt_start()
{
	have passt ip
	ip link add uplink type veth peer name downlink
	ip link set uplink up
	ip link set downlink up
	ip addr add 192.0.2.2/24 dev uplink
	ip route add default via 192.0.2.1
	links+=(uplink)
	start passt passt --foreground --stderr --runas 0:0 \
		--socket "$PWD/passt.sock" \
		--no-ndp --no-dhcpv6 --ipv4-only
	started_makes "$PWD/passt.sock"
	start nettool "$(program nettool)" serve 5001
}
