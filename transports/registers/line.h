/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * line.h - a level-triggered interrupt line with a status register
 *
 *	raise(QUEUE)     ISR 00 -> 01   line goes up
 *	raise(CONFIG)    ISR 01 -> 11   stays up
 *	driver reads or acknowledges    -> 00   line goes down
 *	note(CONFIG)     ISR 00 -> 10   stays down: told by another way
 *
 * INTx of a PCI function (virtio 1.4, 4.1.5.4) and the line of an MMIO device
 * (4.2.2) are this.  Any thread: a mutex keeps what the host is told in the
 * order of what happened; nothing else is done under it.
 */
#ifndef PVIO_REGISTERS_LINE_H
#define PVIO_REGISTERS_LINE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define PVIO_ISR_QUEUE	0x1
#define PVIO_ISR_CONFIG 0x2

struct event;
struct pvio_worker;

struct pvio_line {
	pthread_mutex_t lock; /* of all below */
	uint8_t isr;
	uint8_t noted; /* bits of it that no line goes up for */
	bool is_off;  /* by PCI's interrupt disable bit, or MSI-X is on */
	bool level;   /* what the host was told last */
	void (*set)(void *arg, bool level); /* or NULL */
	void *arg;
	int trigger_fd; /* owned, or -1: written when the line goes up */
	int resample_fd; /* owned, or -1 */
	struct event *resample_event; /* owned; on @control */
	struct pvio_worker *control;  /* borrowed */
	const char *name;	      /* borrowed: for messages */
	uint64_t asserted; /* times the line went up; atomic */
};

int pvio_line_init(struct pvio_line *line, struct pvio_worker *control);
void pvio_line_fini(struct pvio_line *line);
void pvio_line_raise(struct pvio_line *line, uint8_t bits);
/*
 * Bits that the driver is told of by another way, while the line is off: they
 * read, and are forgotten when the line is on again.
 */
void pvio_line_note(struct pvio_line *line, uint8_t bits);
/* The ISR as it was; @clear: bits that go (PCI: all of them). */
uint8_t pvio_line_acknowledge(struct pvio_line *line, uint8_t clear);
uint8_t pvio_line_isr(struct pvio_line *line);
void pvio_line_set_off(struct pvio_line *line, bool is_off);
/* Tell the host again, if the line is up: it has handled what it was told. */
void pvio_line_resample(struct pvio_line *line);
/*
 * Duplicates both; -1: none.  Control worker.  -EINVAL: they are one; or
 * -errno.
 */
int pvio_line_set_fds(struct pvio_line *line, int trigger, int resample);

#endif
