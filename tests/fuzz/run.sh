#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# run.sh - build the fuzz targets and run each for a while ("make fuzz")
#
# Called by make in the build directory with: FUZZ_CC, FUZZ_FLAGS, FUZZ_LIBS,
# FUZZ_SOURCES, FUZZ_TARGETS, FUZZ_SECONDS, srcdir.  Works on a copy of each
# corpus, in ./fuzz-build; what it finds is left in ./fuzz-findings.
set -eu

if [ "$FUZZ_CC" = no ]; then
	echo "make fuzz needs clang with libFuzzer (configure FUZZ_CC=...)" >&2
	exit 1
fi
san=address,undefined
flags="$FUZZ_FLAGS -g -O1 -fno-omit-frame-pointer -fno-sanitize-recover=all"
mkdir -p fuzz-build/obj fuzz-findings

# Every source once, instrumented; targets only link.
export FUZZ_CC flags san srcdir
printf '%s\n' $FUZZ_SOURCES | grep '\.c$' |
xargs -P "$(nproc)" -I{} sh -c '
	o=fuzz-build/obj/$(printf %s {} | tr / -).o
	if [ ! -e "$o" ] ||
	   [ -n "$(find "$srcdir" -name "*.[ch]" -newer "$o" | head -n 1)" ]
	then
		$FUZZ_CC $flags -fsanitize=fuzzer-no-link,$san \
			-c "$srcdir/{}" -o "$o"
	fi'

LSAN_OPTIONS=suppressions=$srcdir/tests/lsan.supp:print_suppressions=0
export LSAN_OPTIONS
rc=0
for t in $FUZZ_TARGETS; do
	dict=
	if [ -e "$srcdir/tests/fuzz/$t.dict" ]; then
		dict="-dict=$srcdir/tests/fuzz/$t.dict"
	fi
	$FUZZ_CC $flags -fsanitize=fuzzer,$san \
		"$srcdir/tests/fuzz/fuzz_$t.c" fuzz-build/obj/*.o \
		$FUZZ_LIBS -o "fuzz-build/fuzz_$t"
	mkdir -p "fuzz-build/corpus-$t"
	cp -f "$srcdir/tests/fuzz/corpus/$t"/* "fuzz-build/corpus-$t/"
	echo "fuzz_$t: $FUZZ_SECONDS s"
	if ! "fuzz-build/fuzz_$t" $dict -max_total_time="$FUZZ_SECONDS" \
		-timeout=20 -rss_limit_mb=2048 -print_final_stats=1 \
		-artifact_prefix="fuzz-findings/$t-" \
		"fuzz-build/corpus-$t" >"fuzz-build/$t.log" 2>&1
	then
		rc=1
		echo "fuzz_$t: FOUND SOMETHING, see fuzz-build/$t.log"
		tail -n 40 "fuzz-build/$t.log"
	fi
	grep -E 'number_of_executed_units|cov: ' "fuzz-build/$t.log" |
		tail -n 2
done
if [ $rc -ne 0 ]; then
	echo "inputs are in $(pwd)/fuzz-findings" >&2
fi
exit $rc
