/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * model.h - the seam between the core and a device model
 *
 * A model is what a device *is*: it takes chains off queues, does what they
 * ask, and gives them back.  It knows the queue API and its backend; it knows
 * nothing of transports, registers, addresses or threads.  models/rng.c is the
 * template; pvio-model(3) explains.
 *
 * Threads: create, destroy, and whatever is marked "control" run on the
 * control worker; what is marked "queue" runs on the worker that owns the
 * queue, never while a control call that stops the queue is under way.  Queues
 * of one device may be on different workers.
 */
#ifndef PVIO_CORE_MODEL_H
#define PVIO_CORE_MODEL_H

#include "config.h"
#include "log.h"
#include "plugin.h"
#include "queue.h"

#pragma GCC visibility push(default)

/* What a model's kick reports. */
enum pvio_kick {
	PVIO_KICK_DRAINED, /* took all there was: ask for kicks, look again */
	PVIO_KICK_AGAIN,   /* stopped at its budget: call me again soon */
	PVIO_KICK_WAIT,	   /* waits for a backend or for a frame; chains may be
			      left.  No kicks wanted: I call pvio_vq_schedule() */
	PVIO_KICK_NOTIFY,  /* took all there was and waits for more, as DRAINED
			      (receive queue that ran out) */
};

/* A command for pvioctl and pvio_device_command(). */
struct pvio_command {
	const char *name;
	/* control.  @answer gets one line.  0 or -errno. */
	int (*run)(void *model, const char *argument, char *answer,
		   size_t size);
};

struct pvio_model_ops {
	uint32_t abi;	   /* PVIO_PLUGIN_ABI */
	const char *name;  /* "block": the config's `model = ` */
	uint32_t device_id; /* virtio 1.4, 5 */
	/*
	 * Everything the model can do; create() withholds what its backend or
	 * configuration cannot.  Ring and transport bits are the core's.
	 */
	uint64_t features[2];
	uint16_t max_queues;
	uint16_t queue_size; /* default largest size; "queue_size" overrides */
	uint16_t config_size; /* bytes of device configuration space */
	/*
	 * What the last writable byte of a request says when the request failed;
	 * 0: nothing.  Written for requests of which the device cannot reach a
	 * part, which the model never sees.
	 */
	uint8_t failed_status;

	/*
	 * control.  Read the model's keys from @cfg, open the backend, call
	 * pvio_device_set_queues() and pvio_device_withhold().  -errno undoes
	 * everything; the cause has been logged.
	 */
	int (*create)(struct pvio_device *dev, struct pvio_config *cfg,
		      void **model);
	void (*destroy)(void *model);

	/*
	 * control.  Refuse a feature set whose bits depend on each other in
	 * ways that do not hold (virtio 1.4, 5.x.3.1): -EINVAL.  Optional.
	 */
	int (*check_features)(void *model, const struct pvio_features *f);
	/*
	 * control, no queue running.  The driver's features are final: latch
	 * what depends on them.  Called before any queue starts, and again
	 * after a reset.
	 */
	void (*set_features)(void *model, const struct pvio_features *f);
	/* control, no queue running.  Back to the state after create. */
	void (*reset)(void *model);

	/*
	 * queue, before the first kick and after the last.  start may refuse
	 * (-errno).  stop must unpop or push every chain the model holds by
	 * choice; chains that a backend is working on may be pushed later, and
	 * the queue is idle only when all are.  Optional.
	 */
	int (*start_queue)(void *model, struct pvio_vq *vq);
	void (*stop_queue)(void *model, struct pvio_vq *vq);
	/* queue, idle: all is pushed.  Free what start_queue made.  Optional. */
	void (*idle_queue)(void *model, struct pvio_vq *vq);
	/* queue.  There may be chains.  Bounded work, then say why it ended. */
	enum pvio_kick (*kick)(void *model, struct pvio_vq *vq);
	/*
	 * queue.  The queue runs but is not enabled (vhost-user): consume
	 * without side effects what would otherwise pile up.  Optional.
	 */
	enum pvio_kick (*discard)(void *model, struct pvio_vq *vq);

	/* control.  Fill in all config_size bytes of configuration space. */
	void (*read_config)(void *model, void *config);
	/* control.  -EINVAL for what is read-only.  Optional: all is. */
	int (*write_config)(void *model, size_t offset, const void *data,
			    size_t len);

	const struct pvio_command *commands; /* ends with name NULL; or NULL */
	/*
	 * How many "queues" a vhost-user front-end's GET_QUEUE_NUM means: 1 per
	 * queue, or 2 where it counts pairs.  0 means 1.
	 */
	uint8_t queues_per_unit;
	/*
	 * control.  The guest moved here: announce it on the network (vhost-user
	 * SEND_RARP), and the front-end's MTU.  Optional.
	 */
	void (*announce)(void *model, const uint8_t mac[6]);
	int (*set_mtu)(void *model, uint16_t mtu);
};

/* --- what a model may ask of its device (core/device.c) ------------------ */

const char *pvio_device_name(const struct pvio_device *dev);
/* create(): how many queues this device has, up to max_queues. */
void pvio_device_set_queues(struct pvio_device *dev, unsigned int nr);
/* create(): do not offer feature @bit. */
void pvio_device_withhold(struct pvio_device *dev, unsigned int bit);
/* Was @bit negotiated? */
bool pvio_device_has_feature(const struct pvio_device *dev, unsigned int bit);
unsigned int pvio_device_nr_queues(const struct pvio_device *dev);
struct pvio_vq *pvio_device_vq(struct pvio_device *dev, unsigned int index);
/* The largest size a queue can get: how many request slots to allocate. */
uint16_t pvio_device_queue_size(const struct pvio_device *dev);
struct pvio_worker *pvio_device_control(struct pvio_device *dev);
/* Configuration space changed: new generation, tell the driver.  control. */
void pvio_device_config_changed(struct pvio_device *dev);
/* Any thread: the device cannot go on, nor a queue; DEVICE_NEEDS_RESET. */
void pvio_device_break(struct pvio_device *dev, const char *why);

#pragma GCC visibility pop
#endif
