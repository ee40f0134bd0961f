# SPDX-License-Identifier: BSD-3-Clause
#
# What the tree as a whole must be: shell scripts that read sources and headers.
policy_tests = \
	tests/policy/bus-abi.sh \
	tests/policy/config-keys.sh \
	tests/policy/headers.sh \
	tests/policy/layers.sh \
	tests/policy/sources.sh \
	tests/policy/symbols.sh \
	tests/policy/window-abi.sh \
	$(NULL)
dist_check_SCRIPTS += $(policy_tests)
TESTS += $(policy_tests)
EXTRA_DIST += tests/policy/abi.sh tests/policy/declared.awk tests/policy/lib.sh

public_headers = $(pvioinclude_HEADERS) $(nobase_plugin_HEADERS)
policy_environment = \
	CC='$(CC)'; CXX='$${CXX:-g++}'; NM='$(NM)'; \
	public_headers='$(public_headers)'; \
	distributed='$(library_sources) $(guest_sources)'; \
	export CC CXX NM public_headers distributed;

# After a change of the headers that plug-ins or programs include.
symbols:
	CC='$(CC)' public_headers='$(public_headers)' srcdir='$(srcdir)' \
	$(SHELL) $(srcdir)/tests/policy/symbols.sh --update
