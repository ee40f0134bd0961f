/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pci.h - a driver of modern virtio PCI functions (virtio 1.4, 4.1)
 *
 * Knows the function only by what its configuration space says: capabilities
 * are found by walking, BARs are sized and given addresses, and nothing is
 * taken to be where our own function has it.  Who carries the accesses is in
 * struct guest_pci_access: a function in this process (pvio/pci.h), or a
 * vfio-user client.
 *
 *	guest/device.c --> device-pci.c --> pci.c --> guest_pci_access
 *	rings, waiting     interrupts       registers     pci-function.c, ...
 *
 * Functions that can fail return 0 or -errno: what the access said, or
 * -EPROTO for a function that a driver cannot use.  One thread, except kick.
 */
#ifndef PVIO_GUEST_PCI_H
#define PVIO_GUEST_PCI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct guest_device;
struct guest_memory;

#define GUEST_PCI_NR_BARS   6
#define GUEST_PCI_NO_VECTOR 0xffff

/* A way to kick that is no register access. */
struct guest_pci_doorbell {
	int fd;                /* eventfd, borrowed; or -1 */
	volatile void *mapped; /* the doorbell itself in memory; or NULL */
};

/* Who carries a driver's accesses.  Each returns 0, or -errno: it is gone. */
struct guest_pci_access {
	int (*config_read)(void *arg, size_t offset, void *buf, size_t len);
	int (*config_write)(void *arg, size_t offset, const void *buf,
			    size_t len);
	int (*bar_read)(void *arg, unsigned int bar, uint64_t offset, void *buf,
			size_t len);
	/* The doorbells' page: from any thread. */
	int (*bar_write)(void *arg, unsigned int bar, uint64_t offset,
			 const void *buf, size_t len);
	/*
	 * What the VMM does with the interrupt: write eventfd @fd (borrowed
	 * for the call; -1: no longer) when @vector fires.
	 */
	int (*set_vector_fd)(void *arg, unsigned int vector, int fd);
	/* @resample is written when the driver has handled INTx. */
	int (*set_intx_fds)(void *arg, int trigger, int resample);

	/*
	 * Optional: a better way to ring the doorbell of @queue, which is at
	 * @offset of @bar, than bar_write.  -ENOTSUP: there is none.
	 */
	int (*find_doorbell)(void *arg, unsigned int queue, unsigned int bar,
			     uint64_t offset,
			     struct guest_pci_doorbell *doorbell);
	/*
	 * Optional, as in struct guest_device_ops: let the other side get on;
	 * an fd that says when; is it gone?
	 */
	bool (*step)(void *arg);
	int (*step_fd)(void *arg);
	bool (*is_gone)(void *arg);
	/* Let the function go, and free @arg. */
	void (*close)(void *arg);
};

/* Where one structure is: found in a capability (virtio 1.4, 4.1.4). */
struct guest_pci_window {
	bool is_found;
	uint8_t bar;
	uint32_t offset, length;
};

struct guest_pci {
	const struct guest_pci_access *access;
	void *arg;
	uint16_t vendor, device;
	uint64_t bar_size[GUEST_PCI_NR_BARS];
	uint64_t bar_address[GUEST_PCI_NR_BARS];
	struct guest_pci_window common, notify, isr, config;
	uint32_t notify_multiplier;
	unsigned int nr_vectors; /* 0: no MSI-X */
	uint8_t msix_cap;        /* offset in configuration space */
	struct guest_pci_window msix_table;
	uint64_t features[2];  /* accepted */
	uint64_t *doorbell;    /* [nr_doorbells], owned: offset in the BAR */
	uint16_t *doorbell_id; /* what is written there */
	unsigned int nr_doorbells;
};

/*
 * Find the function's structures, give its BARs addresses, enable memory and
 * bus mastering.  @access and @arg are borrowed.  guest_pci_fini() it if this
 * succeeded: it is disabled again.
 */
int guest_pci_init(struct guest_pci *pci, const struct guest_pci_access *access,
		   void *arg);
void guest_pci_fini(struct guest_pci *pci);

int guest_pci_get_status(struct guest_pci *pci, uint8_t *status);
/* 0: returns when the reset is done (4.1.4.3.2), or -ETIMEDOUT. */
int guest_pci_set_status(struct guest_pci *pci, uint8_t status);
int guest_pci_get_features(struct guest_pci *pci, uint64_t bits[2]);
int guest_pci_set_features(struct guest_pci *pci, const uint64_t bits[2]);

/* Configuration space; what spans registers is read in one generation. */
int guest_pci_read_config(struct guest_pci *pci, size_t offset, void *buf,
			  size_t len);
int guest_pci_write_config(struct guest_pci *pci, size_t offset,
			   const void *buf, size_t len);

/* Read and so acknowledge the ISR. */
int guest_pci_read_isr(struct guest_pci *pci, uint8_t *isr);

/* --- queues --------------------------------------------------------------- */

struct guest_pci_queue {
	uint16_t size;
	uint64_t desc, driver, device; /* guest-physical */
	uint16_t vector;               /* or GUEST_PCI_NO_VECTOR */
};

/* How many queues there are, or -errno; the largest size of one (0: none). */
int guest_pci_nr_queues(struct guest_pci *pci);
int guest_pci_queue_max(struct guest_pci *pci, unsigned int q, uint16_t *size);
/* -EINVAL: the device does not take the size, or does not enable the queue. */
int guest_pci_start_queue(struct guest_pci *pci, unsigned int q,
			  const struct guest_pci_queue *queue);
/* Returns when the device has let go of it.  -ENOTSUP: not negotiated. */
int guest_pci_reset_queue(struct guest_pci *pci, unsigned int q);
/*
 * Ring the doorbell of a started queue.  @next: where the driver stands, for a
 * device with NOTIFICATION_DATA (guest_ring_position()).  Any thread.
 */
int guest_pci_kick(struct guest_pci *pci, unsigned int q, uint16_t next);
/* Where the doorbell is, and what is written there. */
int guest_pci_find_doorbell(struct guest_pci *pci, unsigned int q,
			    struct guest_pci_doorbell *doorbell);
/* Write the doorbell in memory, as kick does. */
void guest_pci_ring_mapped(struct guest_pci *pci, unsigned int q, uint16_t next,
			   const struct guest_pci_doorbell *doorbell);

/* --- MSI-X ---------------------------------------------------------------- */

/* Switch it on, all vectors masked; or off, and so to INTx. */
int guest_pci_enable_msix(struct guest_pci *pci, bool enable);
/* Route @vector to eventfd @fd and unmask it; -1: mask it.  -EINVAL. */
int guest_pci_set_vector(struct guest_pci *pci, unsigned int vector, int fd);
/* For configuration changes.  -EINVAL: the device has no resources for it. */
int guest_pci_set_config_vector(struct guest_pci *pci, uint16_t vector);
int guest_pci_enable_intx(struct guest_pci *pci, int trigger, int resample);

#endif
