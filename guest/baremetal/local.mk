# SPDX-License-Identifier: BSD-3-Clause
#
# The freestanding guest, one program.  Its flags are its own: what is right for
# a program under an operating system (CFLAGS, sanitizers) is not for this one.
baremetal_sources = \
	guest/baremetal/block.c \
	guest/baremetal/bus.c \
	guest/baremetal/connector.c \
	guest/baremetal/interrupt.c \
	guest/baremetal/main.c \
	guest/baremetal/mmio.c \
	guest/baremetal/net.c \
	guest/baremetal/pci.c \
	guest/baremetal/pvh.S \
	guest/baremetal/runtime.c \
	guest/baremetal/start.S \
	guest/baremetal/virtqueue.c \
	$(NULL)

baremetal_headers = \
	guest/baremetal/boot.h \
	guest/baremetal/connector.h \
	guest/baremetal/interrupt.h \
	guest/baremetal/runtime.h \
	guest/baremetal/vectors.h \
	guest/baremetal/virtio.h \
	guest/baremetal/x86/arch.h \
	$(NULL)

# The rings of every other driver here.
baremetal_shared = \
	guest/ring-packed.c \
	guest/ring-split.c \
	guest/ring.c \
	$(NULL)

baremetal_shared_headers = \
	core/barrier.h \
	core/util.h \
	core/virtio.h \
	guest/ring-impl.h \
	guest/ring.h \
	include/pvio/bus-abi.h \
	$(NULL)

EXTRA_DIST += $(baremetal_sources) $(baremetal_headers)
# tests/guests/smccc.sh builds it.
EXTRA_DIST += \
	guest/baremetal/arm64/arch.c \
	guest/baremetal/arm64/arch.h \
	guest/baremetal/arm64/start.S \
	$(NULL)

baremetal_cflags = $(WARN_CFLAGS) -Os -g -m64 -ffreestanding -mno-red-zone \
	-mgeneral-regs-only -fno-pic -fno-pie -fno-stack-protector \
	-fno-asynchronous-unwind-tables -fcf-protection=none \
	-D_GNU_SOURCE -I$(srcdir) -I$(srcdir)/include \
	-I$(srcdir)/guest/baremetal/x86
baremetal_ldflags = -nostdlib -static -Wl,-e,start \
	-Wl,-Ttext-segment=0x100000 -Wl,-z,max-page-size=4096 \
	-Wl,--build-id=none

if X86_64
noinst_DATA += guest/baremetal/baremetal.elf
CLEANFILES += guest/baremetal/baremetal.elf
endif

guest/baremetal/baremetal.elf: $(baremetal_sources) $(baremetal_headers) \
		$(baremetal_shared) $(baremetal_shared_headers)
	$(AM_V_CCLD)$(MKDIR_P) $(@D) && set -- && \
	for f in $(baremetal_sources) $(baremetal_shared); do \
		set -- "$$@" "$(srcdir)/$$f"; \
	done && \
	$(CC) $(baremetal_cflags) $(baremetal_ldflags) -o $@ "$$@"
