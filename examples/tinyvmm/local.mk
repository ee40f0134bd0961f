# SPDX-License-Identifier: BSD-3-Clause
#
# A whole VMM, to be read and copied; tests/guests runs guests in it.
if HAVE_KVM
noinst_PROGRAMS += examples/tinyvmm/tinyvmm
endif

examples_tinyvmm_tinyvmm_SOURCES = \
	examples/tinyvmm/acpi.c \
	examples/tinyvmm/boot.c \
	examples/tinyvmm/bus.c \
	examples/tinyvmm/cards.c \
	examples/tinyvmm/hypercall.c \
	examples/tinyvmm/main.c \
	examples/tinyvmm/run.c \
	examples/tinyvmm/serial.c \
	examples/tinyvmm/tinyvmm.h \
	examples/tinyvmm/vm.c \
	$(NULL)
examples_tinyvmm_tinyvmm_LDADD = libpvio.la $(PTHREAD_LIBS)
# No wrapper: the program is copied into initramfs with its libraries.
examples_tinyvmm_tinyvmm_LDFLAGS = $(AM_LDFLAGS) -no-install
