# SPDX-License-Identifier: BSD-3-Clause
#
# Tests under guests we did not write, part of `make check` when configured
# with --enable-guest-tests: they take minutes.  ./demo uses the same tools.

guest_tests = \
	tests/guests/baremetal-qemu.sh \
	tests/guests/boot.sh \
	tests/guests/bus.sh \
	tests/guests/doorbell.sh \
	tests/guests/uml.sh \
	tests/guests/qemu-disk.sh \
	tests/guests/qemu-net.sh \
	tests/guests/kill.sh \
	tests/guests/migrate.sh \
	tests/guests/vfio-user-disk.sh \
	tests/guests/vfio-user-net.sh \
	tests/guests/vhost-pci.sh \
	tests/guests/smccc.sh \
	tests/guests/tinyvmm-linux.sh \
	tests/guests/window.sh \
	tests/libvirt/libvirt.sh \
	$(NULL)

# Seconds, and nothing to install: wherever there is KVM.
kvm_tests = \
	tests/guests/tinyvmm-baremetal.sh \
	tests/guests/tinyvmm-bars.sh \
	tests/guests/tinyvmm-bus.sh \
	$(NULL)
if HAVE_KVM
TESTS += $(kvm_tests)
endif

EXTRA_DIST += \
	$(guest_tests) \
	$(kvm_tests) \
	tests/guests/README.md \
	tests/guests/baremetal.bash \
	tests/guests/bars-guest.c \
	tests/guests/boot-sector.S \
	tests/guests/build-module \
	tests/guests/demo.sh \
	tests/guests/fetch-headers \
	tests/guests/fetch-kernel \
	tests/guests/fetch-arm64 \
	tests/guests/fetch-sid \
	tests/guests/guest-init.sh \
	tests/guests/lib.sh \
	tests/guests/smccc-vmm.c \
	tests/guests/vfio-user.bash \
	tests/guests/vhost-pci.bash \
	$(NULL)

if GUEST_TESTS
TESTS += $(guest_tests)
check_PROGRAMS += tests/guests/blktool tests/guests/nettool
check_PROGRAMS += tests/guests/window-host tests/guests/windowtool
check_LTLIBRARIES += tests/guests/uml-xstate.la

guest-test-tools: tests/guests/blktool tests/guests/nettool \
	tests/guests/window-host tests/guests/windowtool \
	tests/guests/uml-xstate.la
.PHONY: guest-test-tools
endif

tests_guests_blktool_SOURCES = \
	tests/guests/blktool.c \
	tests/guests/histogram.h \
	tests/guests/stream.h \
	$(NULL)
tests_guests_blktool_LDFLAGS = -all-static
tests_guests_blktool_LDADD = $(PTHREAD_LIBS)

tests_guests_nettool_SOURCES = \
	tests/guests/nettool.c \
	tests/guests/histogram.h \
	tests/guests/stream.h \
	$(NULL)
tests_guests_nettool_LDFLAGS = -all-static

tests_guests_window_host_SOURCES = \
	tests/guests/window-host.c \
	tests/guests/window-test.h \
	$(NULL)
tests_guests_window_host_CPPFLAGS = $(test_cppflags)
tests_guests_window_host_LDADD = $(test_libs)

tests_guests_windowtool_SOURCES = \
	tests/guests/windowtool.c \
	tests/guests/window-test.h \
	$(NULL)
tests_guests_windowtool_LDFLAGS = -all-static

# Loaded into linux.uml: see the file.
tests_guests_uml_xstate_la_SOURCES = tests/guests/uml-xstate.c
tests_guests_uml_xstate_la_LDFLAGS = -module -avoid-version -shared \
	-rpath /nowhere
