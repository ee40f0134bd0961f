/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * registers.c - see registers.h
 *
 * What waits, and for what.  Starting and stopping a queue is asked of the core
 * and answered later; so is a reset, which ends both.  The core refuses to
 * start or stop while the guest's memory changes; the driver, whose business
 * that is not, waits until it may.
 *
 *	enable  -> core: busy? -> waiter --.
 *	            ^                      | memory has changed
 *	            '----------------------'
 *	        -> started: ON, or not: OFF
 *
 * A reset takes the queue out of that list: what it waited for is dropped.
 */
#include "registers.h"

#include "core/log.h"

#include <errno.h>
#include <stdlib.h>

#define FEATURE_WORDS 4 /* of 32 bits */

/* --- queues' shadows ----------------------------------------------------- */

static unsigned int queue_index(const struct pvio_register_queue *queue)
{
	return (unsigned int)(queue - queue->regs->queue);
}

static void queue_finish(struct pvio_register_queue *queue,
			 enum pvio_register_queue_state state, int rc)
{
	pvio_done_fn *done = queue->done;

	queue->state = state;
	queue->done = NULL;
	if (done)
		done(queue->done_arg, rc);
}

/* As after a reset (virtio 1.4, 2.6.1.1 and 4.1.4.3.1). */
static void queue_forget(struct pvio_register_queue *queue, int rc)
{
	pvio_list_del(&queue->waiter.node);
	queue->size = pvio_device_queue_size(queue->regs->dev);
	queue->desc = queue->driver = queue->device = 0;
	pvio_store_once(&queue->vector, PVIO_NO_VECTOR);
	queue_finish(queue, PVIO_REGISTER_QUEUE_OFF, rc);
}

static void registers_forget(struct pvio_registers *regs)
{
	unsigned int i;

	regs->device_select = regs->driver_select = 0;
	for (i = 0; i < FEATURE_WORDS; i++)
		regs->driver_features[i] = 0;
	regs->queue_select = 0;
	pvio_store_once(&regs->config_vector, PVIO_NO_VECTOR);
	for (i = 0; i < regs->nr_queues; i++)
		queue_forget(&regs->queue[i], -ECANCELED);
}

static void queue_on_wait_over(struct pvio_device_waiter *waiter);

int pvio_registers_init(struct pvio_registers *regs, struct pvio_device *dev,
			unsigned int nr_vectors,
			pvio_registers_silence_fn *silence)
{
	unsigned int i;

	*regs = (struct pvio_registers){
		.dev = dev,
		.silence = silence,
		.nr_queues = pvio_device_nr_queues(dev),
		.nr_vectors = nr_vectors,
	};
	regs->queue = calloc(regs->nr_queues, sizeof(*regs->queue));
	if (!regs->queue)
		return -ENOMEM;
	for (i = 0; i < regs->nr_queues; i++) {
		regs->queue[i].regs = regs;
		regs->queue[i].waiter.fn = queue_on_wait_over;
		pvio_list_init(&regs->queue[i].waiter.node);
	}
	registers_forget(regs);
	return 0;
}

void pvio_registers_fini(struct pvio_registers *regs)
{
	free(regs->queue);
	regs->queue = NULL;
}

/* --- features ------------------------------------------------------------ */

uint32_t pvio_registers_device_features(const struct pvio_registers *regs)
{
	struct pvio_features offered;

	if (regs->device_select >= FEATURE_WORDS)
		return 0;
	pvio_device_offered(regs->dev, &offered);
	return (uint32_t)(offered.word[regs->device_select / 2] >>
			  regs->device_select % 2 * 32);
}

uint32_t pvio_registers_driver_features(const struct pvio_registers *regs)
{
	if (regs->driver_select >= FEATURE_WORDS)
		return 0;
	return regs->driver_features[regs->driver_select];
}

void pvio_registers_set_driver_features(struct pvio_registers *regs,
					uint32_t bits)
{
	if (regs->driver_select >= FEATURE_WORDS ||
	    (pvio_device_status(regs->dev) & VIRTIO_CONFIG_S_FEATURES_OK))
		return;
	regs->driver_features[regs->driver_select] = bits;
}

