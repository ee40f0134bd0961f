#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# headers.sh - each installed header compiles alone
#
# Those of include/pvio in C11 and C++17, with warnings as errors and nothing
# but what is installed on the path; those for plug-ins in C, in the language
# and with the macros that plug-ins are built with.
. "$(dirname "$0")/lib.sh"

warn="-Wall -Wextra -Werror -pedantic"
echo 'int main(void) { return 0; }' >"$tmp/probe.cc"
have_cxx=no
if $CXX -std=c++17 -c "$tmp/probe.cc" -o "$tmp/probe.o" 2>/dev/null; then
	have_cxx=yes
else
	echo "no C++ compiler: headers are tried in C only"
fi

for h in $public_headers; do
	case $h in
	include/pvio/*)
		printf '#include <%s>\n#include <%s>\nint unused;\n' \
			"${h#include/}" "${h#include/}" >"$tmp/a.c"
		cp "$tmp/a.c" "$tmp/a.cc"
		$CC -std=c11 $warn -Iinclude -c "$tmp/a.c" -o "$tmp/a.o" ||
			fail "$h does not compile alone in C"
		if [ $have_cxx = yes ]; then
			$CXX -std=c++17 $warn -Iinclude -c "$tmp/a.cc" \
				-o "$tmp/a.o" ||
				fail "$h does not compile alone in C++"
		fi
		;;
	*)
		printf '#include "%s"\n#include "%s"\n' "$h" "$h" >"$tmp/a.c"
		$CC -std=gnu11 -Wall -Wextra -Werror -Iinclude -I. \
			-c "$tmp/a.c" -o "$tmp/a.o" ||
			fail "$h does not compile alone"
		;;
	esac
done
exit $failed
