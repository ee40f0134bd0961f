# SPDX-License-Identifier: BSD-3-Clause
library_sources += \
	transports/loopback/loopback.c \
	$(NULL)
