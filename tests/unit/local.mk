# SPDX-License-Identifier: BSD-3-Clause
if HAVE_CHECK
broker_rig = tests/broker-guest.h tests/broker-rig.c tests/broker-rig.h
check_PROGRAMS += tests/unit/check_broker
TESTS += tests/unit/check_broker
tests_unit_check_broker_SOURCES = tests/unit/check_broker.c $(broker_rig)
tests_unit_check_broker_CPPFLAGS = $(test_cppflags)
tests_unit_check_broker_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_broker_LDADD = $(test_libs)

check_PROGRAMS += tests/unit/check_broker_relay
TESTS += tests/unit/check_broker_relay
tests_unit_check_broker_relay_SOURCES = tests/unit/check_broker_relay.c \
	$(broker_rig)
tests_unit_check_broker_relay_CPPFLAGS = $(test_cppflags)
tests_unit_check_broker_relay_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_broker_relay_LDADD = $(test_libs)

check_PROGRAMS += tests/unit/check_broker_signals
TESTS += tests/unit/check_broker_signals
tests_unit_check_broker_signals_SOURCES = tests/unit/check_broker_signals.c \
	$(broker_rig)
tests_unit_check_broker_signals_CPPFLAGS = $(test_cppflags)
tests_unit_check_broker_signals_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_broker_signals_LDADD = $(test_libs)

check_PROGRAMS += tests/unit/check_closer
TESTS += tests/unit/check_closer
tests_unit_check_closer_CPPFLAGS = $(test_cppflags)
tests_unit_check_closer_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_closer_LDADD = $(test_libs)
# It counts threads, and has none made.
tests_unit_check_closer_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=pthread_create

check_PROGRAMS += tests/unit/check_window
TESTS += tests/unit/check_window
tests_unit_check_window_CPPFLAGS = $(test_cppflags)
tests_unit_check_window_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_window_LDADD = $(test_libs)

check_PROGRAMS += tests/unit/check_bounce
TESTS += tests/unit/check_bounce
tests_unit_check_bounce_SOURCES = tests/unit/check_bounce.c $(bounce_rig)
tests_unit_check_bounce_CPPFLAGS = $(test_cppflags)
tests_unit_check_bounce_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_bounce_LDADD = $(test_libs)

check_PROGRAMS += tests/unit/check_bounce_reset
TESTS += tests/unit/check_bounce_reset
tests_unit_check_bounce_reset_SOURCES = tests/unit/check_bounce_reset.c \
	$(bounce_rig)
tests_unit_check_bounce_reset_CPPFLAGS = $(test_cppflags)
tests_unit_check_bounce_reset_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_bounce_reset_LDADD = $(test_libs)

check_PROGRAMS += tests/unit/check_bounce_restart
TESTS += tests/unit/check_bounce_restart
tests_unit_check_bounce_restart_SOURCES = tests/unit/check_bounce_restart.c \
	$(bounce_rig)
tests_unit_check_bounce_restart_CPPFLAGS = $(test_cppflags)
tests_unit_check_bounce_restart_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_bounce_restart_LDADD = $(test_libs)

check_PROGRAMS += tests/unit/check_config
TESTS += tests/unit/check_config
tests_unit_check_config_CPPFLAGS = $(test_cppflags)
tests_unit_check_config_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_config_LDADD = $(test_libs)

check_PROGRAMS += tests/unit/check_config_options
TESTS += tests/unit/check_config_options
tests_unit_check_config_options_CPPFLAGS = $(test_cppflags)
tests_unit_check_config_options_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_config_options_LDADD = $(test_libs)

check_PROGRAMS += tests/unit/check_failures
TESTS += tests/unit/check_failures
tests_unit_check_failures_CPPFLAGS = $(test_cppflags)
tests_unit_check_failures_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_failures_LDADD = $(test_libs)
tests_unit_check_failures_LDFLAGS = $(AM_LDFLAGS) \
	-Wl,--wrap=malloc,--wrap=calloc,--wrap=strdup,--wrap=strndup \
	-Wl,--wrap=eventfd,--wrap=mmap,--wrap=fcntl,--wrap=open_memstream

