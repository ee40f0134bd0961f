# SPDX-License-Identifier: BSD-3-Clause
library_sources += \
	transports/loopback/loopback.c \
	transports/mmio/mmio.c \
	transports/pci/bar.c \
	transports/pci/config.c \
	transports/pci/msix.c \
	transports/pci/msix.h \
	transports/pci/pci.c \
	transports/pci/pci.h \
	transports/registers/access.c \
	transports/registers/access.h \
	transports/registers/doorbells.c \
	transports/registers/doorbells.h \
	transports/registers/line.c \
	transports/registers/line.h \
	transports/registers/registers.c \
	transports/registers/registers.h \
	transports/stream/connection.c \
	transports/stream/connection.h \
	transports/stream/endpoint.c \
	transports/stream/endpoint.h \
	transports/stream/stream.c \
	transports/stream/stream.h \
	transports/vfio-user/protocol.h \
	transports/vhost-user/backend-channel.c \
	transports/vhost-user/inflight.c \
	transports/vhost-user/memory.c \
	transports/vhost-user/messages.c \
	transports/vhost-user/notify.c \
	transports/vhost-user/protocol.h \
	transports/vhost-user/rings.c \
	transports/vhost-user/session.c \
	transports/vhost-user/vhost-user.c \
	transports/vhost-user/vhost-user.h \
	transports/vhost-user/wire.c \
	transports/vhost-user/wire.h \
	$(NULL)
