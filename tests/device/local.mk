# SPDX-License-Identifier: BSD-3-Clause
#
# The probe device, for the programs that test devices and transports.
if HAVE_CHECK
check_LTLIBRARIES += tests/device/model-probe.la
tests_device_model_probe_la_SOURCES = \
	tests/device/model-probe.c \
	tests/device/probe.h
tests_device_model_probe_la_CPPFLAGS = $(test_cppflags) -DPVIO_MODULE
tests_device_model_probe_la_LDFLAGS = $(test_module_ldflags)

rig_sources = tests/device/rig.c tests/device/rig.h
rig_cppflags = $(test_cppflags) \
	-DPROBE_DIR='"$(abs_builddir)/tests/device/.libs"'
# The module finds the core in the program that loads it.
rig_ldflags = $(AM_LDFLAGS) -export-dynamic

check_PROGRAMS += tests/unit/check_device
TESTS += tests/unit/check_device
tests_unit_check_device_SOURCES = tests/unit/check_device.c $(rig_sources)
tests_unit_check_device_CPPFLAGS = $(rig_cppflags)
tests_unit_check_device_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_device_LDFLAGS = $(rig_ldflags)
tests_unit_check_device_LDADD = $(test_libs)

check_PROGRAMS += tests/unit/check_device_quiet
TESTS += tests/unit/check_device_quiet
tests_unit_check_device_quiet_SOURCES = tests/unit/check_device_quiet.c $(rig_sources)
tests_unit_check_device_quiet_CPPFLAGS = $(rig_cppflags)
tests_unit_check_device_quiet_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_device_quiet_LDFLAGS = $(rig_ldflags)
tests_unit_check_device_quiet_LDADD = $(test_libs)

check_PROGRAMS += tests/unit/check_device_threads
TESTS += tests/unit/check_device_threads
tests_unit_check_device_threads_SOURCES = tests/unit/check_device_threads.c $(rig_sources)
tests_unit_check_device_threads_CPPFLAGS = $(rig_cppflags)
tests_unit_check_device_threads_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_device_threads_LDFLAGS = $(rig_ldflags)
tests_unit_check_device_threads_LDADD = $(test_libs)

check_PROGRAMS += tests/hostile/check_device
TESTS += tests/hostile/check_device
tests_hostile_check_device_SOURCES = tests/hostile/check_device.c $(rig_sources)
tests_hostile_check_device_CPPFLAGS = $(rig_cppflags)
tests_hostile_check_device_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_hostile_check_device_LDFLAGS = $(rig_ldflags)
tests_hostile_check_device_LDADD = $(test_libs)

check_PROGRAMS += tests/unit/check_loopback
TESTS += tests/unit/check_loopback
tests_unit_check_loopback_SOURCES = tests/unit/check_loopback.c $(rig_sources)
tests_unit_check_loopback_CPPFLAGS = $(rig_cppflags)
tests_unit_check_loopback_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_loopback_LDFLAGS = $(rig_ldflags)
tests_unit_check_loopback_LDADD = $(test_libs)

check_PROGRAMS += tests/unit/check_rng
TESTS += tests/unit/check_rng
tests_unit_check_rng_CPPFLAGS = $(test_cppflags)
tests_unit_check_rng_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_rng_LDADD = $(test_libs)

check_PROGRAMS += tests/unit/check_examples
TESTS += tests/unit/check_examples
tests_unit_check_examples_CPPFLAGS = $(AM_CPPFLAGS) \
	-DEXAMPLES_DIR='"$(abs_builddir)/examples/.libs"'
tests_unit_check_examples_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_examples_LDADD = libguest.la libpvio.la $(CHECK_LIBS) \
	$(library_libs)

check_PROGRAMS += tests/unit/check_device_nomem
TESTS += tests/unit/check_device_nomem
tests_unit_check_device_nomem_SOURCES = tests/unit/check_device_nomem.c $(rig_sources)
tests_unit_check_device_nomem_CPPFLAGS = $(rig_cppflags)
tests_unit_check_device_nomem_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_device_nomem_LDFLAGS = $(rig_ldflags) \
	-Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc \
	-Wl,--wrap=aligned_alloc -Wl,--wrap=strdup \
	-Wl,--wrap=event_new -Wl,--wrap=event_add
tests_unit_check_device_nomem_LDADD = $(test_libs)

check_PROGRAMS += tests/unit/check_device_kick
TESTS += tests/unit/check_device_kick
tests_unit_check_device_kick_SOURCES = tests/unit/check_device_kick.c $(rig_sources)
tests_unit_check_device_kick_CPPFLAGS = $(rig_cppflags)
tests_unit_check_device_kick_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_device_kick_LDFLAGS = $(rig_ldflags)
tests_unit_check_device_kick_LDADD = $(test_libs)

