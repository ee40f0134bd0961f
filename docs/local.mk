# SPDX-License-Identifier: BSD-3-Clause
dist_man_MANS += \
	docs/pvio-bench.1 \
	docs/pvio-block.8 \
	docs/pvio-bus.3 \
	docs/pvio-model.3 \
	docs/pvio-net.8 \
	docs/pvio-pci.3 \
	docs/pvio-transport.3 \
	docs/pvio.3 \
	docs/pvio.7 \
	docs/pvio.conf.5 \
	docs/pvioctl.1 \
	docs/pviod.8 \
	$(NULL)

EXTRA_DIST += docs/architecture.md
EXTRA_DIST += docs/bus-abi.md
EXTRA_DIST += docs/embedding.md
EXTRA_DIST += docs/performance.md
EXTRA_DIST += docs/vhost-pci.md
EXTRA_DIST += docs/why-signals.md
