/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * registers.h - the registers that virtio over PCI and over MMIO share
 *
 * What a driver writes to set a device up is the same on both (virtio 1.4,
 * 4.1.4.3 and 4.2.2); only the offsets differ.  A transport decodes offset and
 * width, and calls here with a value.
 *
 * Two kinds of truth, kept apart.  *Shadows* are what the driver wrote: queue
 * sizes, addresses, vectors, selectors; it may change them whenever it likes.
 * What the device *uses* was copied from them when the queue was enabled, and
 * is in the core.  While a queue is enabled its shadows do not change either,
 * so that they read back as what is in use (4.1.4.3.2).
 *
 *	queue:	OFF --enable--> STARTING --> ON --reset--> STOPPING --> OFF
 *	                    '--> OFF (the ring cannot be used)
 *
 * All of it is for the control worker, except what says otherwise.
 */
#ifndef PVIO_REGISTERS_H
#define PVIO_REGISTERS_H

#include "core/transport.h"

#define PVIO_NO_VECTOR 0xffff

enum pvio_register_queue_state {
	PVIO_REGISTER_QUEUE_OFF,
	PVIO_REGISTER_QUEUE_STARTING, /* reads as enabled */
	PVIO_REGISTER_QUEUE_ON,
	PVIO_REGISTER_QUEUE_STOPPING, /* queue_reset reads 1 */
};

struct pvio_register_queue {
	struct pvio_registers *regs;
	enum pvio_register_queue_state state;
	uint16_t size; /* shadows ... */
	uint64_t desc, driver, device;
	uint16_t vector; /* atomic: the queue's worker reads it */
	pvio_done_fn *done; /* of starting or stopping, or NULL */
	void *done_arg;
	struct pvio_device_waiter waiter; /* to start or stop, when it may */
};

struct pvio_registers;
/*
 * The transport forgets interrupts that the driver has not taken yet: after a
 * reset there are none (virtio 1.4, 2.4.1).  Those of @vector, or NO_VECTOR:
 * all, the line's too.  Control, when no queue runs that would interrupt so.
 */
typedef void pvio_registers_silence_fn(struct pvio_registers *regs,
				       uint16_t vector);

/* What waits for a reset; more than these are not told. */
#define PVIO_REGISTERS_RESET_WAITERS 4

struct pvio_registers {
	struct pvio_device *dev; /* borrowed */
	pvio_registers_silence_fn *silence;
	unsigned int nr_queues;
	unsigned int nr_vectors; /* 0: no vectors (MMIO) */
	uint32_t device_select, driver_select; /* of feature words */
	uint32_t driver_features[4];
	uint16_t queue_select;
	uint16_t config_vector; /* atomic */
	uint8_t generation;	/* as last told to the driver */
	uint32_t changes_seen;	/* of the core, when the driver last read */
	bool is_resetting; /* a reset was asked for, and not done; atomic */
	unsigned int nr_waiters;
	struct {
		pvio_done_fn *done;
		void *arg;
	} waiter[PVIO_REGISTERS_RESET_WAITERS];
	struct pvio_log_limit log_limit; /* the transport's, too */
	struct pvio_register_queue *queue; /* [nr_queues], owned */
};

int pvio_registers_init(struct pvio_registers *regs, struct pvio_device *dev,
			unsigned int nr_vectors,
			pvio_registers_silence_fn *silence);
void pvio_registers_fini(struct pvio_registers *regs);

/* --- features: 32 bits at a time, by selector; 0 past the last ----------- */
uint32_t pvio_registers_device_features(const struct pvio_registers *regs);
uint32_t pvio_registers_driver_features(const struct pvio_registers *regs);
/* Ignored after FEATURES_OK (virtio 1.4, 3.1.1), and past the last. */
void pvio_registers_set_driver_features(struct pvio_registers *regs,
					uint32_t bits);

/* --- status -------------------------------------------------------------- */
uint8_t pvio_registers_status(const struct pvio_registers *regs);
/*
 * Features go to the core when FEATURES_OK is written, and the bit does not
 * stick if they are refused.  0 resets: shadows, selectors and interrupts that
 * were not taken, too.  @done, or NULL, comes when the device touches no memory any more, and until then the
 * status reads as before and other values are dropped.  -EBUSY: too many wait
 * for that.
 */
void pvio_registers_set_status(struct pvio_registers *regs, uint8_t status,
			       pvio_done_fn *done, void *arg);
/* The same, as a bus's reset does it. */
void pvio_registers_reset(struct pvio_registers *regs, pvio_done_fn *done,
			  void *arg);

/* --- the selected queue: NULL when there is none of that number ---------- */
struct pvio_register_queue *
pvio_registers_selected(struct pvio_registers *regs);
uint16_t pvio_registers_queue_max(const struct pvio_registers *regs);
bool pvio_register_queue_is_enabled(const struct pvio_register_queue *queue);
bool pvio_register_queue_is_resetting(const struct pvio_register_queue *queue);
/* Setters.  Dropped, with a word in the log, unless the queue is OFF. */
void pvio_register_queue_set_size(struct pvio_register_queue *queue,
				  uint16_t size);
/*
 * 0: no size for a queue, as agreed upon so far (virtio 1.4, 4.1.4.3.1).  What
 * was written stays, and counts when the queue is enabled.
 */
uint16_t pvio_register_queue_size(const struct pvio_register_queue *queue);
enum pvio_register_address {
	PVIO_REGISTER_DESC,
	PVIO_REGISTER_DRIVER,
	PVIO_REGISTER_DEVICE,
};
/* One 32-bit half: @half 0 is the low one. */
void pvio_register_queue_set_address(struct pvio_register_queue *queue,
				     enum pvio_register_address which,
				     unsigned int half, uint32_t value);
uint32_t pvio_register_queue_address(const struct pvio_register_queue *queue,
				     enum pvio_register_address which,
				     unsigned int half);
/*
 * Start, with what the shadows say.  @done (or NULL) when it runs, or does not.
 * Dropped before FEATURES_OK, unless the queue is OFF, and while two of its
 * areas have the same address.
 */
void pvio_register_queue_enable(struct pvio_register_queue *queue,
				pvio_done_fn *done, void *arg);
/* Queue reset (virtio 1.4, 2.6.1); dropped unless RING_RESET is negotiated. */
void pvio_register_queue_reset(struct pvio_register_queue *queue,
			       pvio_done_fn *done, void *arg);
/* The same by MMIO's QueueReady (4.2.2), which every driver may write. */
void pvio_register_queue_disable(struct pvio_register_queue *queue,
				 pvio_done_fn *done, void *arg);

/*
 * --- vectors: what was stored reads back, or NO_VECTOR (4.1.5.1.2) ---------
 *
 * At any time: they are no part of what a queue runs on, and Windows' network
 * driver maps them when its queues are enabled.
 */
void pvio_registers_set_config_vector(struct pvio_registers *regs,
				      uint16_t vector);
void pvio_register_queue_set_vector(struct pvio_register_queue *queue,
				    uint16_t vector);

/* --- configuration space ------------------------------------------------- */
/* Changes only if something changed since the driver last read (4.1.4.3.1). */
uint8_t pvio_registers_generation(struct pvio_registers *regs);
void pvio_registers_read_config(struct pvio_registers *regs, size_t offset,
				void *buf, size_t len);
void pvio_registers_write_config(struct pvio_registers *regs, size_t offset,
				 const void *buf, size_t len);

#endif
