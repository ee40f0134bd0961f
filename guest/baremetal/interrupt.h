/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * interrupt.h - interrupts, by message and by line, and how to wait for one
 */
#ifndef PVIO_BAREMETAL_INTERRUPT_H
#define PVIO_BAREMETAL_INTERRUPT_H

#include <stdbool.h>
#include <stdint.h>

/* Who wants an interrupt.  Several may share a line. */
struct bare_handler {
	void (*handle)(void *arg);
	void *arg;
	struct bare_handler *next; /* interrupt.c's own */
};

/* Descriptor table, local APIC on, the PICs quiet.  Interrupts stay off. */
void bare_interrupt_init(void);

/*
 * A vector that calls @handler (which stays there) for messages to it, and what
 * the message is: for an entry of an MSI-X table.
 */
void bare_message_attach(struct bare_handler *handler, uint64_t *address,
			 uint32_t *data);
/* Call @handler when @input of the I/O APIC is high; level triggered. */
void bare_line_attach(struct bare_handler *handler, unsigned int input);
/* The same when @input rises; edge triggered. */
void bare_edge_attach(struct bare_handler *handler, unsigned int input);

/*
 * Sleep until @is_done(arg) says true, looking after each interrupt.  No
 * time-out: who started the VM has one.
 */
void bare_wait(bool (*is_done)(void *arg), void *arg);

#endif
