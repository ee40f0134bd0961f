/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * removal.pml - a signal is closed while it is raised, and opened again
 *
 * While it is closed it is not given out; what was raised after it was opened
 * again is.
 */
#include "queue.pml"

byte number, told, seen;
bool opened_again;

proctype producer(byte times) {
	byte raise_old, n;

	do
	:: times == 0 -> break
	:: else ->
		times--;
		n = number + 1;
		number = n;
		raise(2, 0)
	od;
	/* the last after it is open */
	opened_again;
	number = number + 1;
	raise(2, 0);
	told = number
}

inline close_signal(s) {
	is_open[WORD(s)] = is_open[WORD(s)] & ~BIT(s) & 3;
	masked[WORD(s)] = masked[WORD(s)] & ~BIT(s) & 3;
	pending[0 * WORDS + WORD(s)] = pending[0 * WORDS + WORD(s)] & ~BIT(s) & 3;
	pending[1 * WORDS + WORD(s)] = pending[1 * WORDS + WORD(s)] & ~BIT(s) & 3
}

active proctype consumer() {
	byte got, at, w, from, bits, turns;
	bool may_sleep;

	is_open[0] = 3;
	is_open[1] = 3;
	run producer(2);
	do
	:: next();
		if
		:: got != NONE ->
			assert(is_open[WORD(got)] & BIT(got));
			seen = number
		:: else ->
			arm();
			if
			:: may_sleep && opened_again ->
end:				doorbell ? _
			:: may_sleep && !opened_again ->
				/* woken for anything: it may close, or open */
				if
				:: doorbell ? _
				:: turns < 2 -> turns++
				fi
			:: else -> skip
			fi
		fi;
		if
		:: turns == 1 && (is_open[WORD(2)] & BIT(2)) -> close_signal(2)
		:: turns == 2 && !opened_again ->
			is_open[WORD(2)] = is_open[WORD(2)] | BIT(2);
			opened_again = true
		:: else -> skip
		fi
	od
}

active proctype judge() {
	timeout -> assert(told && seen == told)
}
