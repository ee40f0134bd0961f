/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mmio.c - virtio-mmio, version 2: a page of registers and an interrupt line
 *
 *	0x000  who: magic, version, device, vendor
 *	0x010  features, 32 bits at a time
 *	0x030  the selected queue: size, ready, addresses, reset
 *	0x050  doorbell of all queues: the number of one is written
 *	0x060  interrupts: which are up, acknowledge
 *	0x070  status
 *	0x0ac  shared memory regions: none
 *	0x0fc  generation of what follows
 *	0x100  the device's own configuration
 *
 * (virtio 1.4, 4.2.2).  It can do what one interrupt line can: all queues and
 * the configuration share it, so a driver reads who called.  Memory may come
 * and go while queues run.
 *
 * Registers are accessed whole, at their offsets: that is the table, and what
 * it does not have reads as ones and is dropped when written.  Doorbell and
 * interrupt registers are answered on the calling thread, all others on the
 * control worker, one after the other.
 *
 * Nothing here is polled for by drivers, but QueueReset: those of Linux write a
 * status of 0, or a queue's ready of 0, and go on.  So such a write returns
 * when its work is done.
 */
#include <pvio/mmio.h>

#include "core/config.h"
#include "core/log.h"
#include "core/stats.h"
#include "transports/registers/access.h"
#include "transports/registers/doorbells.h"
#include "transports/registers/line.h"
#include "transports/registers/registers.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MMIO_MAGIC   0x74726976 /* "virt" */
#define MMIO_VERSION 2
#define MMIO_VENDOR  0x4f495650 /* "PVIO" */

enum mmio_offset {
	MMIO_MAGIC_VALUE = 0x000,
	MMIO_VERSION_NUMBER = 0x004,
	MMIO_DEVICE_ID = 0x008,
	MMIO_VENDOR_ID = 0x00c,
	MMIO_DEVICE_FEATURES = 0x010,
	MMIO_DEVICE_FEATURES_SEL = 0x014,
	MMIO_DRIVER_FEATURES = 0x020,
	MMIO_DRIVER_FEATURES_SEL = 0x024,
	MMIO_QUEUE_SEL = 0x030,
	MMIO_QUEUE_SIZE_MAX = 0x034,
	MMIO_QUEUE_SIZE = 0x038,
	MMIO_QUEUE_READY = 0x044,
	MMIO_QUEUE_NOTIFY = 0x050,
	MMIO_INTERRUPT_STATUS = 0x060,
	MMIO_INTERRUPT_ACK = 0x064,
	MMIO_STATUS = 0x070,
	MMIO_QUEUE_DESC_LOW = 0x080,
	MMIO_QUEUE_DESC_HIGH = 0x084,
	MMIO_QUEUE_DRIVER_LOW = 0x090,
	MMIO_QUEUE_DRIVER_HIGH = 0x094,
	MMIO_QUEUE_DEVICE_LOW = 0x0a0,
	MMIO_QUEUE_DEVICE_HIGH = 0x0a4,
	MMIO_SHM_SEL = 0x0ac,
	MMIO_SHM_LEN_LOW = 0x0b0,
	MMIO_SHM_LEN_HIGH = 0x0b4,
	MMIO_SHM_BASE_LOW = 0x0b8,
	MMIO_SHM_BASE_HIGH = 0x0bc,
	MMIO_QUEUE_RESET = 0x0c0,
	MMIO_CONFIG_GENERATION = 0x0fc,
	MMIO_CONFIG = 0x100,
};

#define R  1
#define W  2
#define RW (R | W)

