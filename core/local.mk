# SPDX-License-Identifier: BSD-3-Clause
library_sources += \
	core/barrier.h \
	core/config-internal.h \
	core/config-options.c \
	core/config-scan.c \
	core/config-scan.h \
	core/config-text.c \
	core/config-value.c \
	core/config.c \
	core/config.h \
	core/device-call.c \
	core/device-internal.h \
	core/device-life.c \
	core/device-memory.c \
	core/device-notify.c \
	core/device-operation.c \
	core/device-queue.c \
	core/device-stats.c \
	core/device-status.c \
	core/device.c \
	core/device.h \
	core/eventfd.c \
	core/eventfd.h \
	core/inflight-impl.h \
	core/inflight-packed.c \
	core/inflight.c \
	core/inflight.h \
	core/listen.c \
	core/listen.h \
	core/log.c \
	core/log.h \
	core/memory-checked.c \
	core/memory-iov.c \
	core/memory-list.c \
	core/memory-map.c \
	core/memory-sigbus.c \
	core/memory-sigbus.h \
	core/memory.c \
	core/memory.h \
	core/model.h \
	core/plugin.c \
	core/plugin.h \
	core/queue-chain.h \
	core/queue-packed.c \
	core/queue-split.c \
	core/queue.c \
	core/queue.h \
	core/stats.c \
	core/stats.h \
	core/transport.h \
	core/util.h \
	core/version.c \
	core/virtio.h \
	core/worker-internal.h \
	core/worker-thread.c \
	core/worker.c \
	core/worker.h \
	$(NULL)

# What a plug-in built elsewhere includes.
nobase_plugin_HEADERS += \
	core/barrier.h \
	core/config.h \
	core/device.h \
	core/eventfd.h \
	core/listen.h \
	core/log.h \
	core/memory.h \
	core/model.h \
	core/plugin.h \
	core/queue.h \
	core/stats.h \
	core/transport.h \
	core/util.h \
	core/virtio.h \
	core/worker.h \
	$(NULL)