static int registers_latch_features(struct pvio_registers *regs)
{
	const uint32_t *bits = regs->driver_features;
	struct pvio_features f = {
		{ bits[0] | (uint64_t)bits[1] << 32,
		  bits[2] | (uint64_t)bits[3] << 32 },
	};

	return pvio_device_set_features(regs->dev, &f);
}

/* --- status -------------------------------------------------------------- */

uint8_t pvio_registers_status(const struct pvio_registers *regs)
{
	return pvio_device_status(regs->dev);
}

static void registers_reset_done(void *arg, int rc)
{
	struct pvio_registers *regs = arg;
	unsigned int i, n = regs->nr_waiters;
	pvio_done_fn *done[PVIO_REGISTERS_RESET_WAITERS];
	void *done_arg[PVIO_REGISTERS_RESET_WAITERS];

	registers_forget(regs);
	/* Of queues that were still draining, too. */
	regs->silence(regs, PVIO_NO_VECTOR);
	pvio_store_once(&regs->is_resetting, false);
	/* Who waited may ask for the next reset. */
	for (i = 0; i < n; i++) {
		done[i] = regs->waiter[i].done;
		done_arg[i] = regs->waiter[i].arg;
	}
	regs->nr_waiters = 0;
	for (i = 0; i < n; i++)
		done[i](done_arg[i], rc);
}

void pvio_registers_reset(struct pvio_registers *regs, pvio_done_fn *done,
			  void *arg)
{
	if (done) {
		if (regs->nr_waiters == PVIO_REGISTERS_RESET_WAITERS) {
			done(arg, -EBUSY);
			return;
		}
		regs->waiter[regs->nr_waiters].done = done;
		regs->waiter[regs->nr_waiters].arg = arg;
		regs->nr_waiters++;
	}
	/* One that is under way does for all, however often it is asked for. */
	if (regs->is_resetting)
		return;
	pvio_store_once(&regs->is_resetting, true);
	pvio_device_reset(regs->dev, registers_reset_done, regs);
}

void pvio_registers_set_status(struct pvio_registers *regs, uint8_t status,
			       pvio_done_fn *done, void *arg)
{
	const uint8_t features_ok = VIRTIO_CONFIG_S_FEATURES_OK;

	if (status == 0) {
		pvio_registers_reset(regs, done, arg);
		return;
	}
	if (regs->is_resetting) {
		done(arg, 0);
		return;
	}
	if ((status & features_ok) &&
	    !(pvio_device_status(regs->dev) & features_ok) &&
	    registers_latch_features(regs) < 0)
		status &= (uint8_t)~features_ok;
	/* What is left may be 0, which the driver did not write. */
	if (status == 0)
		done(arg, 0);
	else
		pvio_device_set_status(regs->dev, status, done, arg);
}

/* --- the selected queue -------------------------------------------------- */

struct pvio_register_queue *pvio_registers_selected(struct pvio_registers *regs)
{
	if (regs->queue_select >= regs->nr_queues)
		return NULL;
	return &regs->queue[regs->queue_select];
}

uint16_t pvio_registers_queue_max(const struct pvio_registers *regs)
{
	if (regs->queue_select >= regs->nr_queues)
		return 0;
	return pvio_device_queue_size(regs->dev);
}

bool pvio_register_queue_is_enabled(const struct pvio_register_queue *queue)
{
	return queue->state != PVIO_REGISTER_QUEUE_OFF;
}

bool pvio_register_queue_is_resetting(const struct pvio_register_queue *queue)
{
	return queue->state == PVIO_REGISTER_QUEUE_STOPPING;
}

static void queue_say(struct pvio_register_queue *queue, const char *what)
{
	struct pvio_registers *regs = queue->regs;

	pvio_log_limited(&regs->log_limit, PVIO_LOG_WARNING,
			 "%s: queue %u: driver %s: ignored",
			 pvio_device_name(regs->dev), queue_index(queue), what);
}

static bool queue_is_open(struct pvio_register_queue *queue, const char *what)
{
	if (queue->state == PVIO_REGISTER_QUEUE_OFF)
		return true;
	queue_say(queue, what);
	return false;
}

void pvio_register_queue_set_size(struct pvio_register_queue *queue,
				  uint16_t size)
{
	if (queue_is_open(queue, "changes its size while it is enabled"))
		queue->size = size;
}

