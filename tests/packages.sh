# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# packages.sh - Debian packages for ./demo and ./check, installed when missing

packages_build="build-essential autoconf automake libtool autoconf-archive
	pkg-config libevent-dev libconfig-dev liburing-dev libjson-c-dev check"
packages_uml="user-mode-linux busybox-static cpio e2fsprogs iproute2 procps
	util-linux"
packages_tests="clang libclang-rt-dev spin xz-utils mandoc binutils mmdebstrap
	qemu-system-x86 passt libvirt-daemon libvirt-daemon-system
	libvirt-daemon-driver-qemu libvirt-clients qemu-system-arm
	gcc-aarch64-linux-gnu libc6-dev-arm64-cross"

# packages_missing PACKAGE...: those that are not installed
packages_missing()
{
	local p

	for p; do
		case $(dpkg-query -W -f='${db:Status-Abbrev}' "$p" 2>/dev/null) in
		ii*) ;;
		*) echo "$p" ;;
		esac
	done
}

# packages_install PACKAGE...: 1 when some are missing and cannot be installed
packages_install()
{
	local missing log

	missing=$(packages_missing "$@" | tr '\n' ' ')
	[ -n "$missing" ] || return 0
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
		echo "not installed, and only root with apt can: $missing" >&2
		return 1
	fi
	echo "installing: $missing"
	log=$(mktemp)
	export DEBIAN_FRONTEND=noninteractive
	# shellcheck disable=SC2086
	if ! apt-get install -y --no-install-recommends $missing >"$log" 2>&1; then
		apt-get update >"$log" 2>&1
		# shellcheck disable=SC2086
		apt-get install -y --no-install-recommends $missing >>"$log" 2>&1
	fi
	missing=$(packages_missing "$@" | tr '\n' ' ')
	if [ -n "$missing" ]; then
		tail -n 20 "$log" >&2
		echo "could not install: $missing" >&2
	fi
	rm -f "$log"
	[ -z "$missing" ]
}