static const struct mmio_register {
	uint16_t offset;
	uint8_t access;
	const char *name;
} mmio_registers[] = {
	{ MMIO_MAGIC_VALUE, R, "MagicValue" },
	{ MMIO_VERSION_NUMBER, R, "Version" },
	{ MMIO_DEVICE_ID, R, "DeviceID" },
	{ MMIO_VENDOR_ID, R, "VendorID" },
	{ MMIO_DEVICE_FEATURES, R, "DeviceFeatures" },
	{ MMIO_DEVICE_FEATURES_SEL, W, "DeviceFeaturesSel" },
	{ MMIO_DRIVER_FEATURES, W, "DriverFeatures" },
	{ MMIO_DRIVER_FEATURES_SEL, W, "DriverFeaturesSel" },
	{ MMIO_QUEUE_SEL, W, "QueueSel" },
	{ MMIO_QUEUE_SIZE_MAX, R, "QueueSizeMax" },
	{ MMIO_QUEUE_SIZE, W, "QueueSize" },
	{ MMIO_QUEUE_READY, RW, "QueueReady" },
	{ MMIO_QUEUE_NOTIFY, W, "QueueNotify" },
	{ MMIO_INTERRUPT_STATUS, R, "InterruptStatus" },
	{ MMIO_INTERRUPT_ACK, W, "InterruptACK" },
	{ MMIO_STATUS, RW, "Status" },
	{ MMIO_QUEUE_DESC_LOW, W, "QueueDescLow" },
	{ MMIO_QUEUE_DESC_HIGH, W, "QueueDescHigh" },
	{ MMIO_QUEUE_DRIVER_LOW, W, "QueueDriverLow" },
	{ MMIO_QUEUE_DRIVER_HIGH, W, "QueueDriverHigh" },
	{ MMIO_QUEUE_DEVICE_LOW, W, "QueueDeviceLow" },
	{ MMIO_QUEUE_DEVICE_HIGH, W, "QueueDeviceHigh" },
	{ MMIO_SHM_SEL, W, "SHMSel" },
	{ MMIO_SHM_LEN_LOW, R, "SHMLenLow" },
	{ MMIO_SHM_LEN_HIGH, R, "SHMLenHigh" },
	{ MMIO_SHM_BASE_LOW, R, "SHMBaseLow" },
	{ MMIO_SHM_BASE_HIGH, R, "SHMBaseHigh" },
	{ MMIO_QUEUE_RESET, RW, "QueueReset" },
	{ MMIO_CONFIG_GENERATION, R, "ConfigGeneration" },
};

struct pvio_mmio {
	struct pvio_device *dev; /* borrowed */
	struct pvio_registers regs;
	struct pvio_line line;
	struct pvio_accesses accesses;
	struct pvio_doorbells doorbells;
	bool is_started;
};

/* A read or a write of the page, or a reset. */
struct mmio_access {
	struct pvio_access access;
	struct pvio_mmio *mmio;
	uint64_t offset;
	void *to;         /* of a read */
	const void *from; /* of a write */
	size_t len;
};

static pvio_cold void mmio_refuse(struct pvio_mmio *mmio, bool is_write,
				  uint64_t offset, size_t len, const char *name)
{
	pvio_log_limited(&mmio->regs.log_limit, PVIO_LOG_WARNING,
			 "%s: driver %s %zu bytes at 0x%llx (%s): ignored",
			 pvio_device_name(mmio->dev),
			 is_write ? "writes" : "reads", len,
			 (unsigned long long)offset, name);
}

/* Is the access one that the table allows?  Only of registers. */
static bool mmio_find(struct pvio_mmio *mmio, unsigned int access,
		      uint64_t offset, size_t len)
{
	const char *name = "no register";
	size_t i;

	for (i = 0; i < pvio_array_size(mmio_registers); i++) {
		const struct mmio_register *r = &mmio_registers[i];

		if (offset / 4 != r->offset / 4)
			continue;
		if (offset == r->offset && len == 4 && (r->access & access))
			return true;
		name = r->name;
	}
	mmio_refuse(mmio, access == W, offset, len, name);
	return false;
}

static bool mmio_is_config(const struct pvio_mmio *mmio, uint64_t offset,
			   size_t len)
{
	return offset >= MMIO_CONFIG && len > 0 &&
	       pvio_range_ok(offset - MMIO_CONFIG, len,
			     pvio_device_config_size(mmio->dev));
}

/* --- reads --------------------------------------------------------------- */

static uint32_t mmio_read_queue(struct pvio_mmio *mmio, uint64_t offset)
{
	const struct pvio_register_queue *q =
		pvio_registers_selected(&mmio->regs);

	if (!q)
		return 0;
	if (offset == MMIO_QUEUE_READY)
		return pvio_register_queue_is_enabled(q);
	return pvio_register_queue_is_resetting(q);
}