uint16_t pvio_register_queue_size(const struct pvio_register_queue *queue)
{
	const struct pvio_device *dev = queue->regs->dev;
	uint16_t size = queue->size;

	if (size > pvio_device_queue_size(dev) ||
	    ((size & (size - 1)) &&
	     !pvio_device_has_feature(dev, VIRTIO_F_RING_PACKED)))
		return 0;
	return size;
}

static uint64_t *queue_address(struct pvio_register_queue *queue,
			       enum pvio_register_address which)
{
	switch (which) {
	case PVIO_REGISTER_DESC:
		return &queue->desc;
	case PVIO_REGISTER_DRIVER:
		return &queue->driver;
	case PVIO_REGISTER_DEVICE:
		break;
	}
	return &queue->device;
}

void pvio_register_queue_set_address(struct pvio_register_queue *queue,
				     enum pvio_register_address which,
				     unsigned int half, uint32_t value)
{
	const unsigned int shift = half ? 32 : 0;
	uint64_t *address = queue_address(queue, which);

	if (!queue_is_open(queue, "moves it while it is enabled"))
		return;
	*address &= ~(0xffffffffULL << shift);
	*address |= (uint64_t)value << shift;
}

uint32_t pvio_register_queue_address(const struct pvio_register_queue *queue,
				     enum pvio_register_address which,
				     unsigned int half)
{
	uint64_t address = queue->device;

	if (which == PVIO_REGISTER_DESC)
		address = queue->desc;
	else if (which == PVIO_REGISTER_DRIVER)
		address = queue->driver;
	return (uint32_t)(address >> (half ? 32 : 0));
}

/* --- starting and stopping ----------------------------------------------- */

static void queue_start(struct pvio_register_queue *queue);
static void queue_stop(struct pvio_register_queue *queue);

/* May the core be asked again?  Then that is seen to. */
static bool queue_waits(struct pvio_register_queue *queue, int rc)
{
	/* A reset ends it: see queue_forget(). */
	return rc == -EBUSY && !queue->regs->is_resetting &&
	       pvio_device_await(queue->regs->dev, &queue->waiter);
}

static void queue_on_wait_over(struct pvio_device_waiter *waiter)
{
	struct pvio_register_queue *queue = pvio_container_of(
		waiter, struct pvio_register_queue, waiter);

	if (queue->state == PVIO_REGISTER_QUEUE_STARTING)
		queue_start(queue);
	else if (queue->state == PVIO_REGISTER_QUEUE_STOPPING)
		queue_stop(queue);
}

static void queue_started(void *arg, int rc)
{
	struct pvio_register_queue *queue = arg;

	if (!queue_waits(queue, rc))
		queue_finish(queue,
			     rc < 0 ? PVIO_REGISTER_QUEUE_OFF
				    : PVIO_REGISTER_QUEUE_ON,
			     rc);
}

static void queue_start(struct pvio_register_queue *queue)
{
	struct pvio_device *dev = queue->regs->dev;
	struct pvio_vq_setup setup = {
		.size = queue->size,
		.desc = queue->desc,
		.driver = queue->driver,
		.device = queue->device,
	};

	/* A packed ring begins with both wrap counters at 1 (2.8.1). */
	if (pvio_device_has_feature(dev, VIRTIO_F_RING_PACKED))
		setup.position.avail_wrap = setup.position.used_wrap = true;
	pvio_device_vq_start(dev, queue_index(queue), &setup, queue_started,
			     queue);
}

/*
 * Three areas that do not meet have three addresses, on split and on packed
 * rings.  Those that were not written are 0, which may well be memory.
 */
static bool queue_has_areas(const struct pvio_register_queue *queue)
{
	return queue->desc != queue->driver && queue->desc != queue->device &&
	       queue->driver != queue->device;
}

void pvio_register_queue_enable(struct pvio_register_queue *queue,
				pvio_done_fn *done, void *arg)
{
	const char *why = NULL;

	/*
	 * Until then what the ring looks like is not agreed upon (3.1.1), and a
	 * device that resets is about to forget what it would start with.
	 */
	if (!(pvio_device_status(queue->regs->dev) &
	      VIRTIO_CONFIG_S_FEATURES_OK))
		why = "enables it before FEATURES_OK";
	else if (queue->regs->is_resetting)
		why = "enables it during a reset";
	else if (!queue_has_areas(queue))
		why = "enables it with areas at one address";
	if (why)
		queue_say(queue, why);
	if (why || !queue_is_open(queue, "enables it twice")) {
		if (done)
			done(arg, -EINVAL);
		return;
	}
	queue->state = PVIO_REGISTER_QUEUE_STARTING;
	queue->done = done;
	queue->done_arg = arg;
	queue_start(queue);
}

