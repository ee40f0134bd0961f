/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * drain.pml - the order in which a consumer is given what is pending
 *
 * Signals A and B of level 0 are raised without end, and signal 1 of level 1.
 * The urgent level goes first; the other one waits for STREAK signals and one at
 * most; and between two of one signal comes the other one of its level, if it
 * was pending at the first: whether they are in different words, or, with
 * -DSAME_WORD and without level 1, in one.
 */
#include "queue.pml"

#ifdef SAME_WORD
#define A 2
#else
#define A 0
#endif
#define B 3
#define OTHER(s) (A + B - (s))

mtype = { idle, raising, raised };
mtype state[SIGNALS];	/* not served since */
bool owed[SIGNALS];	/* waited when the other one of its level was served */
byte passed;		/* signals of level 0 that passed signal 1 by */

proctype producer(byte s; byte l) {
	byte raise_old;

	do
	:: atomic { state[s] == idle -> state[s] = raising };
		raise(s, l);
		atomic {
			if
			:: state[s] == raising -> state[s] = raised
			:: else -> skip /* served meanwhile */
			fi
		}
	od
}

active proctype consumer() {
	byte got, at, w, from, bits;

	is_open[0] = 3;
	is_open[1] = 3;
	state[A] = idle;
	state[1] = idle;
	state[B] = idle;
	run producer(A, 0);
	run producer(B, 0);
#ifndef SAME_WORD
	run producer(1, 1);
#endif
	do
	:: next();
		atomic {
			if
			:: got == 1 ->
				assert(at == 1);
				state[1] = idle;
				passed = 0
			:: got == A || got == B ->
				assert(at == 0);
				/* the other one was to come before it */
				assert(!owed[OTHER(got)]);
				owed[got] = false;
				owed[OTHER(got)] = state[OTHER(got)] == raised;
				state[got] = idle;
				if
				:: state[1] == raised -> passed++
				:: else -> passed = 0
				fi;
				assert(passed <= STREAK + 1)
			:: got == NONE -> skip
			:: else -> assert(false)
			fi
		}
	od
}
