#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# Each mistake in a configuration is refused with status 2, its file, line and
# key (rows C01 to C04 of the hostile inputs), and touches nothing.
set -u
pviod=${PVIO_BUILD:-.}/pviod
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
failed=0

fail() {
	echo "FAIL: $1"
	sed 's/^/	/' "$dir/said"
	failed=1
}

# refused PATTERN: what stdin holds is refused, with words that match.
refused() {
	cat > "$dir/pvio.conf"
	"$pviod" -c "$dir/pvio.conf" --check > "$dir/said" 2>&1
	status=$?
	[ $status = 2 ] || fail "$1: status $status"
	grep -q -- "$1" "$dir/said" || fail "no \"$1\" in the message"
}

accepted() {
	cat > "$dir/pvio.conf"
	"$pviod" -c "$dir/pvio.conf" --check > "$dir/said" 2>&1 ||
		fail "$1: refused with status $?"
	[ -s "$dir/said" ] && fail "$1: not silent"
}

# A guest with one device: its lines 4 on come from stdin.
device() {
	printf 'guests = ( { name = "vm1";\ndevices = (\n{ name = "d";\n'
	cat
	printf '} ); } );\n'
}
vhost='transport = { type = "vhost-user"; socket = "'$dir'/d.sock"; };'
memory='backend = { type = "memory"; size = "1M"; };'

accepted "a disk" <<END
$(echo "model = \"block\"; $memory $vhost" | device)
END
accepted "nothing at all" < /dev/null

