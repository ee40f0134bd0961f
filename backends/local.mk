# SPDX-License-Identifier: BSD-3-Clause
library_sources += \
	backends/block-file.c \
	backends/block-file.h \
	backends/block-memory.c \
	backends/block-null.c \
	backends/block-uring.c \
	backends/block.h \
	backends/net-dgram.c \
	backends/net-echo.c \
	backends/net-null.c \
	backends/net-offload.c \
	backends/net-stream.c \
	backends/net-switch.c \
	backends/net-tap.c \
	backends/net.h \
	backends/switch.c \
	backends/switch.h \
	$(NULL)
nobase_plugin_HEADERS += \
	backends/block.h \
	backends/net.h \
	$(NULL)