check_PROGRAMS += tests/unit/check_iov
TESTS += tests/unit/check_iov
tests_unit_check_iov_CPPFLAGS = $(test_cppflags)
tests_unit_check_iov_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_iov_LDADD = $(test_libs)

check_PROGRAMS += tests/unit/check_listen
TESTS += tests/unit/check_listen
tests_unit_check_listen_CPPFLAGS = $(test_cppflags)
tests_unit_check_listen_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_listen_LDADD = $(test_libs)
check_PROGRAMS += tests/unit/check_inflight
TESTS += tests/unit/check_inflight
tests_unit_check_inflight_SOURCES = tests/unit/check_inflight.c $(ring_rig)
tests_unit_check_inflight_CPPFLAGS = $(test_cppflags)
tests_unit_check_inflight_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_inflight_LDADD = $(test_libs)

if HAVE_KVM
check_PROGRAMS += tests/unit/check_kvm
TESTS += tests/unit/check_kvm
endif
tests_unit_check_kvm_SOURCES = tests/unit/check_kvm.c
tests_unit_check_kvm_CPPFLAGS = $(test_cppflags)
tests_unit_check_kvm_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_kvm_LDADD = $(CHECK_LIBS)

check_PROGRAMS += tests/unit/check_line
TESTS += tests/unit/check_line
tests_unit_check_line_CPPFLAGS = $(test_cppflags)
tests_unit_check_line_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_line_LDADD = $(test_libs)

check_PROGRAMS += tests/unit/check_msix
TESTS += tests/unit/check_msix
tests_unit_check_msix_CPPFLAGS = $(test_cppflags)
tests_unit_check_msix_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_msix_LDADD = $(test_libs)

check_PROGRAMS += tests/unit/check_device_life
TESTS += tests/unit/check_device_life
tests_unit_check_device_life_CPPFLAGS = $(test_cppflags)
tests_unit_check_device_life_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_device_life_LDADD = $(test_libs)

check_PROGRAMS += tests/unit/check_log
TESTS += tests/unit/check_log
tests_unit_check_log_CPPFLAGS = $(test_cppflags)
tests_unit_check_log_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_log_LDADD = $(test_libs)

check_PROGRAMS += tests/unit/check_memory
TESTS += tests/unit/check_memory
tests_unit_check_memory_CPPFLAGS = $(test_cppflags)
tests_unit_check_memory_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_memory_LDADD = $(test_libs)

check_PROGRAMS += tests/unit/check_net
TESTS += tests/unit/check_net
tests_unit_check_net_CPPFLAGS = $(test_cppflags)
tests_unit_check_net_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_net_LDADD = $(test_libs)

check_PROGRAMS += tests/unit/check_net_socket
TESTS += tests/unit/check_net_socket
tests_unit_check_net_socket_CPPFLAGS = $(test_cppflags)
tests_unit_check_net_socket_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_net_socket_LDADD = $(test_libs)

check_PROGRAMS += tests/unit/check_net_tap
TESTS += tests/unit/check_net_tap
tests_unit_check_net_tap_CPPFLAGS = $(test_cppflags)
tests_unit_check_net_tap_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_net_tap_LDADD = $(test_libs)

check_PROGRAMS += tests/unit/check_offload
TESTS += tests/unit/check_offload
tests_unit_check_offload_CPPFLAGS = $(test_cppflags)
tests_unit_check_offload_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_offload_LDADD = $(test_libs)

check_PROGRAMS += tests/unit/check_plugin
TESTS += tests/unit/check_plugin
tests_unit_check_plugin_CPPFLAGS = $(test_cppflags) \
	-DMODULE_DIR='"$(abs_builddir)/tests/unit/.libs"'
tests_unit_check_plugin_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_plugin_LDADD = $(test_libs)

# -rpath: automake builds shared objects only of what will be installed.
check_LTLIBRARIES += \
	tests/unit/plugin_good.la \
	tests/unit/plugin_none.la \
	tests/unit/plugin_wrong_abi.la
