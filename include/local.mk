# SPDX-License-Identifier: BSD-3-Clause
pvioincludedir = $(includedir)/pvio
pvioinclude_HEADERS = \
	include/pvio/bus-abi.h \
	include/pvio/bus.h \
	include/pvio/device.h \
	include/pvio/doorbell.h \
	include/pvio/kvm.h \
	include/pvio/log.h \
	include/pvio/loopback.h \
	include/pvio/memory.h \
	include/pvio/mmio.h \
	include/pvio/pci.h \
	include/pvio/pvio.h \
	include/pvio/window.h \
	include/pvio/window-module.h \
	include/pvio/worker.h \
	$(NULL)