/*
 * What pends on a vector is of no queue by name; only where the queue has it
 * for itself is it that queue's (virtio 1.4, 2.6.1.1).
 */
static void queue_silence(struct pvio_register_queue *queue)
{
	struct pvio_registers *regs = queue->regs;
	uint16_t vector = queue->vector;
	unsigned int i;

	if (vector == PVIO_NO_VECTOR || vector == regs->config_vector)
		return;
	for (i = 0; i < regs->nr_queues; i++)
		if (&regs->queue[i] != queue && regs->queue[i].vector == vector)
			return;
	regs->silence(regs, vector);
}

static void queue_stopped(void *arg, int rc)
{
	struct pvio_register_queue *queue = arg;

	if (queue_waits(queue, rc))
		return;
	if (rc < 0) {
		queue_finish(queue, PVIO_REGISTER_QUEUE_ON, rc);
	} else {
		queue_silence(queue);
		queue_forget(queue, 0);
	}
}

static void queue_stop(struct pvio_register_queue *queue)
{
	pvio_device_vq_stop(queue->regs->dev, queue_index(queue), NULL,
			    queue_stopped, queue);
}

void pvio_register_queue_reset(struct pvio_register_queue *queue,
			       pvio_done_fn *done, void *arg)
{
	if (!pvio_device_has_feature(queue->regs->dev, VIRTIO_F_RING_RESET)) {
		queue_say(queue, "resets it without RING_RESET");
		if (done)
			done(arg, -EINVAL);
		return;
	}
	pvio_register_queue_disable(queue, done, arg);
}

void pvio_register_queue_disable(struct pvio_register_queue *queue,
				 pvio_done_fn *done, void *arg)
{
	if (queue->state != PVIO_REGISTER_QUEUE_ON ||
	    queue->regs->is_resetting) {
		queue_say(queue, "stops it while it is not running");
		if (done)
			done(arg, -EINVAL);
		return;
	}
	queue->state = PVIO_REGISTER_QUEUE_STOPPING;
	queue->done = done;
	queue->done_arg = arg;
	queue_stop(queue);
}

/* --- vectors ------------------------------------------------------------- */

static uint16_t registers_vector(const struct pvio_registers *regs,
				 uint16_t vector)
{
	return vector < regs->nr_vectors ? vector : PVIO_NO_VECTOR;
}

void pvio_registers_set_config_vector(struct pvio_registers *regs,
				      uint16_t vector)
{
	pvio_store_once(&regs->config_vector, registers_vector(regs, vector));
}

void pvio_register_queue_set_vector(struct pvio_register_queue *queue,
				    uint16_t vector)
{
	pvio_store_once(&queue->vector, registers_vector(queue->regs, vector));
}

/* --- configuration space ------------------------------------------------- */

/*
 * Eight bits do for a counter that only what the driver has seen moves: for it
 * to come round between two of its reads there would have to be 255 others.
 */
uint8_t pvio_registers_generation(struct pvio_registers *regs)
{
	uint32_t changes = pvio_device_config_changes(regs->dev);

	if (changes != regs->changes_seen) {
		regs->changes_seen = changes;
		regs->generation++;
	}
	return regs->generation;
}

void pvio_registers_read_config(struct pvio_registers *regs, size_t offset,
				void *buf, size_t len)
{
	(void)pvio_registers_generation(regs);
	pvio_device_read_config(regs->dev, offset, buf, len);
}

void pvio_registers_write_config(struct pvio_registers *regs, size_t offset,
				 const void *buf, size_t len)
{
	if (pvio_device_write_config(regs->dev, offset, buf, len) < 0)
		pvio_log_limited(&regs->log_limit, PVIO_LOG_WARNING,
				 "%s: driver writes %zu bytes at %zu of device "
				 "configuration: ignored",
				 pvio_device_name(regs->dev), len, offset);
}
