# SPDX-License-Identifier: BSD-3-Clause
if HAVE_CHECK
check_PROGRAMS += tests/hostile/check_block
TESTS += tests/hostile/check_block
tests_hostile_check_block_SOURCES = tests/hostile/check_block.c $(block_rig)
tests_hostile_check_block_CPPFLAGS = $(test_cppflags) $(block_plugins)
tests_hostile_check_block_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_hostile_check_block_LDADD = $(test_libs)

check_PROGRAMS += tests/hostile/check_block_state
TESTS += tests/hostile/check_block_state
tests_hostile_check_block_state_SOURCES = tests/hostile/check_block_state.c \
	$(block_rig)
tests_hostile_check_block_state_CPPFLAGS = $(test_cppflags) $(block_plugins)
tests_hostile_check_block_state_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_hostile_check_block_state_LDADD = $(test_libs)

check_PROGRAMS += tests/hostile/check_broker
TESTS += tests/hostile/check_broker
tests_hostile_check_broker_SOURCES = tests/hostile/check_broker.c $(broker_rig)
tests_hostile_check_broker_CPPFLAGS = $(test_cppflags)
tests_hostile_check_broker_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_hostile_check_broker_LDADD = $(test_libs)
check_PROGRAMS += tests/hostile/check_bounce
TESTS += tests/hostile/check_bounce
tests_hostile_check_bounce_SOURCES = tests/hostile/check_bounce.c $(bounce_rig)
tests_hostile_check_bounce_CPPFLAGS = $(test_cppflags)
tests_hostile_check_bounce_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_hostile_check_bounce_LDADD = $(test_libs)

check_PROGRAMS += tests/hostile/check_eventfd
TESTS += tests/hostile/check_eventfd
tests_hostile_check_eventfd_CPPFLAGS = $(test_cppflags)
tests_hostile_check_eventfd_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_hostile_check_eventfd_LDADD = $(test_libs)

check_PROGRAMS += tests/hostile/check_vfio_user_client
TESTS += tests/hostile/check_vfio_user_client
tests_hostile_check_vfio_user_client_CPPFLAGS = $(test_cppflags)
tests_hostile_check_vfio_user_client_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_hostile_check_vfio_user_client_LDADD = $(test_libs)

check_PROGRAMS += tests/hostile/check_vfio_user_device
TESTS += tests/hostile/check_vfio_user_device
tests_hostile_check_vfio_user_device_CPPFLAGS = $(test_cppflags)
tests_hostile_check_vfio_user_device_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_hostile_check_vfio_user_device_LDADD = $(test_libs)

check_PROGRAMS += tests/hostile/check_vfio_user_flight
TESTS += tests/hostile/check_vfio_user_flight
tests_hostile_check_vfio_user_flight_CPPFLAGS = $(test_cppflags) \
	$(block_plugins)
tests_hostile_check_vfio_user_flight_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_hostile_check_vfio_user_flight_LDADD = $(test_libs)

check_PROGRAMS += tests/hostile/check_vfio_user_irqs
TESTS += tests/hostile/check_vfio_user_irqs
tests_hostile_check_vfio_user_irqs_CPPFLAGS = $(test_cppflags)
tests_hostile_check_vfio_user_irqs_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_hostile_check_vfio_user_irqs_LDADD = $(test_libs)

check_PROGRAMS += tests/hostile/check_vfio_user_linger
TESTS += tests/hostile/check_vfio_user_linger
tests_hostile_check_vfio_user_linger_CPPFLAGS = $(test_cppflags)
tests_hostile_check_vfio_user_linger_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_hostile_check_vfio_user_linger_LDADD = $(test_libs)

check_PROGRAMS += tests/hostile/check_vfio_user_memory
TESTS += tests/hostile/check_vfio_user_memory
tests_hostile_check_vfio_user_memory_CPPFLAGS = $(test_cppflags)
tests_hostile_check_vfio_user_memory_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_hostile_check_vfio_user_memory_LDADD = $(test_libs)

check_PROGRAMS += tests/hostile/check_vfio_user_poll
TESTS += tests/hostile/check_vfio_user_poll
tests_hostile_check_vfio_user_poll_CPPFLAGS = $(test_cppflags)
tests_hostile_check_vfio_user_poll_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_hostile_check_vfio_user_poll_LDADD = $(test_libs)

check_PROGRAMS += tests/hostile/check_vfio_user_threads
TESTS += tests/hostile/check_vfio_user_threads
tests_hostile_check_vfio_user_threads_CPPFLAGS = $(test_cppflags)
tests_hostile_check_vfio_user_threads_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_hostile_check_vfio_user_threads_LDADD = $(test_libs)

check_PROGRAMS += tests/hostile/check_vfio_user_version
TESTS += tests/hostile/check_vfio_user_version
tests_hostile_check_vfio_user_version_CPPFLAGS = $(test_cppflags)
tests_hostile_check_vfio_user_version_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_hostile_check_vfio_user_version_LDADD = $(test_libs)