static uint32_t mmio_read_register(struct pvio_mmio *mmio, uint64_t offset)
{
	switch ((enum mmio_offset)offset) {
	case MMIO_MAGIC_VALUE:
		return MMIO_MAGIC;
	case MMIO_VERSION_NUMBER:
		return MMIO_VERSION;
	case MMIO_DEVICE_ID:
		return pvio_device_id(mmio->dev);
	case MMIO_VENDOR_ID:
		return MMIO_VENDOR;
	case MMIO_DEVICE_FEATURES:
		return pvio_registers_device_features(&mmio->regs);
	case MMIO_QUEUE_SIZE_MAX:
		return pvio_registers_queue_max(&mmio->regs);
	case MMIO_QUEUE_READY:
	case MMIO_QUEUE_RESET:
		return mmio_read_queue(mmio, offset);
	case MMIO_INTERRUPT_STATUS:
		return pvio_line_isr(&mmio->line);
	case MMIO_STATUS:
		return pvio_registers_status(&mmio->regs);
	case MMIO_CONFIG_GENERATION:
		return pvio_registers_generation(&mmio->regs);
	default:
		/* A region of memory that is not there is so long (4.2.2.1). */
		return UINT32_MAX;
	}
}

static void run_read(struct pvio_access *access)
{
	struct mmio_access *a = pvio_container_of(access, struct mmio_access,
						  access);
	uint32_t value;

	if (!a->mmio->is_started) {
		; /* nobody is there: all ones */
	} else if (mmio_is_config(a->mmio, a->offset, a->len)) {
		pvio_registers_read_config(
			&a->mmio->regs, a->offset - MMIO_CONFIG, a->to, a->len);
	} else if (mmio_find(a->mmio, R, a->offset, a->len)) {
		value = htole32(mmio_read_register(a->mmio, a->offset));
		memcpy(a->to, &value, sizeof(value));
	}
	pvio_access_done(access, 0);
}

void pvio_mmio_read(struct pvio_mmio *mmio, uint64_t offset, void *buf,
		    size_t len)
{
	struct mmio_access a = {
		.access = { .run = run_read, .is_read = true },
		.mmio = mmio,
		.offset = offset,
		.to = buf,
		.len = len,
	};
	uint32_t value;

	memset(buf, 0xff, len);
	if (offset == MMIO_INTERRUPT_STATUS && len == 4) {
		value = htole32(pvio_line_isr(&mmio->line));
		memcpy(buf, &value, sizeof(value));
	} else {
		(void)pvio_access_make(&mmio->accesses, &a.access);
	}
}

/* --- writes -------------------------------------------------------------- */

static void mmio_set_address(struct pvio_register_queue *q, uint64_t offset,
			     uint32_t value)
{
	unsigned int half = offset % 8 == 4;

	switch (offset - half * 4) {
	case MMIO_QUEUE_DESC_LOW:
		pvio_register_queue_set_address(q, PVIO_REGISTER_DESC, half,
						value);
		break;
	case MMIO_QUEUE_DRIVER_LOW:
		pvio_register_queue_set_address(q, PVIO_REGISTER_DRIVER, half,
						value);
		break;
	case MMIO_QUEUE_DEVICE_LOW:
		pvio_register_queue_set_address(q, PVIO_REGISTER_DEVICE, half,
						value);
		break;
	default:
		break;
	}
}

/* True: the access has been taken over, and will be done. */
static bool mmio_write_queue(struct mmio_access *a, uint32_t value)
{
	struct pvio_register_queue *q = pvio_registers_selected(&a->mmio->regs);

	if (!q)
		return false;
	switch ((enum mmio_offset)a->offset) {
	case MMIO_QUEUE_SIZE:
		/* What is too large is refused by QueueReady, not cut off. */
		pvio_register_queue_set_size(
			q, (uint16_t)pvio_min(value, UINT16_MAX));
		return false;
	case MMIO_QUEUE_READY:
		if (value > 1)
			return false;
		if (value)
			pvio_register_queue_enable(q, pvio_access_done,
						   &a->access);
		else
			pvio_register_queue_disable(q, pvio_access_done,
						    &a->access);
		return true;
	case MMIO_QUEUE_RESET:
		if (value == 1)
			pvio_register_queue_reset(q, NULL, NULL);
		return false;
	default:
		mmio_set_address(q, a->offset, value);
		return false;
	}
}