tests_unit_plugin_good_la_LDFLAGS = $(test_module_ldflags)
tests_unit_plugin_none_la_LDFLAGS = $(test_module_ldflags)
tests_unit_plugin_wrong_abi_la_LDFLAGS = $(test_module_ldflags)
test_module_ldflags = $(AM_LDFLAGS) -module -avoid-version -rpath /nowhere

check_PROGRAMS += tests/unit/check_signal
TESTS += tests/unit/check_signal
tests_unit_check_signal_CPPFLAGS = $(test_cppflags)
tests_unit_check_signal_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_signal_LDADD = $(test_libs)

check_PROGRAMS += tests/unit/check_signal_threads
TESTS += tests/unit/check_signal_threads
tests_unit_check_signal_threads_CPPFLAGS = $(test_cppflags)
tests_unit_check_signal_threads_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_signal_threads_LDADD = $(test_libs)

check_PROGRAMS += tests/unit/check_sigbus
TESTS += tests/unit/check_sigbus
tests_unit_check_sigbus_CPPFLAGS = $(test_cppflags)
tests_unit_check_sigbus_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_sigbus_LDADD = $(test_libs)

check_PROGRAMS += tests/unit/check_queue
TESTS += tests/unit/check_queue
tests_unit_check_queue_SOURCES = tests/unit/check_queue.c $(ring_rig)
tests_unit_check_queue_CPPFLAGS = $(test_cppflags)
tests_unit_check_queue_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_queue_LDADD = $(test_libs)

check_PROGRAMS += tests/unit/check_stats
TESTS += tests/unit/check_stats
tests_unit_check_stats_CPPFLAGS = $(test_cppflags)
tests_unit_check_stats_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_stats_LDADD = $(test_libs)

check_PROGRAMS += tests/unit/check_pci_card
TESTS += tests/unit/check_pci_card
tests_unit_check_pci_card_CPPFLAGS = $(test_cppflags)
tests_unit_check_pci_card_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_pci_card_LDADD = $(test_libs)

check_PROGRAMS += tests/unit/check_pci_server
TESTS += tests/unit/check_pci_server
tests_unit_check_pci_server_CPPFLAGS = $(test_cppflags)
tests_unit_check_pci_server_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_pci_server_LDADD = $(test_libs)

check_PROGRAMS += tests/unit/check_broker_vfio_user
TESTS += tests/unit/check_broker_vfio_user
tests_unit_check_broker_vfio_user_CPPFLAGS = $(test_cppflags)
tests_unit_check_broker_vfio_user_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_broker_vfio_user_LDADD = $(test_libs)

check_PROGRAMS += tests/unit/check_carrier_vfio_user
TESTS += tests/unit/check_carrier_vfio_user
tests_unit_check_carrier_vfio_user_CPPFLAGS = $(test_cppflags)
tests_unit_check_carrier_vfio_user_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_carrier_vfio_user_LDADD = $(test_libs)

check_PROGRAMS += tests/unit/check_vfio_user
TESTS += tests/unit/check_vfio_user
tests_unit_check_vfio_user_CPPFLAGS = $(test_cppflags)
tests_unit_check_vfio_user_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_vfio_user_LDADD = $(test_libs)

vhost_pci_host = tests/vhost-pci-host.c tests/vhost-pci-host.h \
	tests/vhost-pci-rig.h
check_PROGRAMS += tests/unit/check_vhost_pci
TESTS += tests/unit/check_vhost_pci
tests_unit_check_vhost_pci_SOURCES = tests/unit/check_vhost_pci.c \
	$(vhost_pci_host)
tests_unit_check_vhost_pci_CPPFLAGS = $(test_cppflags)
tests_unit_check_vhost_pci_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_vhost_pci_LDADD = $(test_libs)

check_PROGRAMS += tests/unit/check_vhost_pci_channel
TESTS += tests/unit/check_vhost_pci_channel
tests_unit_check_vhost_pci_channel_CPPFLAGS = $(test_cppflags)
tests_unit_check_vhost_pci_channel_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_vhost_pci_channel_LDADD = $(test_libs)

