# SPDX-License-Identifier: BSD-3-Clause
#
# One program a subject.  Its four lines go into the local.mk of its directory;
# see tests/unit/local.mk.
EXTRA_DIST += \
	tests/bench/block \
	tests/bench/net \
	tests/bench/signals \
	tests/bench/vm-to-vm \
	tests/bench/transports \
	tests/check_main.h \
	tests/hostile/linger.h \
	tests/hostile/net-hostile.h \
	tests/hostile/vfio-user-hostile.h \
	tests/hostile/vhost-user-hostile.h \
	tests/little-card.h \
	tests/lsan.supp \
	tests/net-rig.h \
	tests/kill-disk.h \
	tests/socket-disk.h \
	tests/socket-rig.h \
	tests/vfio-user-rig.h \
	tests/vhost-user-disk.h \
	tests/way.h \
	tests/vhost-user-rig.h \
	$(NULL)

include $(srcdir)/tests/unit/local.mk
include $(srcdir)/tests/hostile/local.mk
include $(srcdir)/tests/guests/local.mk
include $(srcdir)/tests/device/local.mk
include $(srcdir)/tests/fuzz/local.mk
include $(srcdir)/tests/policy/local.mk
include $(srcdir)/tests/programs/local.mk
include $(srcdir)/tests/spin/local.mk
