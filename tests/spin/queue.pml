/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * queue.pml - the signal queue (core/signal.h, core/signal.c) for Spin
 *
 * Step by step as the C code does it: each access to the area is a step of its
 * own, between which any other process may go on.  Words are two bits wide,
 * there are two words and two levels, and a streak is two signals: small enough
 * to look at every order there is, and nothing in it depends on the width.
 *
 * Spin's processes see each other's steps in one order.  So do the four accesses
 * of barrier Q.  -DWEAK takes that order away, as write barriers would (the
 * consumer's store of "armed" passes its look at the news): then a wake-up is
 * lost, and a model that cannot find that is wrong.
 */

#define LEVELS	2
#define WORDS	2
#define BITS	2
#define SIGNALS	(WORDS * BITS)
#define STREAK	2
#define NONE	255

#define WORD(s)	((s) / BITS)
#define BIT(s)	(1 << ((s) % BITS))

/* the area */
byte words[LEVELS * WORDS];
byte news[LEVELS];
bit armed;
/* an eventfd: writes that were not read are one */
chan doorbell = [1] of { bit };

/* the consumer's own */
byte pending[LEVELS * WORDS];
byte look[LEVELS];
byte cursor[LEVELS];
byte is_open[WORDS], masked[WORDS];
byte streak;

/* --- producer -------------------------------------------------------------- */

inline ring() {
	if
	:: nfull(doorbell) -> doorbell ! 1
	:: full(doorbell) -> skip
	fi
}

/* raise_old: the process's own */
inline raise(s, l) {
	atomic {
		raise_old = words[(l) * WORDS + WORD(s)];
		words[(l) * WORDS + WORD(s)] = raise_old | BIT(s)
	}
	if
	:: (raise_old & BIT(s)) && (news[l] & (1 << WORD(s))) -> skip
	:: else ->
		news[l] = news[l] | (1 << WORD(s));
		if
		:: !armed -> skip
		:: else ->
			atomic {
				raise_old = armed;
				armed = 0
			}
			if
			:: raise_old -> ring()
			:: else -> skip
			fi
		fi
	fi
}

/* --- consumer -------------------------------------------------------------- */

/* sink_look() */
inline take_news(l) {
	if
	:: news[l] -> atomic { look[l] = look[l] | news[l]; news[l] = 0 }
	:: else -> skip
	fi
}

/* sink_take(): bits are what may be served of word w */
inline take_word(l, w) {
	if
	:: words[(l) * WORDS + (w)] ->
		atomic {
			pending[(l) * WORDS + (w)] = pending[(l) * WORDS + (w)] |
				(words[(l) * WORDS + (w)] & is_open[w]);
			words[(l) * WORDS + (w)] = 0
		}
	:: else -> skip
	fi;
	bits = pending[(l) * WORDS + (w)] & ~masked[w] & 3
}

/* level_next(): got, or NONE */
inline next_of_level(l) {
	do
	:: look[l] == 0 -> break
	:: else ->
		/* word_from() */
		w = WORD(cursor[l]);
		from = cursor[l] % BITS;
		if
		:: look[l] & (1 << w) -> skip
		:: else -> w = 1 - w; from = 0
		fi;
		take_word(l, w);
		if
		:: from == 0 && (bits & 1) -> got = w * BITS
		:: !(from == 0 && (bits & 1)) && (bits & 2) -> got = w * BITS + 1
		:: else -> skip
		fi;
		if
		:: got != NONE ->
			pending[(l) * WORDS + w] = pending[(l) * WORDS + w] &
						   ~BIT(got) & 3;
			cursor[l] = (got + 1) % SIGNALS;
			break
		:: else ->
			if
			:: bits == 0 -> look[l] = look[l] & ~(1 << w) & 3
			:: else -> skip
			fi;
			cursor[l] = ((w + 1) % WORDS) * BITS
		fi
	od
}

/* pvio_signal_next(): got, at level at */
inline next() {
	got = NONE;
	take_news(0);
	take_news(1);
	/* level_choose() */
	if
	:: look[0] && look[1] && streak < STREAK -> streak++; at = 0
	:: look[0] && look[1] && streak == STREAK -> streak = 0; at = 1
	:: look[0] && !look[1] -> streak = 0; at = 0
	:: !look[0] -> streak = 0; at = 1
	fi;
	next_of_level(at);
	if
	:: got == NONE && look[1 - at] ->
		at = 1 - at;
		next_of_level(at)
	:: else -> skip
	fi
}

/* pvio_signal_arm(): may_sleep */
inline arm() {
#ifdef WEAK
	may_sleep = look[0] == 0 && look[1] == 0 && news[0] == 0 && news[1] == 0;
	armed = may_sleep;
#else
	armed = 1;
	may_sleep = look[0] == 0 && news[0] == 0;
	may_sleep = may_sleep && look[1] == 0 && news[1] == 0;
	if
	:: may_sleep -> skip
	:: else -> armed = 0
	fi
#endif
}
