# SPDX-License-Identifier: BSD-3-Clause
#
# A fuzz target "ring" is tests/fuzz/fuzz_ring.c with LLVMFuzzerTestOneInput(),
# tests/fuzz/corpus/ring/, perhaps tests/fuzz/ring.dict, and below: its name in
# fuzz_targets, and the lines of the program that replays its corpus in
# "make check".  "make fuzz" does the rest.
FUZZ_SECONDS = 60
fuzz_targets = \
	block \
	broker \
	bus \
	config \
	inflight \
	memory \
	mmio \
	net \
	packed \
	pci \
	signal \
	split \
	vfio_user \
	vfio_version \
	vhost_pci \
	vhost_user \
	$(NULL)
FUZZ_TARGETS = $(fuzz_targets)

EXTRA_DIST += tests/fuzz/run.sh tests/fuzz/corpus tests/fuzz/config.dict \
	tests/fuzz/vfio_version.dict
replay_cppflags = $(test_cppflags) \
	-DCORPUS=\"$(abs_srcdir)/tests/fuzz/corpus/

check_PROGRAMS += tests/fuzz/replay_block
TESTS += tests/fuzz/replay_block
tests_fuzz_replay_block_SOURCES = tests/fuzz/replay.c tests/fuzz/fuzz_block.c
tests_fuzz_replay_block_CPPFLAGS = $(replay_cppflags)block\"
tests_fuzz_replay_block_LDADD = $(test_libs)

check_PROGRAMS += tests/fuzz/replay_broker
TESTS += tests/fuzz/replay_broker
tests_fuzz_replay_broker_SOURCES = tests/fuzz/replay.c \
	tests/fuzz/fuzz_broker.c tests/fuzz/fuzz_socket.h
tests_fuzz_replay_broker_CPPFLAGS = $(replay_cppflags)broker\"
tests_fuzz_replay_broker_LDADD = $(test_libs)

check_PROGRAMS += tests/fuzz/replay_bus
TESTS += tests/fuzz/replay_bus
tests_fuzz_replay_bus_SOURCES = tests/fuzz/replay.c tests/fuzz/fuzz_bus.c \
	tests/fuzz/fuzz_script.h
tests_fuzz_replay_bus_CPPFLAGS = $(replay_cppflags)bus\"
tests_fuzz_replay_bus_LDADD = $(test_libs)

check_PROGRAMS += tests/fuzz/replay_config
TESTS += tests/fuzz/replay_config
tests_fuzz_replay_config_SOURCES = tests/fuzz/replay.c tests/fuzz/fuzz_config.c
tests_fuzz_replay_config_CPPFLAGS = $(replay_cppflags)config\"
tests_fuzz_replay_config_LDADD = $(test_libs)

check_PROGRAMS += tests/fuzz/replay_memory
TESTS += tests/fuzz/replay_memory
tests_fuzz_replay_memory_SOURCES = tests/fuzz/replay.c tests/fuzz/fuzz_memory.c
tests_fuzz_replay_memory_CPPFLAGS = $(replay_cppflags)memory\"
tests_fuzz_replay_memory_LDADD = $(test_libs)

check_PROGRAMS += tests/fuzz/replay_net
TESTS += tests/fuzz/replay_net
tests_fuzz_replay_net_SOURCES = tests/fuzz/replay.c tests/fuzz/fuzz_net.c
tests_fuzz_replay_net_CPPFLAGS = $(replay_cppflags)net\"
tests_fuzz_replay_net_LDADD = $(test_libs)

check_PROGRAMS += tests/fuzz/replay_vfio_user
TESTS += tests/fuzz/replay_vfio_user
tests_fuzz_replay_vfio_user_SOURCES = tests/fuzz/replay.c \
	tests/fuzz/fuzz_vfio_user.c tests/fuzz/fuzz_socket.h
tests_fuzz_replay_vfio_user_CPPFLAGS = $(replay_cppflags)vfio_user\"
tests_fuzz_replay_vfio_user_LDADD = $(test_libs)

check_PROGRAMS += tests/fuzz/replay_vfio_version
TESTS += tests/fuzz/replay_vfio_version
tests_fuzz_replay_vfio_version_SOURCES = tests/fuzz/replay.c \
	tests/fuzz/fuzz_vfio_version.c tests/fuzz/fuzz_socket.h
tests_fuzz_replay_vfio_version_CPPFLAGS = $(replay_cppflags)vfio_version\"
tests_fuzz_replay_vfio_version_LDADD = $(test_libs)

