# SPDX-License-Identifier: BSD-3-Clause
#
# The programs as they are installed, run as processes.
program_rig = \
	tests/programs/rig.c \
	tests/programs/rig.h \
	$(NULL)

dist_check_SCRIPTS += \
	tests/programs/bench.sh \
	tests/programs/config-errors.sh \
	tests/programs/man-pages.sh \
	$(NULL)
TESTS += tests/programs/bench.sh tests/programs/config-errors.sh \
	tests/programs/man-pages.sh

if HAVE_CHECK
check_PROGRAMS += tests/programs/check_backend_program
TESTS += tests/programs/check_backend_program
tests_programs_check_backend_program_SOURCES = $(program_rig) \
	tests/programs/check_backend_program.c
tests_programs_check_backend_program_CPPFLAGS = $(test_cppflags)
tests_programs_check_backend_program_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_programs_check_backend_program_LDADD = libguest.la $(test_lib) \
	$(CHECK_LIBS) $(library_libs)

check_PROGRAMS += tests/programs/check_bus
TESTS += tests/programs/check_bus
tests_programs_check_bus_SOURCES = $(program_rig) tests/programs/check_bus.c
tests_programs_check_bus_CPPFLAGS = $(test_cppflags)
tests_programs_check_bus_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_programs_check_bus_LDADD = libguest.la $(test_lib) $(CHECK_LIBS) \
	$(library_libs)

check_PROGRAMS += tests/programs/check_control
TESTS += tests/programs/check_control
tests_programs_check_control_SOURCES = $(program_rig) \
	tests/programs/check_control.c
tests_programs_check_control_CPPFLAGS = $(test_cppflags)
tests_programs_check_control_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_programs_check_control_LDADD = $(CHECK_LIBS) $(JSONC_LIBS)

check_PROGRAMS += tests/programs/check_pviod
TESTS += tests/programs/check_pviod
tests_programs_check_pviod_SOURCES = $(program_rig) \
	tests/programs/check_pviod.c
tests_programs_check_pviod_CPPFLAGS = $(test_cppflags) \
	-DROGUE_DIR='"$(abs_builddir)/tests/programs/.libs"'
tests_programs_check_pviod_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_programs_check_pviod_LDADD = libguest.la $(test_lib) $(CHECK_LIBS) \
	$(library_libs)

check_PROGRAMS += tests/programs/check_store
TESTS += tests/programs/check_store
tests_programs_check_store_SOURCES = tests/programs/check_store.c \
	tools/pviod/store.c tools/pviod/store.h
tests_programs_check_store_CPPFLAGS = $(test_cppflags)
tests_programs_check_store_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_programs_check_store_LDADD = $(test_libs)

check_PROGRAMS += tests/programs/check_vfio_user
TESTS += tests/programs/check_vfio_user
tests_programs_check_vfio_user_SOURCES = $(program_rig) \
	tests/programs/disk-guest.h \
	tests/programs/check_vfio_user.c
tests_programs_check_vfio_user_CPPFLAGS = $(test_cppflags)
tests_programs_check_vfio_user_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_programs_check_vfio_user_LDADD = $(test_libs) $(JSONC_LIBS)

check_PROGRAMS += tests/programs/check_window
TESTS += tests/programs/check_window
tests_programs_check_window_SOURCES = $(program_rig) \
	tests/programs/disk-guest.h \
	tests/programs/check_window.c
tests_programs_check_window_CPPFLAGS = $(test_cppflags)
tests_programs_check_window_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_programs_check_window_LDADD = $(test_libs) $(JSONC_LIBS)

check_LTLIBRARIES += tests/programs/rogue.la
tests_programs_rogue_la_SOURCES = tests/programs/rogue.c
tests_programs_rogue_la_CPPFLAGS = $(test_cppflags) -DPVIO_MODULE
tests_programs_rogue_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version \
	-rpath /nowhere
endif
