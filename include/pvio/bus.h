/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bus.h - a bus of devices without PCI, for a VMM to offer to its guest
 *
 * Devices created with `transport = { type = "hypercall"; bus = "NAME"; };`
 * are on the bus NAME of this process: one bus for all devices of a guest.  The
 * guest reaches it by two operations, call and doorbell, and is interrupted
 * by numbered interrupts (docs/bus-abi.md).  How the operations arrive is the
 * VMM's choice, one exit or another, and for each there is a connector here:
 *
 *	guest                        VMM                     pvio
 *	I/O port, MMIO     ------>   pvio_bus_read/_write
 *	WRMSR, RDMSR       ------>   pvio_bus_msr_write/_read
 *	hypercall, SMCCC   ------>   pvio_bus_hypercall
 *	doorbell           ------>   the same, or an ioeventfd, or Hyper-V's
 *	                             signal event on pvio_bus_doorbell_fd()
 *	interrupt          <------   eventfd (irqfd) or callback
 *
 * A bus exists from its first device's creation until its last's end.
 *
 * Threads.  As in pci.h: every function may be called from any thread, but not
 * from a callback nor on a queue's worker, and the control worker has to run.
 * All devices of a bus have one control worker.  Doorbells are answered on the
 * calling thread.
 */
#ifndef PVIO_BUS_H
#define PVIO_BUS_H

#include <pvio/bus-abi.h>
#include <pvio/device.h>
#include <pvio/memory.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct pvio_bus;

/*
 * Interrupt @number is raised, an edge.  From a queue's worker or the control
 * worker.  May not block, nor call pvio.  Not for numbers that have an eventfd.
 */
typedef void pvio_bus_interrupt_fn(void *arg, unsigned int number);

/* The bus that @dev is on, or NULL when it has another transport. */
struct pvio_bus *pvio_bus_of(struct pvio_device *dev);

/*
 * Ask the guest's driver to let @dev go, and wait until it has, @timeout_ms at
 * most.  0: it has, or there is none; then, or when the VMM does not want to
 * wait longer, pvio_device_destroy().  Without it a driver loses the requests it
 * has made.  -ETIMEDOUT; -EINVAL: not started, or on no bus; -EBUSY: somebody
 * asks already; -ENOMEM.
 */
int pvio_bus_unplug(struct pvio_device *dev, unsigned int timeout_ms);

/* Set the callback (NULL: none) and its argument; before a device starts. */
int pvio_bus_set_host(struct pvio_bus *bus, pvio_bus_interrupt_fn *interrupt,
		      void *arg);
/*
 * Give the bus, and every device that is on it or comes later, the ranges
 * listed now, as pvio_device_set_memory_list() does for one device.
 */
int pvio_bus_set_memory_list(struct pvio_bus *bus,
			     const struct pvio_memory *mem);

/* --- operations, by connector ---------------------------------------------- */

/*
 * A register window: PVIO_BUS_REG_BYTES of I/O ports or of memory.  Offsets and
 * lengths that are no register read as ones, and are dropped when written.  A
 * call is over when this returns.
 */
void pvio_bus_read(struct pvio_bus *bus, uint64_t offset, void *buf,
		   size_t len);
void pvio_bus_write(struct pvio_bus *bus, uint64_t offset, const void *buf,
		    size_t len);
/* Registers PVIO_BUS_MSR_PROBE and so on.  False: fault. */
bool pvio_bus_msr_read(struct pvio_bus *bus, unsigned int msr,
		       uint64_t *value);
bool pvio_bus_msr_write(struct pvio_bus *bus, unsigned int msr,
			uint64_t value);
/*
 * An operation as such, whatever register brought it.  Returns what the guest
 * gets: 0, or magic and version, or -ENOSYS, -EINVAL as a two's complement.
 */
uint64_t pvio_bus_hypercall(struct pvio_bus *bus, uint64_t op, uint64_t arg);

/* --- doorbells -------------------------------------------------------------- */

/* How many kick queues there are: one for each worker of started devices. */
unsigned int pvio_bus_nr_kick_queues(struct pvio_bus *bus);
/*
 * The eventfd that stands for ringing kick queue @number: for an ioeventfd on
 * PVIO_BUS_REG_DOORBELL that matches @number in 32 bits, or for Hyper-V's
 * connection.  Borrowed; valid as long as the bus.  -EINVAL: no such queue.
 */
int pvio_bus_doorbell_fd(struct pvio_bus *bus, unsigned int number);

/* --- interrupts -------------------------------------------------------------- */

/* How many interrupts the guest may use; "interrupts" of the configuration. */
unsigned int pvio_bus_nr_interrupts(struct pvio_bus *bus);
/*
 * Raise interrupt @number by writing to eventfd @fd (borrowed for the call: a
 * duplicate is kept; -1: no longer).  -EINVAL: no such number, no eventfd.
 */
int pvio_bus_set_interrupt_fd(struct pvio_bus *bus, unsigned int number,
			      int fd);

/* Forget what the guest has set up and reset every device: the VM's reset. */
void pvio_bus_reset(struct pvio_bus *bus);

struct pvio_bus_counters {
	uint64_t calls;	       /* control messages */
	uint64_t doorbells;    /* that woke a worker */
	uint64_t kicks;	       /* signals taken from kick queues */
	uint64_t raised;       /* signals raised, new ones */
	uint64_t coalesced;    /* signals that were pending already */
	uint64_t interrupts;   /* raised */
};
void pvio_bus_count(struct pvio_bus *bus, struct pvio_bus_counters *counters);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
