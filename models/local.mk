# SPDX-License-Identifier: BSD-3-Clause
library_sources += \
	models/block-request.c \
	models/block.c \
	models/block.h \
	$(NULL)
