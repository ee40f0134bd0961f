# SPDX-License-Identifier: BSD-3-Clause
library_sources += \
	models/block-request.c \
	models/block.c \
	models/block.h \
	models/net-control.c \
	models/net-rx.c \
	models/net-tx.c \
	models/net.c \
	models/net.h \
	models/rng.c \
	$(NULL)
