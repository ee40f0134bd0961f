/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * msix.h - MSI-X of one function: table, pending bits, delivery
 *
 *	BAR 0:	0x0000  table, 16 bytes a vector
 *		0x8000  pending bit array (pba_offset)
 *
 * A vector is delivered by its eventfd, or by the host's callback; while it is
 * masked it pends, and is delivered when it is no longer.  Firing is for any
 * thread; a vector has a mutex, which orders it against masking and against
 * its eventfd being replaced, and which nothing else is done under.  The rest
 * is for the control worker.
 *
 * Who keeps the mask differs.  A VMM that embeds us leaves the table to us.  A
 * vfio-user client keeps the table itself, and takes a vector's eventfd away
 * while it is masked: then is_external is set, and a vector is masked exactly
 * while it has no eventfd.
 */
#ifndef PVIO_PCI_MSIX_H
#define PVIO_PCI_MSIX_H

#include <pvio/pci.h>

#include <pthread.h>

#define PVIO_MSIX_MAX_VECTORS 2048
#define PVIO_MSIX_PBA_OFFSET  0x8000

struct pvio_msix_vector {
	pthread_mutex_t lock; /* of all below */
	uint64_t address;
	uint32_t data;
	bool is_masked; /* by its own bit; set after reset */
	bool is_pending; /* atomic, for readers without the lock */
	int fd; /* owned, or -1 */
	uint64_t fired; /* atomic likewise */
};

struct pvio_msix {
	unsigned int nr;
	struct pvio_msix_vector *vector; /* [nr], owned */
	bool is_enabled;  /* atomic: by the capability, or by the client */
	bool is_masked;	  /* atomic: the whole function */
	bool is_open;	  /* atomic: enabled and not masked, in one word */
	bool is_external;
	const char *name; /* borrowed: for messages */
	const struct pvio_pci_host *host; /* borrowed */
	void *const *host_arg;		  /* borrowed */
};

int pvio_msix_init(struct pvio_msix *msix, unsigned int nr,
		   const struct pvio_pci_host *host, void *const *host_arg);
void pvio_msix_fini(struct pvio_msix *msix);
void pvio_msix_reset(struct pvio_msix *msix); /* eventfds stay */
/* What pends is dropped.  Table and masks stay. */
void pvio_msix_forget(struct pvio_msix *msix, unsigned int vector);
void pvio_msix_forget_all(struct pvio_msix *msix);
/* Any thread.  A vector that does not exist (NO_VECTOR) is silent. */
void pvio_msix_fire(struct pvio_msix *msix, unsigned int vector);
/* Message control was written: enable, mask all.  Delivers what pended. */
void pvio_msix_control(struct pvio_msix *msix, bool enable, bool mask_all);
/* Takes a duplicate of @fd; -1: none.  -EINVAL, -EMFILE. */
int pvio_msix_set_fd(struct pvio_msix *msix, unsigned int vector, int fd);
bool pvio_msix_has_fd(struct pvio_msix *msix, unsigned int vector);
void pvio_msix_get(struct pvio_msix *msix, unsigned int vector,
		   struct pvio_pci_vector *now);
/* BAR 0: 4 or 8 bytes, aligned; the rest reads 0xff and is dropped. */
void pvio_msix_read(struct pvio_msix *msix, uint64_t offset, void *buf,
		    size_t len);
void pvio_msix_write(struct pvio_msix *msix, uint64_t offset, const void *buf,
		     size_t len);
uint64_t pvio_msix_bar_size(const struct pvio_msix *msix);
/* Messages delivered, of all vectors.  Any thread. */
uint64_t pvio_msix_fired(const struct pvio_msix *msix);

#endif
