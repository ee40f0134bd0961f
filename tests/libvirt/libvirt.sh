#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# libvirt.sh - the domain of examples/libvirt/domain.xml, with its disk and its
# card at work, also while pviod is stopped and started again; and when both are
# another domain's, appliance.xml
#
# libvirtd is one of our own: private directories are mounted over its own, and
# it ends with the test.

needs_kernel=1
needs_module=stable
. "$(dirname "$0")/../guests/lib.sh"
. "$here/vhost-pci.bash"

top=$here/../..

# libvirt_private: its directories, for all cases
libvirt_private()
{
	local private=$work/libvirt d

	mkdir -p "$private"/{etc,run/libvirt,lib,log,cache}
	cat >"$private/etc/qemu.conf" <<-'END'
		user = "root"
		group = "root"
		dynamic_ownership = 0
		remember_owner = 0
		security_driver = "none"
		namespaces = []
		cgroup_controllers = []
		stdio_handler = "file"
		seccomp_sandbox = 0
	END
	cat >"$private/etc/libvirtd.conf" <<-'END'
		unix_sock_group = "root"
		auth_unix_ro = "none"
		auth_unix_rw = "none"
	END
	for d in etc:/etc/libvirt run:/run lib:/var/lib/libvirt \
		log:/var/log/libvirt cache:/var/cache/libvirt; do
		mount --bind "$private/${d%%:*}" "${d#*:}" || return 1
	done
}

libvirtd_start()
{
	start libvirtd libvirtd -f /etc/libvirt/libvirtd.conf
	started_makes /run/libvirt/libvirt-sock
}

virsh_do()
{
	timeout 60 virsh -c qemu:///system "$@"
}

pvio_conf()
{
	cat >pvio.conf <<-END
		control = "$PWD/control.sock";
		guests = ( { name = "vm"; devices = (
		  { name = "disk0"; model = "block";
		    backend = { type = "file"; path = "$PWD/disk.img"; };
		    transport = { type = "vhost-user";
		                  socket = "$PWD/disk0.sock"; }; },
		  { name = "net0"; model = "net"; mac = "52:54:00:00:00:01";
		    backend = { type = "tap"; ifname = "tap0"; };
		    transport = { type = "vhost-user";
		                  socket = "$PWD/net0.sock"; }; } ); } );
	END
}

# domain_xml EXAMPLE NAME: with our paths, without KVM (and therefore a machine
# that can have two processors: see qemu_start), and booted by kernel and NAME's
# initramfs
domain_xml()
{
	sed -e "s|/run/pvio|$PWD|;s|/var/lib/pvio|$PWD|" \
		-e "s|<domain type='kvm'>|<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>|" \
		-e "s|<vcpu>1<|<vcpu current='1'>2<|" \
		-e "s|</os>|<kernel>$vmlinuz</kernel><initrd>$PWD/$2.initrd</initrd><cmdline>$kernel_args</cmdline></os>|" \
		-e "s|<serial type='pty'/>|<serial type='file'><source path='$PWD/$2.console'/></serial>|" \
		"$top/examples/libvirt/$1.xml"
}

# vectors=0: see ../guests/qemu-net.sh.
guest_xml()
{
	kernel_get
	initramfs qemu guest
	domain_xml domain guest | sed -e "s|</domain>|<qemu:override><qemu:device alias='net0'><qemu:frontend><qemu:property name='vectors' type='unsigned' value='0'/></qemu:frontend></qemu:device></qemu:override></domain>|" \
		>domain.xml
}

# Without an IOMMU, which TCG's interrupt controller cannot have.
appliance_xml()
{
	kernel_get
	module_get pvio_window
	initramfs appliance a
	domain_xml appliance a | sed '/<ioapic/d;/<iommu/d' >appliance.xml
}

is_off()
{
	[ "$(virsh_do domstate pvio-example 2>/dev/null)" = "shut off" ]
}

# domain_run: define and start; its process is QEMU's, whose id libvirt keeps
domain_run()
{
	guest_xml
	virsh_do define domain.xml
	virsh_do start pvio-example
	guest=$(cat /run/libvirt/qemu/pvio-example.pid)
}

domain_done()
{
	within "$1" is_off || fail "the domain is not off after $1 s"
	virsh_do undefine pvio-example
	guest_done guest "$guest" 1
}

io_case()
{
	libvirtd_start
	tap_up tap0
	image disk.img 64
	pvio_conf
	pviod_start
	steps guest <<-END
		$net_steps
		step "file system" file_system /dev/vda
		step "network up" net_up 52:54:00:00:00:01 10.0.0.2/24
		step "ping" ping -c 3 -i 0.2 -W 5 10.0.0.1
		net_io 10.0.0.1 4000000
	END
	domain_run
	domain_done 90
	e2fsck_clean disk.img
}

restart_case()
{
	local i threads=4 blocks=256 writes before

	libvirtd_start
	tap_up tap0
	image disk.img 32
	pvio_conf
	pviod_start
	steps guest <<-END
		$net_steps
		step "network up" net_up 52:54:00:00:00:01 10.0.0.2/24
		step "ping" ping -c 1 -W 5 10.0.0.1
		blktool hammer /dev/vda 11 $threads $blocks || say not ok hammer
		step "ping again" until_true 30 ping -c 1 -W 1 10.0.0.1
		net_io 10.0.0.1 1000000
	END
	domain_run
	guest_says guest progress 60
	for i in 1 2 3; do
		kill "$pviod"
		gone_within "$pviod" 10 || fail "pviod does not end"
		before=$(guest_word guest progress)
		pviod_start
		within 30 progress_since "$before" ||
			fail "the disk is still, $i"
	done
	printf x | dd of=disk.img bs=4096 seek=$((threads * blocks)) \
		conv=notrunc,fsync status=none
	domain_done 90
	writes=$(guest_word guest writes)
	# shellcheck disable=SC2086
	"$(program blktool)" verify disk.img 11 "$blocks" $writes
}

progress_since()
{
	[ "$(guest_word guest progress)" != "$1" ]
}

# Two domains, of which one serves the other.
window_case()
{
	libvirtd_start
	vp_serve ivshmem bounce a
	image b-disk.img 64
	a_steps module 0000:00:04.0 | steps a
	appliance_xml
	virsh_do define appliance.xml
	virsh_do start pvio-appliance
	a=$(cat /run/libvirt/qemu/pvio-appliance.pid)
	a_says a serving 90
	# The example's names for the sockets of the ports.
	ln -s a-disk.sock disk0.sock
	ln -s a-net.sock net0.sock
	steps guest <<-END
		$net_steps
		$b_steps
		b_mac=52:54:00:00:00:01
		step "network up" net_up \$b_mac 10.0.0.2/24
		step "ping" ping -c 3 -i 0.2 -W 5 10.0.0.1
		step "file system" file_system /dev/vda
		disk_io 7
		net_io 10.0.0.1 1000000
	END
	domain_run
	domain_done 90
	virsh_do destroy pvio-appliance
	virsh_do undefine pvio-appliance
	e2fsck_clean b-disk.img
}

for p in libvirtd virsh qemu-system-x86_64; do
	command -v $p >/dev/null || skip_all "$p is not installed"
done
[ "$(cat /proc/self/setgroups)" = allow ] || skip_all "libvirtd needs root"
libvirt_private || skip_all "cannot mount private directories"
run_case libvirt-io io_case
run_case libvirt-restart restart_case
run_case libvirt-window window_case
finish
