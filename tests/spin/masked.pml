/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * masked.pml - a masked signal is kept, lets the consumer sleep, and comes when
 * it is unmasked
 */
#include "queue.pml"

byte number, seen;
byte asleep_masked;

proctype producer(byte times) {
	byte raise_old;

	do
	:: times == 0 -> break
	:: else ->
		times--;
		number = number + 1;
		raise(1, 0)
	od
}

active proctype consumer() {
	byte got, at, w, from, bits, turns;
	bool may_sleep;

	is_open[0] = 3;
	masked[WORD(1)] = BIT(1);
	run producer(3);
	do
	:: next();
		if
		:: got != NONE ->
			assert(!(masked[WORD(got)] & BIT(got)));
			seen = number
		:: else ->
			arm();
			if
			:: may_sleep && masked[WORD(1)] ->
				/* it sleeps, until it is woken or unmasks */
				if
				:: doorbell ? _
				:: turns == 0 ->
					turns = 1;
					masked[WORD(1)] = 0;
					look[0] = look[0] |
						(1 << WORD(1)) *
						(pending[0 * WORDS + WORD(1)] != 0)
				fi
			:: may_sleep && !masked[WORD(1)] ->
end:				doorbell ? _
			:: else -> skip
			fi
		fi
	od
}

active proctype judge() {
	timeout -> assert(seen == number && number == 3)
}