/* True as above. */
static bool mmio_write_register(struct mmio_access *a, uint32_t value)
{
	struct pvio_registers *regs = &a->mmio->regs;

	switch ((enum mmio_offset)a->offset) {
	case MMIO_DEVICE_FEATURES_SEL:
		regs->device_select = value;
		return false;
	case MMIO_DRIVER_FEATURES:
		pvio_registers_set_driver_features(regs, value);
		return false;
	case MMIO_DRIVER_FEATURES_SEL:
		regs->driver_select = value;
		return false;
	case MMIO_QUEUE_SEL:
		/* A number that does not fit is one that does not exist. */
		regs->queue_select = (uint16_t)pvio_min(value, UINT16_MAX);
		return false;
	case MMIO_STATUS:
		if (value == 0)
			pvio_registers_reset(regs, pvio_access_done,
					     &a->access);
		else if (value <= UINT8_MAX)
			pvio_registers_set_status(regs, (uint8_t)value,
						  pvio_access_done, &a->access);
		return value <= UINT8_MAX;
	case MMIO_SHM_SEL:
		return false;
	default:
		return mmio_write_queue(a, value);
	}
}

static void run_write(struct pvio_access *access)
{
	struct mmio_access *a = pvio_container_of(access, struct mmio_access,
						  access);
	uint32_t value;

	if (!a->mmio->is_started) {
		; /* nor here */
	} else if (mmio_is_config(a->mmio, a->offset, a->len)) {
		pvio_registers_write_config(&a->mmio->regs,
					    a->offset - MMIO_CONFIG, a->from,
					    a->len);
	} else if (mmio_find(a->mmio, W, a->offset, a->len)) {
		memcpy(&value, a->from, sizeof(value));
		if (mmio_write_register(a, le32toh(value)))
			return;
	}
	pvio_access_done(access, 0);
}

/* Doorbell and acknowledgement: any thread.  True: it was one. */
static bool mmio_write_fast(struct pvio_mmio *mmio, uint64_t offset,
			    const void *buf, size_t len)
{
	uint32_t value;

	if (len != 4 ||
	    (offset != MMIO_QUEUE_NOTIFY && offset != MMIO_INTERRUPT_ACK))
		return false;
	memcpy(&value, buf, sizeof(value));
	value = le32toh(value);
	if (offset == MMIO_QUEUE_NOTIFY)
		pvio_device_kick(mmio->dev, value);
	else
		pvio_line_acknowledge(&mmio->line, (uint8_t)value);
	return true;
}

void pvio_mmio_write(struct pvio_mmio *mmio, uint64_t offset, const void *buf,
		     size_t len)
{
	struct mmio_access a = {
		.access.run = run_write,
		.mmio = mmio,
		.offset = offset,
		.from = buf,
		.len = len,
	};

	if (!mmio_write_fast(mmio, offset, buf, len))
		(void)pvio_access_make(&mmio->accesses, &a.access);
}

static void run_reset(struct pvio_access *access)
{
	struct mmio_access *a = pvio_container_of(access, struct mmio_access,
						  access);

	pvio_registers_reset(&a->mmio->regs, pvio_access_done, &a->access);
}

void pvio_mmio_reset(struct pvio_mmio *mmio)
{
	struct mmio_access a = { .access.run = run_reset, .mmio = mmio };

	(void)pvio_access_make(&mmio->accesses, &a.access);
}

/* --- doorbells and the line ---------------------------------------------- */

int pvio_mmio_doorbell(struct pvio_mmio *mmio, unsigned int queue,
		       struct pvio_doorbell *doorbell)
{
	int fd = pvio_doorbells_fd(&mmio->doorbells, queue);

	if (fd < 0)
		return fd;
	*doorbell = (struct pvio_doorbell){
		.offset = MMIO_QUEUE_NOTIFY,
		.width = 4,
		.has_match = true,
		.match = queue,
		.fd = fd,
	};
	return 0;
}

int pvio_mmio_set_irq(struct pvio_mmio *mmio, pvio_mmio_irq_fn *irq, void *arg)
{
	if (mmio->is_started)
		return -EBUSY;
	mmio->line.set = irq;
	mmio->line.arg = arg;
	return 0;
}

struct mmio_fds_call {
	struct pvio_access access;
	struct pvio_mmio *mmio;
	int trigger, resample;
};

static void run_set_fds(struct pvio_access *access)
{
	struct mmio_fds_call *call =
		pvio_container_of(access, struct mmio_fds_call, access);

	pvio_access_done(access,
			 pvio_line_set_fds(&call->mmio->line, call->trigger,
					   call->resample));
}

int pvio_mmio_set_irq_fds(struct pvio_mmio *mmio, int trigger, int resample)
{
	struct mmio_fds_call call = {
		.access.run = run_set_fds,
		.mmio = mmio,
		.trigger = trigger,
		.resample = resample,
	};

	return pvio_access_make(&mmio->accesses, &call.access);
}

