# SPDX-License-Identifier: BSD-3-Clause
guest_sources += \
	guest/bus-call.c \
	guest/bus-signal.c \
	guest/bus.c \
	guest/bus.h \
	guest/device-bus.c \
	guest/device-bus.h \
	guest/device-loopback.c \
	guest/device-mmio.c \
	guest/device-mmio.h \
	guest/device-ops.h \
	guest/device-pci.c \
	guest/device-pci.h \
	guest/device-vfio-user.c \
	guest/device-vfio-user.h \
	guest/device-vhost-user.c \
	guest/device.c \
	guest/device.h \
	guest/memory.c \
	guest/memory.h \
	guest/net.c \
	guest/net.h \
	guest/pci-common.c \
	guest/pci-function.c \
	guest/pci-impl.h \
	guest/pci.c \
	guest/pci.h \
	guest/ring-impl.h \
	guest/ring-packed.c \
	guest/ring-split.c \
	guest/ring.c \
	guest/ring.h \
	guest/stream.c \
	guest/stream.h \
	guest/vfio-user.c \
	guest/vfio-user.h \
	guest/vhost-user.c \
	guest/vhost-user.h \
	guest/way-window.c \
	guest/way-window.h \
	guest/way.c \
	guest/way.h \
	$(NULL)

include $(srcdir)/guest/baremetal/local.mk

# The Linux drivers of the bus and of windows, which Linux's build system builds.
EXTRA_DIST += \
	guest/linux/Kbuild \
	guest/linux/Makefile \
	guest/linux/README.md \
	guest/linux/bus.c \
	guest/linux/call.c \
	guest/linux/connector.c \
	guest/linux/counters.c \
	guest/linux/events.c \
	guest/linux/main.c \
	guest/linux/pci.c \
	guest/linux/platform.c \
	guest/linux/pvio_bus.h \
	guest/linux/queue.c \
	guest/linux/signal.c \
	guest/linux/virtio.c \
	guest/linux/window/Kbuild \
	guest/linux/window/Makefile \
	guest/linux/window/main.c \
	$(NULL)
