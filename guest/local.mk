# SPDX-License-Identifier: BSD-3-Clause
guest_sources += \
	guest/device-ops.h \
	guest/device.h \
	guest/memory.h \
	guest/ring.h \
	$(NULL)
