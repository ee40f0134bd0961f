/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device.h - create, start, inspect and destroy a device
 *
 * A device is a model (what it is), a backend (where its bytes go) and a
 * transport (how the guest reaches it), described by a fragment of pvio.conf:
 *
 *	model = "block";
 *	backend = { type = "file"; path = "/srv/disk.img"; };
 *	transport = { type = "vhost-user"; socket = "/run/disk.sock"; };
 *
 * Any thread may call them: what they do is done on the device's control
 * worker, beside what that does for other devices, while the caller waits; or
 * by the caller itself while that worker is not running.  But not a queue's
 * worker, nor a callback of a device; and start, stop and destroy of one device
 * one after the other.
 */
#ifndef PVIO_DEVICE_H
#define PVIO_DEVICE_H

#include <pvio/worker.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct pvio_device;

/*
 * Create a device from @config, the text of a group in libconfig syntax as in
 * pvio.conf(5).  @name is copied; it names the device in messages.  @workers
 * (borrowed, @nr_workers >= 1, must outlive the device) serve its queues in
 * turn; @control runs everything else and may be one of them.
 *
 * -EINVAL for a configuration error, which has been logged with line and key;
 * -ENOENT, -EBUSY, -EACCES ... when a backend could not be opened; -ENOMEM.
 * Next: pvio_device_start().
 */
int pvio_device_create(const char *name, const char *config,
		       struct pvio_worker *control,
		       struct pvio_worker *const workers[],
		       unsigned int nr_workers, struct pvio_device **dev);

/*
 * The same from keys and values, ending with a key of NULL: what a VMM has from
 * its command line needs no quoting.
 *
 *	{ "model", "block" }, { "backend.type", "file" },
 *	{ "backend.path", path }, { "queues", "2" },
 *	{ "transport.type", "pci" }, { NULL, NULL }
 *
 * Errors as above, with the key.
 */
struct pvio_option {
	const char *key;   /* a dot goes into a group */
	const char *value; /* as in pvio.conf(5), without quotes */
};
int pvio_device_create_options(const char *name,
			       const struct pvio_option options[],
			       struct pvio_worker *control,
			       struct pvio_worker *const workers[],
			       unsigned int nr_workers,
			       struct pvio_device **dev);

/* Let the transport take a guest.  0 or -errno (socket busy, ...). */
int pvio_device_start(struct pvio_device *dev);

/*
 * Stop serving: the transport lets the guest go, every request in flight is
 * finished.  When this returns no callback of the device is running and none
 * will run, and to its guest it is not there: of a PCI function only the
 * configuration space answers.  A device may be started again.
 */
void pvio_device_stop(struct pvio_device *dev);

/*
 * Serve nothing for a while, as when the VM is paused: requests in flight are
 * finished and their driver is notified; when this returns the device touches
 * no guest memory until it is resumed.  Registers, status and queues stay as
 * they are (see pvio-pci(3), Threads).
 * 0, or -EBUSY: eight threads are pausing it already.  Idempotent.
 */
int pvio_device_pause(struct pvio_device *dev);
void pvio_device_resume(struct pvio_device *dev);

/* Stop if needed, and free.  NULL is allowed. */
void pvio_device_destroy(struct pvio_device *dev);

/* The name it was created with; valid until the device is destroyed. */
const char *pvio_device_name(const struct pvio_device *dev);

/*
 * Run a command of the model, such as "resize" (argument: bytes, or a number
 * with K, M, G, T; empty to take the backend's size) or "link" ("up", "down").
 * @answer, @size bytes, receives a line of text: a result, or why not.
 * -ENOTSUP for a command the model does not have, -EINVAL for its argument.
 */
int pvio_device_command(struct pvio_device *dev, const char *command,
			const char *argument, char *answer, size_t size);

/*
 * The device's counters as one JSON object, in memory for the caller to
 * free(): state, features and, for every queue, counts (and latency by stage
 * when @with_latency).  -ENOMEM.
 */
int pvio_device_stats(struct pvio_device *dev, bool with_latency, char **json);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