check_PROGRAMS += tests/fuzz/replay_vhost_pci
TESTS += tests/fuzz/replay_vhost_pci
tests_fuzz_replay_vhost_pci_SOURCES = tests/fuzz/replay.c \
	tests/fuzz/fuzz_vhost_pci.c tests/fuzz/fuzz_socket.h
tests_fuzz_replay_vhost_pci_CPPFLAGS = $(replay_cppflags)vhost_pci\"
tests_fuzz_replay_vhost_pci_LDADD = $(test_libs)

check_PROGRAMS += tests/fuzz/replay_vhost_user
TESTS += tests/fuzz/replay_vhost_user
tests_fuzz_replay_vhost_user_SOURCES = tests/fuzz/replay.c \
	tests/fuzz/fuzz_vhost_user.c tests/fuzz/fuzz_socket.h
tests_fuzz_replay_vhost_user_CPPFLAGS = $(replay_cppflags)vhost_user\"
tests_fuzz_replay_vhost_user_LDADD = $(test_libs)

check_PROGRAMS += tests/fuzz/replay_inflight
TESTS += tests/fuzz/replay_inflight
tests_fuzz_replay_inflight_SOURCES = tests/fuzz/replay.c tests/fuzz/fuzz_ring.h \
	tests/fuzz/fuzz_inflight.c
tests_fuzz_replay_inflight_CPPFLAGS = $(replay_cppflags)inflight\"
tests_fuzz_replay_inflight_LDADD = $(test_libs)

check_PROGRAMS += tests/fuzz/replay_packed
TESTS += tests/fuzz/replay_packed
tests_fuzz_replay_packed_SOURCES = tests/fuzz/replay.c tests/fuzz/fuzz_ring.h \
	tests/fuzz/fuzz_packed.c
tests_fuzz_replay_packed_CPPFLAGS = $(replay_cppflags)packed\"
tests_fuzz_replay_packed_LDADD = $(test_libs)

check_PROGRAMS += tests/fuzz/replay_signal
TESTS += tests/fuzz/replay_signal
tests_fuzz_replay_signal_SOURCES = tests/fuzz/replay.c tests/fuzz/fuzz_signal.c
tests_fuzz_replay_signal_CPPFLAGS = $(replay_cppflags)signal\"
tests_fuzz_replay_signal_LDADD = $(test_libs)

check_PROGRAMS += tests/fuzz/replay_split
TESTS += tests/fuzz/replay_split
tests_fuzz_replay_split_SOURCES = tests/fuzz/replay.c tests/fuzz/fuzz_ring.h \
	tests/fuzz/fuzz_split.c
tests_fuzz_replay_split_CPPFLAGS = $(replay_cppflags)split\"
tests_fuzz_replay_split_LDADD = $(test_libs)

check_PROGRAMS += tests/fuzz/replay_mmio
TESTS += tests/fuzz/replay_mmio
tests_fuzz_replay_mmio_SOURCES = tests/fuzz/replay.c tests/fuzz/fuzz_mmio.c \
	tests/fuzz/fuzz_registers.h tests/fuzz/fuzz_script.h
tests_fuzz_replay_mmio_CPPFLAGS = $(replay_cppflags)mmio\"
tests_fuzz_replay_mmio_LDADD = $(test_libs)

check_PROGRAMS += tests/fuzz/replay_pci
TESTS += tests/fuzz/replay_pci
tests_fuzz_replay_pci_SOURCES = tests/fuzz/replay.c tests/fuzz/fuzz_pci.c \
	tests/fuzz/fuzz_registers.h tests/fuzz/fuzz_script.h
tests_fuzz_replay_pci_CPPFLAGS = $(replay_cppflags)pci\"
tests_fuzz_replay_pci_LDADD = $(test_libs)

fuzz:
	@FUZZ_CC='$(FUZZ_CC)' FUZZ_SECONDS='$(FUZZ_SECONDS)' \
	FUZZ_TARGETS='$(FUZZ_TARGETS)' srcdir='$(srcdir)' \
	FUZZ_SOURCES='$(library_sources) $(guest_sources)' \
	FUZZ_LIBS='$(library_libs)' \
	FUZZ_FLAGS='-DPVIO_MEMORY_CHECKED $(AM_CPPFLAGS) $(AM_CFLAGS)' \
	$(SHELL) $(srcdir)/tests/fuzz/run.sh

clean-local:
	rm -rf fuzz-build fuzz-findings
