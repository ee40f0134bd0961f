# SPDX-License-Identifier: BSD-3-Clause
sbin_PROGRAMS += pviod pvio-block pvio-net
bin_PROGRAMS += pvioctl

common_sources = \
	tools/common/limits.c \
	tools/common/limits.h \
	tools/common/stderr-log.c \
	tools/common/stderr-log.h \
	tools/common/systemd.c \
	tools/common/systemd.h \
	$(NULL)

pviod_SOURCES = \
	$(common_sources) \
	tools/common/lines.c \
	tools/common/lines.h \
	tools/pviod/control.c \
	tools/pviod/control.h \
	tools/pviod/link.c \
	tools/pviod/link.h \
	tools/pviod/main.c \
	tools/pviod/plan.c \
	tools/pviod/plan.h \
	tools/pviod/plug.c \
	tools/pviod/plug.h \
	tools/pviod/serve.c \
	tools/pviod/serve.h \
	tools/pviod/sockets.c \
	tools/pviod/sockets.h \
	tools/pviod/store.c \
	tools/pviod/store.h \
	tools/pviod/supervisor.c \
	tools/pviod/supervisor.h \
	tools/pviod/unit-fork.c \
	tools/pviod/unit.c \
	tools/pviod/unit.h \
	$(NULL)
pviod_LDADD = $(tool_libs)

pvioctl_SOURCES = \
	tools/pvioctl/main.c \
	tools/pvioctl/show.c \
	tools/pvioctl/show.h \
	tools/pviod/link.c \
	tools/pviod/link.h \
	$(NULL)
pvioctl_LDADD = $(tool_libs)

backend_program_sources = \
	$(common_sources) \
	tools/common/backend-program.c \
	tools/common/backend-program.h \
	$(NULL)

pvio_block_SOURCES = $(backend_program_sources) tools/pvio-block/main.c
pvio_block_LDADD = $(tool_libs)

pvio_net_SOURCES = $(backend_program_sources) tools/pvio-net/main.c
pvio_net_LDADD = $(tool_libs)

# Benchmarks measure the inside, so they take the library's objects.
bin_PROGRAMS += pvio-bench
pvio_bench_SOURCES = \
	tools/bench/bench.h \
	tools/bench/block-options.c \
	tools/bench/block.c \
	tools/bench/block.h \
	tools/bench/host.c \
	tools/bench/host.h \
	tools/bench/kick.c \
	tools/bench/main.c \
	tools/bench/net.c \
	tools/bench/options.c \
	tools/bench/report.c \
	tools/bench/report.h \
	tools/bench/ring.c \
	tools/bench/signal-ring.h \
	tools/bench/signal.c \
	$(NULL)
if HAVE_KVM
pvio_bench_SOURCES += \
	examples/tinyvmm/tinyvmm.h \
	examples/tinyvmm/vm.c \
	tools/bench/doorbell-guest.S \
	tools/bench/doorbell-guest.h \
	tools/bench/doorbell-kinds.c \
	tools/bench/doorbell.c \
	tools/bench/doorbell.h \
	$(NULL)
else
pvio_bench_SOURCES += tools/bench/doorbell-none.c
endif
pvio_bench_LDADD = libguest.la libpvio-production.la $(library_libs)

# --- files that name where things are installed ------------------------------
tools_generated = \
	tools/pvio-block/50-pvio-block.json \
	tools/pvio-net/50-pvio-net.json \
	$(NULL)
vhostuserdir = $(datadir)/qemu/vhost-user
nodist_vhostuser_DATA = $(tools_generated)

tools_units = \
	tools/systemd/pvio-block@.service \
	tools/systemd/pvio-block@.socket \
	tools/systemd/pviod.service \
	tools/systemd/pviod.socket \
	$(NULL)
systemdsystemunitdir = @systemdsystemunitdir@
if INSTALL_UNITS
nodist_systemdsystemunit_DATA = $(tools_units)
endif
noinst_DATA += $(tools_units)

dist_doc_DATA += tools/pviod/pvio.conf.sample

EXTRA_DIST += $(tools_generated:=.in) $(tools_units:=.in)
CLEANFILES += $(tools_generated) $(tools_units)

$(tools_generated) $(tools_units): Makefile
	$(AM_V_GEN)$(MKDIR_P) $(@D) && \
	$(SED) -e 's|@sbindir[@]|$(sbindir)|g' \
		-e 's|@sysconfdir[@]|$(sysconfdir)|g' \
		-e 's|@runstatedir[@]|$(runstatedir)|g' \
		$(srcdir)/$@.in > $@.tmp && mv $@.tmp $@
tools/pvio-block/50-pvio-block.json: tools/pvio-block/50-pvio-block.json.in
tools/pvio-net/50-pvio-net.json: tools/pvio-net/50-pvio-net.json.in
tools/systemd/pvio-block@.service: tools/systemd/pvio-block@.service.in
tools/systemd/pvio-block@.socket: tools/systemd/pvio-block@.socket.in
tools/systemd/pviod.service: tools/systemd/pviod.service.in
tools/systemd/pviod.socket: tools/systemd/pviod.socket.in
