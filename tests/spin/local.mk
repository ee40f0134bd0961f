# SPDX-License-Identifier: BSD-3-Clause
dist_check_SCRIPTS += tests/spin/run.sh
TESTS += tests/spin/run.sh
EXTRA_DIST += \
	tests/spin/drain.pml \
	tests/spin/masked.pml \
	tests/spin/queue.pml \
	tests/spin/removal.pml \
	tests/spin/wakeup.pml \
	$(NULL)
