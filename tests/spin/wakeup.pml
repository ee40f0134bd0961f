/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wakeup.pml - what is raised is served, though the consumer sleeps in between
 *
 * Two producers count numbers up and raise; one of them may stop for good in
 * the middle of raising what both raise.  When nobody can go on any more, the
 * consumer has seen the last of every number, or nobody had finished telling
 * it: never does it sleep over something it was told of.
 */
#include "queue.pml"

byte number[SIGNALS], told[SIGNALS], seen[SIGNALS];
byte producers = 2;

proctype producer(byte s; byte l; byte times) {
	byte raise_old, n;

	do
	:: times == 0 -> break
	:: else ->
		times--;
		n = number[s] + 1;
		number[s] = n;
		raise(s, l);
		/* it has been told of at least that */
		told[s] = n
	od;
	producers--
}

/* The other one of signal 1, which stops after its bit. */
proctype half() {
	byte raise_old;

	atomic {
		raise_old = words[0 * WORDS + WORD(1)];
		words[0 * WORDS + WORD(1)] = raise_old | BIT(1)
	}
}

active proctype consumer() {
	byte got, at, w, from, bits;
	bool may_sleep;

	is_open[0] = 3;
	is_open[1] = 3;
	run producer(1, 0, 2);
	run producer(2, 1, 1);
	run half();
	do
	:: next();
		if
		:: got != NONE -> seen[got] = number[got]
		:: else ->
			arm();
			if
			:: may_sleep ->
end:				doorbell ? _
			:: else -> skip
			fi
		fi
	od
}

active proctype judge() {
	timeout ->
		assert(producers == 0);
		assert(seen[1] == told[1] && seen[1] == number[1]);
		assert(seen[2] == told[2] && seen[2] == number[2])
}