check_PROGRAMS += tests/hostile/check_device_status
TESTS += tests/hostile/check_device_status
tests_hostile_check_device_status_SOURCES = tests/hostile/check_device_status.c $(rig_sources)
tests_hostile_check_device_status_CPPFLAGS = $(rig_cppflags)
tests_hostile_check_device_status_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_hostile_check_device_status_LDFLAGS = $(rig_ldflags)
tests_hostile_check_device_status_LDADD = $(test_libs)

regs_rig_sources = tests/regs-rig.c tests/regs-rig.h tests/device/probe.h
pci_rig_sources = tests/pci-rig.c tests/pci-rig.h $(regs_rig_sources)
check_PROGRAMS += tests/unit/check_pci
TESTS += tests/unit/check_pci
tests_unit_check_pci_SOURCES = tests/unit/check_pci.c $(pci_rig_sources)
tests_unit_check_pci_CPPFLAGS = $(rig_cppflags)
tests_unit_check_pci_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_pci_LDFLAGS = $(rig_ldflags)
tests_unit_check_pci_LDADD = $(test_libs)

check_PROGRAMS += tests/unit/check_pci_config
TESTS += tests/unit/check_pci_config
tests_unit_check_pci_config_SOURCES = tests/unit/check_pci_config.c $(pci_rig_sources)
tests_unit_check_pci_config_CPPFLAGS = $(rig_cppflags)
tests_unit_check_pci_config_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_pci_config_LDFLAGS = $(rig_ldflags)
tests_unit_check_pci_config_LDADD = $(test_libs)

check_PROGRAMS += tests/unit/check_pci_interrupts
TESTS += tests/unit/check_pci_interrupts
tests_unit_check_pci_interrupts_SOURCES = tests/unit/check_pci_interrupts.c $(pci_rig_sources)
tests_unit_check_pci_interrupts_CPPFLAGS = $(rig_cppflags)
tests_unit_check_pci_interrupts_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_pci_interrupts_LDFLAGS = $(rig_ldflags)
tests_unit_check_pci_interrupts_LDADD = $(test_libs)

check_PROGRAMS += tests/unit/check_pci_threads
TESTS += tests/unit/check_pci_threads
tests_unit_check_pci_threads_SOURCES = tests/unit/check_pci_threads.c $(pci_rig_sources)
tests_unit_check_pci_threads_CPPFLAGS = $(rig_cppflags)
tests_unit_check_pci_threads_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_pci_threads_LDFLAGS = $(rig_ldflags)
tests_unit_check_pci_threads_LDADD = $(test_libs)

check_PROGRAMS += tests/hostile/check_pci
TESTS += tests/hostile/check_pci
tests_hostile_check_pci_SOURCES = tests/hostile/check_pci.c $(pci_rig_sources)
tests_hostile_check_pci_CPPFLAGS = $(rig_cppflags)
tests_hostile_check_pci_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_hostile_check_pci_LDFLAGS = $(rig_ldflags)
tests_hostile_check_pci_LDADD = $(test_libs)

check_PROGRAMS += tests/hostile/check_pci_config
TESTS += tests/hostile/check_pci_config
tests_hostile_check_pci_config_SOURCES = tests/hostile/check_pci_config.c $(pci_rig_sources)
tests_hostile_check_pci_config_CPPFLAGS = $(rig_cppflags)
tests_hostile_check_pci_config_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_hostile_check_pci_config_LDFLAGS = $(rig_ldflags)
tests_hostile_check_pci_config_LDADD = $(test_libs)

check_PROGRAMS += tests/hostile/check_pci_queues
TESTS += tests/hostile/check_pci_queues
tests_hostile_check_pci_queues_SOURCES = tests/hostile/check_pci_queues.c $(pci_rig_sources)
tests_hostile_check_pci_queues_CPPFLAGS = $(rig_cppflags)
tests_hostile_check_pci_queues_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_hostile_check_pci_queues_LDFLAGS = $(rig_ldflags)
tests_hostile_check_pci_queues_LDADD = $(test_libs)

check_PROGRAMS += tests/unit/check_memory_list
TESTS += tests/unit/check_memory_list
tests_unit_check_memory_list_SOURCES = tests/unit/check_memory_list.c $(pci_rig_sources)
tests_unit_check_memory_list_CPPFLAGS = $(rig_cppflags)
tests_unit_check_memory_list_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_memory_list_LDFLAGS = $(rig_ldflags)
tests_unit_check_memory_list_LDADD = $(test_libs)