check_PROGRAMS += tests/unit/check_vhost_pci_pair
TESTS += tests/unit/check_vhost_pci_pair
tests_unit_check_vhost_pci_pair_CPPFLAGS = $(test_cppflags)
tests_unit_check_vhost_pci_pair_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_vhost_pci_pair_LDADD = $(test_libs)

check_PROGRAMS += tests/unit/check_vhost_pci_vfio
TESTS += tests/unit/check_vhost_pci_vfio
tests_unit_check_vhost_pci_vfio_CPPFLAGS = $(test_cppflags)
tests_unit_check_vhost_pci_vfio_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_vhost_pci_vfio_LDADD = $(test_libs)
tests_unit_check_vhost_pci_vfio_LDFLAGS = $(AM_LDFLAGS) \
	-Wl,--wrap=open,--wrap=readlink,--wrap=ioctl

check_PROGRAMS += tests/unit/check_vhost_user
TESTS += tests/unit/check_vhost_user
tests_unit_check_vhost_user_CPPFLAGS = $(test_cppflags)
tests_unit_check_vhost_user_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_vhost_user_LDADD = $(test_libs)

check_PROGRAMS += tests/unit/check_switch
TESTS += tests/unit/check_switch
tests_unit_check_switch_CPPFLAGS = $(test_cppflags)
tests_unit_check_switch_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_switch_LDADD = $(test_libs)

check_PROGRAMS += tests/unit/check_vhost_user_memory
TESTS += tests/unit/check_vhost_user_memory
tests_unit_check_vhost_user_memory_CPPFLAGS = $(test_cppflags)
tests_unit_check_vhost_user_memory_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_vhost_user_memory_LDADD = $(test_libs)

check_PROGRAMS += tests/unit/check_worker
TESTS += tests/unit/check_worker
tests_unit_check_worker_CPPFLAGS = $(test_cppflags)
tests_unit_check_worker_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_worker_LDADD = $(test_libs)

check_PROGRAMS += tests/unit/check_block
TESTS += tests/unit/check_block
tests_unit_check_block_SOURCES = tests/unit/check_block.c $(block_rig)
tests_unit_check_block_CPPFLAGS = $(test_cppflags) $(block_plugins)
tests_unit_check_block_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_block_LDADD = $(test_libs)

check_PROGRAMS += tests/unit/check_block_device
TESTS += tests/unit/check_block_device
tests_unit_check_block_device_SOURCES = tests/unit/check_block_device.c \
	$(block_rig)
tests_unit_check_block_device_CPPFLAGS = $(test_cppflags)
tests_unit_check_block_device_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_block_device_LDADD = $(test_libs)

check_PROGRAMS += tests/unit/check_block_file
TESTS += tests/unit/check_block_file
tests_unit_check_block_file_SOURCES = tests/unit/check_block_file.c \
	$(block_rig)
tests_unit_check_block_file_CPPFLAGS = $(test_cppflags)
tests_unit_check_block_file_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_block_file_LDADD = $(test_libs)

check_PROGRAMS += tests/unit/check_ways
TESTS += tests/unit/check_ways
tests_unit_check_ways_SOURCES = tests/unit/check_ways.c $(block_rig)
tests_unit_check_ways_CPPFLAGS = $(test_cppflags)
tests_unit_check_ways_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_check_ways_LDADD = $(test_libs)

bounce_rig = tests/bounce-guest.h tests/bounce-rig.c tests/bounce-rig.h
block_rig = tests/block-faulty.h tests/block-rig.c tests/block-rig.h \
	tests/plugins/block-faulty.h
block_plugins = -DPVIO_TEST_PLUGIN_DIR='"$(abs_builddir)/tests/plugins/.libs"'
check_LTLIBRARIES += tests/plugins/block-faulty.la
tests_plugins_block_faulty_la_SOURCES = tests/plugins/block-faulty.c
tests_plugins_block_faulty_la_LDFLAGS = $(test_module_ldflags)
endif