refused 'pvio.conf:1: guestss: unknown key' <<END
guestss = ( );
END
refused 'pvio.conf:2: ' <<END
guests = (
END
refused 'pvio.conf:1: guests: ' <<END
guests = 3;
END
refused 'pvio.conf:1: workers: ' <<END
guests = ( { name = "vm1"; workers = 0; devices = ( ); } );
END
refused 'pvio.conf:1: name: ' <<END
guests = ( { devices = ( ); } );
END
refused 'pvio.conf:1: name: ' <<END
guests = ( { name = "../vm1"; devices = ( ); } );
END
refused 'pvio.conf:2: name: there is another "vm1"' <<END
guests = ( { name = "vm1"; devices = ( ); },
	   { name = "vm1"; devices = ( ); } );
END
refused 'pvio.conf:3: model: ' <<END
$(echo "$memory $vhost" | device)
END
refused 'pvio.conf:4: model: ' <<END
$(echo "model = \"teapot\"; $memory $vhost" | device)
END
refused 'pvio.conf:4: model: ' <<END
$(echo "model = 7; $memory $vhost" | device)
END
refused 'pvio.conf:4: type: ' <<END
$(echo "model = \"block\"; backend = { type = \"tape\"; }; $vhost" | device)
END
refused 'pvio.conf:4: type: ' <<END
$(echo "model = \"block\"; $memory transport = { type = \"pigeon\"; };" | device)
END
refused 'pvio.conf:3: transport: missing' <<END
$(echo "model = \"block\"; $memory" | device)
END
refused 'pvio.conf:5: colour: unknown key' <<END
$(printf 'model = "block"; %s %s\ncolour = 7;\n' "$memory" "$vhost" | device)
END
refused 'pvio.conf:4: path: unknown key' <<END
$(echo "model = \"block\"; backend = { type = \"memory\"; size = \"1M\";
path = \"x\"; }; $vhost" | tr '\n' ' ' | device)
END
refused 'pvio.conf:4: size: ' <<END
$(echo "model = \"block\"; backend = { type = \"memory\"; size = -1; }; $vhost" |
	device)
END
refused 'pvio.conf:4: size: ' <<END
$(echo "model = \"block\"; backend = { type = \"memory\"; size = \"9E9\"; }; $vhost" |
	device)
END
refused 'pvio.conf:4: queues: ' <<END
$(echo "model = \"block\"; queues = 100000; $memory $vhost" | device)
END
refused 'pvio.conf:4: queue_size: must be a power of 2' <<END
$(echo "model = \"block\"; queue_size = 100; $memory $vhost" | device)
END
refused 'pvio.conf:4: read_only: ' <<END
$(echo "model = \"block\"; read_only = \"yes\"; $memory $vhost" | device)
END
refused 'pvio.conf:4: socket: ' <<END
$(echo "model = \"block\"; $memory transport = { type = \"vhost-user\";
socket = \"/$(printf '%0120d' 0)\"; };" | tr '\n' ' ' | device)
END
refused 'pvio.conf:4: socket_mode: ' <<END
$(echo "model = \"block\"; $memory transport = { type = \"vhost-user\";
socket = \"$dir/d.sock\"; socket_mode = \"rw\"; };" | tr '\n' ' ' | device)
END
refused 'pvio.conf:4: socket_group: ' <<END
$(echo "model = \"block\"; $memory transport = { type = \"vhost-user\";
socket = \"$dir/d.sock\"; socket_group = \"no such\"; };" | tr '\n' ' ' | device)
END
accepted "a vfio-user disk" <<END
$(echo "model = \"block\"; $memory transport = { type = \"vfio-user\";
socket = \"$dir/d.sock\"; doorbell = \"poll\"; vectors = 2;
access_platform = false; };" | tr '\n' ' ' | device)
END
refused 'pvio.conf:4: doorbell: ' <<END
$(echo "model = \"block\"; $memory transport = { type = \"vfio-user\";
socket = \"$dir/d.sock\"; doorbell = \"knock\"; };" | tr '\n' ' ' | device)
END
refused 'pvio.conf:4: mode: unknown key' <<END
$(echo "model = \"block\"; $memory transport = { type = \"vfio-user\";
socket = \"$dir/d.sock\"; mode = \"client\"; };" | tr '\n' ' ' | device)
END
refused 'pvio.conf:4: socket: missing' <<END
$(echo "model = \"block\"; $memory transport = { type = \"vfio-user\"; };" |
	device)
END
refused 'pvio.conf:4: switch: there is no switch "lan"' <<END
$(echo "model = \"net\"; backend = { type = \"switch\"; switch = \"lan\"; }; $vhost" |
	device)
END
refused 'pvio.conf:4: mac: ' <<END
$(echo "model = \"net\"; mac = \"ff:ff:ff:ff:ff:ff\"; backend = { type = \"null\"; }; $vhost" |
	device)
END
refused "d: .*$dir/missing.img: No such file or directory" <<END
$(echo "model = \"block\"; backend = { type = \"file\"; path = \"$dir/missing.img\"; }; $vhost" |
	device)
END

# The same twice.
two='model = "rng"; transport = { type = "vhost-user"; socket = '
refused 'pvio.conf:2: name: vm1 has another "d"' <<END
guests = ( { name = "vm1"; devices = ( { name = "d"; $two "$dir/1"; }; },
{ name = "d"; $two "$dir/2"; }; } ); } );
END
refused 'pvio.conf:2: socket: is the socket of d as well' <<END
guests = ( { name = "vm1"; devices = ( { name = "d"; $two "$dir/1"; }; },
{ name = "e"; $two "$dir/1"; }; } ); } );
END
refused 'pvio.conf:2: socket: is the control socket' <<END
control = "$dir/1";
guests = ( { name = "vm1"; devices = ( { name = "d"; $two "$dir/1"; }; } ); } );
END
refused 'pvio.conf:2: name: there is another "lan"' <<END
switches = ( { name = "lan"; },
{ name = "lan"; } );
END

# Devices of a bus share a socket, if one process has them all.
bus='transport = { type = "hypercall"; socket = "'$dir'/d.sock"; };'
disk() { # NAME TRANSPORT
	echo "{ name = \"$1\"; model = \"block\"; $memory $2 }"
}
accepted "a bus" <<END
guests = ( { name = "vm1"; devices = (
$(disk a "$bus"), $(disk b "$bus") ); } );
END
refused 'pvio.conf:4: socket: is the socket of a as well, which another' <<END
guests = ( { name = "vm1"; devices = (
$(disk a "$bus") ); }, { name = "vm2"; devices = (

$(disk b "$bus") ); } );
END
refused 'pvio.conf:3: socket: is the socket of a as well' <<END
guests = ( { name = "vm1"; devices = (
$(disk a "$vhost"),
$(disk b "$bus") ); } );
END
refused 'pvio.conf:2: interrupts: ' <<END
guests = ( { name = "vm1"; devices = (
$(disk a 'transport = { type = "hypercall"; interrupts = 0; socket = "/x"; };')
); } );
END

