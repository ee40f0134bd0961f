/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device-own.h - devices that a part of the library makes for itself
 *
 * Their model is no plug-in, and they come and go on the control worker, in the
 * middle of its turns, where nobody may wait.
 */
#ifndef PVIO_CORE_DEVICE_OWN_H
#define PVIO_CORE_DEVICE_OWN_H

#include "device.h"

/*
 * As pvio_device_create_from(), with the model @ops (borrowed, outlives the
 * device), whose create() finds @arg in *model.  The group has no key "model".
 */
int pvio_device_create_own(const char *name, struct pvio_config *cfg,
			   const struct pvio_model_ops *ops, void *arg,
			   struct pvio_worker *control,
			   struct pvio_worker *const workers[],
			   unsigned int nr_workers, struct pvio_device **dev);

/* pvio_device_start(), on the control worker. */
int pvio_device_start_here(struct pvio_device *dev);

/*
 * pvio_device_stop(), on the control worker, for who may not wait: @stop, of
 * which dev, done and arg are filled in, stays until @done.
 */
struct pvio_device_stop {
	struct pvio_device *dev;
	pvio_done_fn *done;
	void *arg;
	struct pvio_device_waiter waiter; /* ours */
};
void pvio_device_stop_begin(struct pvio_device_stop *stop);
/*
 * Free @dev, which is stopped, on the control worker: not in the call of @done,
 * which comes from inside of it.
 */
void pvio_device_free(struct pvio_device *dev);

#endif
