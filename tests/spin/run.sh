#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# run.sh - Spin looks at every order of steps of the models beside this file
#
# One line a model.  The last one must fail: without a full fence a wake-up is
# lost, and the model is to find that.

set -u
here=$(cd "$(dirname "$0")" && pwd)
passed=0 failed=0

command -v spin >/dev/null || {
	echo "SKIP: spin (it is not installed)"
	exit 77
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

# model NAME ERRORS FILE [-D...]
model()
{
	local name=$1 errors=$2 file=$3

	shift 3
	rm -f pan*
	spin -a "$@" "$here/$file" >log 2>&1 &&
		${CC:-cc} -w -O2 -DSAFETY -o pan pan.c >>log 2>&1 &&
		./pan -m3000000 >>log 2>&1
	# All of it was looked at, unless an error ended the search.
	if grep -q "errors: $errors\$" log && ! grep -q 'too small' log; then
		passed=$((passed + 1))
		echo "PASS: $name ($(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' log) states)"
	else
		failed=$((failed + 1))
		echo "FAIL: $name"
		tail -n 40 log
	fi
}

model spin-wakeup 0 wakeup.pml
model spin-drain 0 drain.pml
model spin-drain-same-word 0 drain.pml -DSAME_WORD
model spin-removal 0 removal.pml
model spin-masked 0 masked.pml
model spin-wakeup-without-fence 1 wakeup.pml -DWEAK
echo "spin: $passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