/* --- the core's events --------------------------------------------------- */

static void mmio_notify_queue(void *transport, unsigned int queue)
{
	struct pvio_mmio *mmio = transport;

	(void)queue; /* one line for all */
	pvio_line_raise(&mmio->line, PVIO_ISR_QUEUE);
}

static void mmio_notify_config(void *transport)
{
	struct pvio_mmio *mmio = transport;

	pvio_line_raise(&mmio->line, PVIO_ISR_CONFIG);
}

static void mmio_silence(struct pvio_registers *regs, uint16_t vector)
{
	struct pvio_mmio *mmio =
		pvio_container_of(regs, struct pvio_mmio, regs);

	(void)vector; /* there are none */
	pvio_line_acknowledge(&mmio->line, 0xff);
}

static void mmio_describe(void *transport, char *text, size_t size)
{
	struct pvio_mmio *mmio = transport;

	snprintf(text, size, "\"irq_asserted\": %llu",
		 (unsigned long long)pvio_load_once(&mmio->line.asserted));
}

/* --- life ---------------------------------------------------------------- */

static int mmio_attach(struct pvio_device *dev, struct pvio_config *cfg,
		       void **transport)
{
	struct pvio_mmio *mmio;
	int rc;

	if (pvio_device_config_size(dev) > PVIO_MMIO_BYTES - MMIO_CONFIG)
		return pvio_config_error(cfg, "type",
					 "more than its page can show");
	mmio = calloc(1, sizeof(*mmio));
	if (!mmio)
		return -ENOMEM;
	mmio->dev = dev;
	pvio_accesses_init(&mmio->accesses, dev);
	rc = pvio_registers_init(&mmio->regs, dev, 0, mmio_silence);
	if (rc < 0)
		goto free_mmio;
	rc = pvio_doorbells_init(&mmio->doorbells, &mmio->accesses);
	if (rc < 0)
		goto fini_registers;
	rc = pvio_line_init(&mmio->line, pvio_device_control(dev));
	if (rc < 0)
		goto fini_doorbells;
	mmio->line.name = pvio_device_name(dev);
	*transport = mmio;
	return 0;

fini_doorbells:
	pvio_doorbells_fini(&mmio->doorbells);
fini_registers:
	pvio_registers_fini(&mmio->regs);
free_mmio:
	free(mmio);
	return rc;
}

static void mmio_detach(void *transport)
{
	struct pvio_mmio *mmio = transport;

	pvio_line_fini(&mmio->line);
	pvio_doorbells_fini(&mmio->doorbells);
	pvio_registers_fini(&mmio->regs);
	free(mmio);
}

static int mmio_start(void *transport)
{
	struct pvio_mmio *mmio = transport;

	pvio_doorbells_watch(&mmio->doorbells);
	mmio->is_started = true;
	return 0;
}

static void mmio_stop(void *transport, pvio_done_fn *done, void *arg)
{
	struct pvio_mmio *mmio = transport;

	mmio->is_started = false;
	pvio_registers_reset(&mmio->regs, done, arg);
}

static const struct pvio_transport_ops mmio_ops = {
	.abi		= PVIO_PLUGIN_ABI,
	.name		= "mmio",
	.features	= { PVIO_BIT(VIRTIO_RING_F_INDIRECT_DESC) |
			    PVIO_BIT(VIRTIO_RING_F_EVENT_IDX) |
			    PVIO_BIT(VIRTIO_F_VERSION_1) |
			    PVIO_BIT(VIRTIO_F_RING_PACKED) |
			    PVIO_BIT(VIRTIO_F_ACCESS_PLATFORM) |
			    PVIO_BIT(VIRTIO_F_IN_ORDER) |
			    PVIO_BIT(VIRTIO_F_RING_RESET) |
			    PVIO_BIT(VIRTIO_F_SUSPEND) },
	.attach		= mmio_attach,
	.detach		= mmio_detach,
	.start		= mmio_start,
	.stop		= mmio_stop,
	.notify_queue	= mmio_notify_queue,
	.notify_config	= mmio_notify_config,
	.describe	= mmio_describe,
};

struct pvio_mmio *pvio_mmio_of(struct pvio_device *dev)
{
	return pvio_device_transport(dev, &mmio_ops);
}

PVIO_PLUGIN(transport, mmio, mmio_ops);