check_PROGRAMS += tests/hostile/check_vfio_user_wire
TESTS += tests/hostile/check_vfio_user_wire
tests_hostile_check_vfio_user_wire_CPPFLAGS = $(test_cppflags)
tests_hostile_check_vfio_user_wire_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_hostile_check_vfio_user_wire_LDADD = $(test_libs)
# It looks at what is open while the server sends.
tests_hostile_check_vfio_user_wire_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=sendmsg

check_PROGRAMS += tests/hostile/check_vhost_pci_guest
TESTS += tests/hostile/check_vhost_pci_guest
tests_hostile_check_vhost_pci_guest_SOURCES = \
	tests/hostile/check_vhost_pci_guest.c $(vhost_pci_host)
tests_hostile_check_vhost_pci_guest_CPPFLAGS = $(test_cppflags)
tests_hostile_check_vhost_pci_guest_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_hostile_check_vhost_pci_guest_LDADD = $(test_libs)

check_PROGRAMS += tests/hostile/check_vhost_user_linger
TESTS += tests/hostile/check_vhost_user_linger
tests_hostile_check_vhost_user_linger_CPPFLAGS = $(test_cppflags)
tests_hostile_check_vhost_user_linger_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_hostile_check_vhost_user_linger_LDADD = $(test_libs)

check_PROGRAMS += tests/hostile/check_vhost_user_memory
TESTS += tests/hostile/check_vhost_user_memory
tests_hostile_check_vhost_user_memory_CPPFLAGS = $(test_cppflags)
tests_hostile_check_vhost_user_memory_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_hostile_check_vhost_user_memory_LDADD = $(test_libs)

check_PROGRAMS += tests/hostile/check_vhost_user_rings
TESTS += tests/hostile/check_vhost_user_rings
tests_hostile_check_vhost_user_rings_CPPFLAGS = $(test_cppflags)
tests_hostile_check_vhost_user_rings_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_hostile_check_vhost_user_rings_LDADD = $(test_libs)

check_PROGRAMS += tests/hostile/check_vhost_user_wire
TESTS += tests/hostile/check_vhost_user_wire
tests_hostile_check_vhost_user_wire_CPPFLAGS = $(test_cppflags)
tests_hostile_check_vhost_user_wire_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_hostile_check_vhost_user_wire_LDADD = $(test_libs)

check_PROGRAMS += tests/hostile/check_net
TESTS += tests/hostile/check_net
tests_hostile_check_net_CPPFLAGS = $(test_cppflags)
tests_hostile_check_net_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_hostile_check_net_LDADD = $(test_libs)

check_PROGRAMS += tests/hostile/check_net_control
TESTS += tests/hostile/check_net_control
tests_hostile_check_net_control_CPPFLAGS = $(test_cppflags)
tests_hostile_check_net_control_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_hostile_check_net_control_LDADD = $(test_libs)

check_PROGRAMS += tests/hostile/check_net_socket
TESTS += tests/hostile/check_net_socket
tests_hostile_check_net_socket_CPPFLAGS = $(test_cppflags)
tests_hostile_check_net_socket_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_hostile_check_net_socket_LDADD = $(test_libs)

check_PROGRAMS += tests/hostile/check_net_switch
TESTS += tests/hostile/check_net_switch
tests_hostile_check_net_switch_CPPFLAGS = $(test_cppflags)
tests_hostile_check_net_switch_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_hostile_check_net_switch_LDADD = $(test_libs)

ring_rig = tests/rig.c tests/rig.h
check_PROGRAMS += tests/hostile/check_packed
TESTS += tests/hostile/check_packed
tests_hostile_check_packed_SOURCES = tests/hostile/check_packed.c $(ring_rig)
tests_hostile_check_packed_CPPFLAGS = $(test_cppflags)
tests_hostile_check_packed_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_hostile_check_packed_LDADD = $(test_libs)

check_PROGRAMS += tests/hostile/check_rings_all
TESTS += tests/hostile/check_rings_all
tests_hostile_check_rings_all_SOURCES = \
	tests/hostile/check_rings_all.c $(ring_rig)
tests_hostile_check_rings_all_CPPFLAGS = $(test_cppflags)
tests_hostile_check_rings_all_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_hostile_check_rings_all_LDADD = $(test_libs)

check_PROGRAMS += tests/hostile/check_signal
TESTS += tests/hostile/check_signal
tests_hostile_check_signal_CPPFLAGS = $(test_cppflags)
tests_hostile_check_signal_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_hostile_check_signal_LDADD = $(test_libs)

check_PROGRAMS += tests/hostile/check_split
TESTS += tests/hostile/check_split
tests_hostile_check_split_SOURCES = tests/hostile/check_split.c $(ring_rig)
tests_hostile_check_split_CPPFLAGS = $(test_cppflags)
tests_hostile_check_split_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_hostile_check_split_LDADD = $(test_libs)

check_PROGRAMS += tests/hostile/check_split_indirect
TESTS += tests/hostile/check_split_indirect
tests_hostile_check_split_indirect_SOURCES = \
	tests/hostile/check_split_indirect.c $(ring_rig)
tests_hostile_check_split_indirect_CPPFLAGS = $(test_cppflags)
tests_hostile_check_split_indirect_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_hostile_check_split_indirect_LDADD = $(test_libs)
endif