# Windows, and their ports, which are devices' equals in name and socket.
window() { # KEYS PORT...
	printf 'windows = ( { name = "w"; socket = "%s/w.sock";\n%s\nports = (\n' \
		"$dir" "$1"
	shift
	printf '%s\n' "$*"
	printf '); } );\n'
}
ram="window = \"ram\"; file = \"$dir/ram\"; size = \"16M\";"
port="{ name = \"p\"; model = \"block\"; socket = \"$dir/p.sock\"; }"
accepted "a window" <<END
$(window "$ram vectors = 16; timeout_ms = 5000; workers = 2;" "$port")
END
[ ! -e "$dir/ram" ] || fail "trying a window makes its file"
refused 'pvio.conf:2: colour: unknown key' <<END
$(window "$ram colour = 7;" "$port")
END
refused 'pvio.conf:4: colour: unknown key' <<END
$(window "$ram" "${port%\}} colour = 7; }")
END
refused 'pvio.conf:2: window: ' <<END
$(window 'window = "open";' "$port")
END
refused 'pvio.conf:1: file: needed' <<END
$(window 'window = "ram"; size = "16M";' "$port")
END
refused 'pvio.conf:2: size: not a power of two' <<END
$(window "$(echo "$ram" | sed s/16M/17M/)" "$port")
END
refused 'pvio.conf:2: vectors: ' <<END
$(window "$ram vectors = 1;" "$port")
END
refused 'pvio.conf:2: carrier: ' <<END
$(window "$ram carrier = \"pigeon\";" "$port")
END
refused 'pvio.conf:3: ports: there are none' <<END
$(window "$ram")
END
refused 'pvio.conf:4: name: w has another "p"' <<END
$(window "$ram" "$port, $port")
END
refused 'pvio.conf:4: name: vm1 has another "p"' <<END
$(window "$ram" "$port")
guests = ( { name = "vm1"; devices = (
{ name = "p"; model = "rng"; $vhost } ); } );
END
refused 'pvio.conf:4: socket: is the socket of w as well' <<END
$(window "$ram" "$port" | sed s/p.sock/w.sock/)
END
refused 'pvio.conf:4: socket: missing' <<END
$(window "$ram" '{ name = "p"; model = "block"; }')
END
refused 'pvio.conf:3: name: there is another "w"' <<END
windows = (
{ name = "w"; socket = "$dir/1"; $ram ports = ( $port ); },
{ name = "w"; socket = "$dir/2"; $ram ports = ( $port ); } );
END

# The file itself.
"$pviod" -c "$dir/nowhere.conf" --check > "$dir/said" 2>&1
[ $? = 2 ] || fail "missing file"
grep -q "nowhere.conf: No such file" "$dir/said" || fail "missing file"
refused 'plug-in directory' <<END
plugin_dir = "$dir/nowhere";
END
chmod 666 "$dir/pvio.conf"
refused "everybody may write it" < /dev/null
chmod 644 "$dir/pvio.conf"
mkdir -m 777 "$dir/plugins"
refused "pvio.conf:1: plugin_dir: everybody may write" <<END
plugin_dir = "$dir/plugins";
END
head -c 2000000 /dev/zero | tr '\0' '#' | refused "pvio.conf"
head -c 100 /dev/zero | refused "pvio.conf"
printf 'a = %01000d' 0 | tr 0 '(' | refused "pvio.conf"

"$pviod" --nonsense > "$dir/said" 2>&1
[ $? = 2 ] || fail "unknown option"

# What is shipped as an example can be served.
"$pviod" --check -c "${srcdir:-.}/tools/pviod/pvio.conf.sample" \
	> "$dir/said" 2>&1 || fail "pvio.conf.sample"

# Nothing was opened by all that.
[ -e "$dir/d.sock" ] && fail "a check made a socket"
[ $failed = 0 ] && echo "all mistakes were found"
exit $failed