mmio_rig_sources = tests/mmio-rig.c tests/mmio-rig.h $(regs_rig_sources)
check_PROGRAMS += tests/unit/check_mmio
TESTS += tests/unit/check_mmio
tests_unit_check_mmio_SOURCES = tests/unit/check_mmio.c $(mmio_rig_sources)
tests_unit_check_mmio_CPPFLAGS = $(rig_cppflags)
tests_unit_check_mmio_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_mmio_LDFLAGS = $(rig_ldflags)
tests_unit_check_mmio_LDADD = $(test_libs)

check_PROGRAMS += tests/hostile/check_mmio
TESTS += tests/hostile/check_mmio
tests_hostile_check_mmio_SOURCES = tests/hostile/check_mmio.c $(mmio_rig_sources)
tests_hostile_check_mmio_CPPFLAGS = $(rig_cppflags)
tests_hostile_check_mmio_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_hostile_check_mmio_LDFLAGS = $(rig_ldflags)
tests_hostile_check_mmio_LDADD = $(test_libs)

bus_rig_sources = tests/bus-rig.c tests/bus-rig.h tests/device/probe.h
check_PROGRAMS += tests/unit/check_bus
TESTS += tests/unit/check_bus
tests_unit_check_bus_SOURCES = tests/unit/check_bus.c $(bus_rig_sources)
tests_unit_check_bus_CPPFLAGS = $(rig_cppflags)
tests_unit_check_bus_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_bus_LDFLAGS = $(rig_ldflags)
tests_unit_check_bus_LDADD = $(test_libs)

check_PROGRAMS += tests/unit/check_bus_signals
TESTS += tests/unit/check_bus_signals
tests_unit_check_bus_signals_SOURCES = tests/unit/check_bus_signals.c $(bus_rig_sources)
tests_unit_check_bus_signals_CPPFLAGS = $(rig_cppflags)
tests_unit_check_bus_signals_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_bus_signals_LDFLAGS = $(rig_ldflags)
tests_unit_check_bus_signals_LDADD = $(test_libs)

check_PROGRAMS += tests/unit/check_bus_unplug
TESTS += tests/unit/check_bus_unplug
tests_unit_check_bus_unplug_SOURCES = tests/unit/check_bus_unplug.c $(bus_rig_sources)
tests_unit_check_bus_unplug_CPPFLAGS = $(rig_cppflags)
tests_unit_check_bus_unplug_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_bus_unplug_LDFLAGS = $(rig_ldflags)
tests_unit_check_bus_unplug_LDADD = $(test_libs)

check_PROGRAMS += tests/unit/check_bus_threads
TESTS += tests/unit/check_bus_threads
tests_unit_check_bus_threads_SOURCES = tests/unit/check_bus_threads.c $(bus_rig_sources)
tests_unit_check_bus_threads_CPPFLAGS = $(rig_cppflags)
tests_unit_check_bus_threads_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_bus_threads_LDFLAGS = $(rig_ldflags)
tests_unit_check_bus_threads_LDADD = $(test_libs)

check_PROGRAMS += tests/hostile/check_bus
TESTS += tests/hostile/check_bus
tests_hostile_check_bus_SOURCES = tests/hostile/check_bus.c $(bus_rig_sources)
tests_hostile_check_bus_CPPFLAGS = $(rig_cppflags)
tests_hostile_check_bus_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_hostile_check_bus_LDFLAGS = $(rig_ldflags)
tests_hostile_check_bus_LDADD = $(test_libs)

check_PROGRAMS += tests/hostile/check_bus_areas
TESTS += tests/hostile/check_bus_areas
tests_hostile_check_bus_areas_SOURCES = tests/hostile/check_bus_areas.c $(bus_rig_sources)
tests_hostile_check_bus_areas_CPPFLAGS = $(rig_cppflags)
tests_hostile_check_bus_areas_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_hostile_check_bus_areas_LDFLAGS = $(rig_ldflags)
tests_hostile_check_bus_areas_LDADD = $(test_libs)

check_PROGRAMS += tests/hostile/check_bus_bridge
TESTS += tests/hostile/check_bus_bridge
tests_hostile_check_bus_bridge_SOURCES = tests/hostile/check_bus_bridge.c $(bus_rig_sources)
tests_hostile_check_bus_bridge_CPPFLAGS = $(rig_cppflags)
tests_hostile_check_bus_bridge_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_hostile_check_bus_bridge_LDFLAGS = $(rig_ldflags)
tests_hostile_check_bus_bridge_LDADD = $(test_libs)
endif
