/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pci.h - a device as a virtio PCI function, for a VMM to put on its bus
 *
 * The device is created with `transport = { type = "pci"; };` and is a virtio
 * 1.x PCI function (virtio 1.4, 4.1): the VMM routes the guest's accesses to
 * configuration space and BARs here, and carries interrupts to the guest.
 *
 *	guest                      VMM                          pvio
 *	config cycle  ------>  pvio_pci_config_read/_write
 *	BAR access    ------>  pvio_pci_bar_read/_write
 *	doorbell      ------>  the same, or an ioeventfd on pvio_pci_doorbell()
 *	MSI-X         <------  eventfd (irqfd) or callback  <---  vector
 *	INTx          <------  eventfd or callback          <---  level
 *
 *	BAR 0   32 bit  MSI-X table and pending bits
 *	BAR 4   64 bit  0x0000 common, 0x1000 ISR, 0x2000 device, 0x3000 notify
 *
 * Threads.  Every function here may be called from any thread: those that
 * change the device are carried out on its control worker, and the caller
 * waits, so that worker has to run, on a thread of its own or by the caller
 * (pvio_worker_start(), or a VMM of one thread that steps it).  A doorbell and
 * the ISR are answered on the calling thread.  No function may be called from
 * one of the callbacks below, nor on a queue's worker.
 */
#ifndef PVIO_PCI_H
#define PVIO_PCI_H

#include <pvio/device.h>
#include <pvio/doorbell.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct pvio_pci;

#define PVIO_PCI_NR_BARS 6

/* What a vector says, as the guest wrote it into the MSI-X table. */
struct pvio_pci_vector {
	uint64_t address;
	uint32_t data;
	bool is_masked; /* by itself, by the function, or MSI-X is off */
};

/*
 * What the function tells its VMM.  Each may be NULL.  They may not block, nor
 * call pvio.
 */
struct pvio_pci_host {
	/*
	 * Deliver the message to the guest.  From a queue's worker or the
	 * control worker; once a batch of used buffers.  Not for vectors that
	 * have an eventfd.
	 */
	void (*msix)(void *arg, unsigned int vector, uint64_t address,
		     uint32_t data);
	/*
	 * The vector's entry, or its being masked, changed: re-route its
	 * eventfd.  Control worker; before the guest's access returns.
	 */
	void (*msix_changed)(void *arg, unsigned int vector,
			     const struct pvio_pci_vector *now);
	/* INTx is asserted, or no longer.  Any thread; in order. */
	void (*intx)(void *arg, bool level);
	/*
	 * BAR @bar answers at guest address @address from now on, or
	 * (@is_enabled false) nowhere.  Control worker; before the guest's
	 * access returns.  A VMM that decodes addresses itself needs this.
	 */
	void (*bar_moved)(void *arg, unsigned int bar, uint64_t address,
			  bool is_enabled);
};

/* The PCI function of @dev, or NULL when it has another transport. */
struct pvio_pci *pvio_pci_of(struct pvio_device *dev);

/*
 * Set the callbacks (copied) and their argument.  Before pvio_device_start(),
 * or -EBUSY.
 */
int pvio_pci_set_host(struct pvio_pci *pci, const struct pvio_pci_host *host,
		      void *arg);

/*
 * Configuration space, 4096 bytes.  Any offset and length: bytes that do not
 * exist read as 0xff past the end and 0 within it, and writes are dropped.
 * Until a function-level reset is over, all of it is 0xff.
 */
void pvio_pci_config_read(struct pvio_pci *pci, size_t offset, void *buf,
			  size_t len);
void pvio_pci_config_write(struct pvio_pci *pci, size_t offset,
			   const void *buf, size_t len);

/* Bytes that BAR @bar decodes (a power of two), or 0: there is none. */
uint64_t pvio_pci_bar_size(const struct pvio_pci *pci, unsigned int bar);
/*
 * An access within BAR @bar, whether or not the guest has memory decoding on:
 * that is the VMM's to look at.  Widths that the registers there do not have
 * read as 0xff and are dropped when written (virtio 1.4, 4.1.3.1).
 */
void pvio_pci_bar_read(struct pvio_pci *pci, unsigned int bar, uint64_t offset,
		       void *buf, size_t len);
void pvio_pci_bar_write(struct pvio_pci *pci, unsigned int bar,
			uint64_t offset, const void *buf, size_t len);

/* The doorbell of @queue.  -EINVAL: there is no such queue; -EMFILE. */
int pvio_pci_doorbell(struct pvio_pci *pci, unsigned int queue,
		      struct pvio_doorbell *doorbell);

/* How many MSI-X vectors there are; what one says now (-EINVAL). */
unsigned int pvio_pci_nr_vectors(const struct pvio_pci *pci);
int pvio_pci_get_vector(struct pvio_pci *pci, unsigned int vector,
			struct pvio_pci_vector *now);
/*
 * Deliver @vector by writing to eventfd @fd (borrowed for the call: a duplicate
 * is kept; -1: no longer).  The device keeps the mask: a masked vector is not
 * written but pends, as PCI says.  -EINVAL: no such vector, not an eventfd.
 */
int pvio_pci_set_vector_fd(struct pvio_pci *pci, unsigned int vector, int fd);
/*
 * Deliver INTx by writing to @trigger each time it is asserted, and assert it
 * again, if the cause has not gone, when @resample is written (KVM's irqfd with
 * resampling).  Both borrowed for the call; -1: no longer.  -EINVAL: no
 * eventfds, or both are one; -EMFILE.
 */
int pvio_pci_set_intx_fds(struct pvio_pci *pci, int trigger, int resample);

/*
 * Reset the function, as the bus's reset does: configuration space, MSI-X,
 * queues.  Returns when the device no longer touches memory.  BARs lose their
 * addresses; eventfds and memory stay.
 */
void pvio_pci_reset(struct pvio_pci *pci);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
