/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device-pci.c - a device that is a virtio PCI function
 *
 * Registers are guest/pci.c's; here are the interrupts, which a VMM delivers by
 * eventfds as it would to KVM's irqfd:
 *
 *	MSI-X	vector 0	configuration changed: our own eventfd
 *		vector 1 + q	queue q: its call eventfd, read by its waiter
 *	INTx	one eventfd	whoever waits reads the ISR, and passes the
 *				interrupt on to every queue's call eventfd
 *
 * The device's NEEDS_RESET is looked for when it says that its configuration
 * changed (virtio 1.4, 2.1.2): no register is read while nothing happens.
 */
#include "device-pci.h"

#include "device-ops.h"

#include "core/barrier.h"
#include "core/util.h"
#include "core/virtio.h"
#include "core/worker.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define ISR_QUEUE  0x1
#define ISR_CONFIG 0x2

#define CONFIG_VECTOR 0
#define QUEUE_VECTOR  1 /* and up */

struct guest_function {
	struct guest_device gd; /* first */
	struct guest_pci pci;
	struct guest_pci_options options;
	bool has_msix;
	bool is_broken;  /* atomic: NEEDS_RESET, or it is gone */
	int irq_fd;      /* configuration changes, or INTx */
	int resample_fd; /* INTx, or -1 */
	int epoll_fd;    /* readable when step has something to do */
	bool is_started[GUEST_MAX_QUEUES];
	struct guest_pci_doorbell doorbell[GUEST_MAX_QUEUES];
	pthread_mutex_t step_lock; /* waiters of several queues step */
};

static struct guest_function *function_of(struct guest_device *gd)
{
	return pvio_container_of(gd, struct guest_function, gd);
}

struct guest_pci *guest_device_pci(struct guest_device *gd)
{
	return &function_of(gd)->pci;
}

/* --- registers ------------------------------------------------------------ */

static int pci_get_status(struct guest_device *gd, uint8_t *status)
{
	return guest_pci_get_status(&function_of(gd)->pci, status);
}

/* Vectors are unmapped by a reset (virtio 1.4, 4.1.5.1.2): map ours again. */
static int function_map_config(struct guest_function *f)
{
	int rc;

	if (!f->has_msix)
		return 0;
	rc = guest_pci_set_vector(&f->pci, CONFIG_VECTOR, f->irq_fd);
	return rc < 0 ? rc
		      : guest_pci_set_config_vector(&f->pci, CONFIG_VECTOR);
}

static int pci_set_status(struct guest_device *gd, uint8_t status)
{
	struct guest_function *f = function_of(gd);
	unsigned int q;
	int rc;

	rc = guest_pci_set_status(&f->pci, status);
	if (rc < 0 || status)
		return rc;
	for (q = 0; q < GUEST_MAX_QUEUES && rc == 0; q++) {
		if (f->is_started[q] && f->has_msix)
			rc = guest_pci_set_vector(&f->pci, QUEUE_VECTOR + q,
						  -1);
		f->is_started[q] = false;
	}
	pvio_store_once(&f->is_broken, false);
	return rc < 0 ? rc : function_map_config(f);
}

static int pci_get_features(struct guest_device *gd, uint64_t bits[2])
{
	return guest_pci_get_features(&function_of(gd)->pci, bits);
}

static int pci_set_features(struct guest_device *gd, const uint64_t bits[2])
{
	return guest_pci_set_features(&function_of(gd)->pci, bits);
}

static int pci_read_config(struct guest_device *gd, size_t offset, void *buf,
			   size_t len)
{
	return guest_pci_read_config(&function_of(gd)->pci, offset, buf, len);
}

static int pci_write_config(struct guest_device *gd, size_t offset,
			    const void *buf, size_t len)
{
	return guest_pci_write_config(&function_of(gd)->pci, offset, buf, len);
}

static int pci_nr_queues(struct guest_device *gd)
{
	int nr = guest_pci_nr_queues(&function_of(gd)->pci);

	return nr < 0 ? nr : (int)pvio_min(nr, GUEST_MAX_QUEUES);
}

/* --- queues --------------------------------------------------------------- */

static int pci_start_queue(struct guest_device *gd, unsigned int q)
{
	struct guest_function *f = function_of(gd);
	const struct guest_ring *ring = gd->queue[q].ring;
	struct guest_pci_queue queue = {
		.size = guest_ring_size(ring),
		.desc = guest_ring_desc(ring),
		.driver = guest_ring_driver(ring),
		.device = guest_ring_device(ring),
		.vector = GUEST_PCI_NO_VECTOR,
	};
	int rc = 0;

	if (f->has_msix) {
		queue.vector = (uint16_t)(QUEUE_VECTOR + q);
		rc = guest_pci_set_vector(&f->pci, queue.vector,
					  gd->queue[q].call_fd);
	}
	if (rc == 0)
		rc = guest_pci_start_queue(&f->pci, q, &queue);
	if (rc < 0)
		return rc;
	f->is_started[q] = true;
	rc = f->options.bar_kick
		     ? -ENOTSUP
		     : guest_pci_find_doorbell(&f->pci, q, &f->doorbell[q]);
	if (rc == -ENOTSUP) {
		f->doorbell[q] = (struct guest_pci_doorbell){ .fd = -1 };
		rc = 0;
	}
	return rc;
}

static int pci_reset_queue(struct guest_device *gd, unsigned int q)
{
	struct guest_function *f = function_of(gd);
	int rc;

	rc = guest_pci_reset_queue(&f->pci, q);
	if (rc < 0)
		return rc;
	f->is_started[q] = false;
	return f->has_msix ? guest_pci_set_vector(&f->pci, QUEUE_VECTOR + q, -1)
			   : 0;
}

static void pci_kick(struct guest_device *gd, unsigned int q)
{
	struct guest_function *f = function_of(gd);
	const struct guest_pci_doorbell *doorbell = &f->doorbell[q];
	const struct guest_ring *ring = gd->queue[q].ring;
	const uint64_t one = 1;
	ssize_t n;

	if (doorbell->mapped) {
		guest_pci_ring_mapped(&f->pci, q, guest_ring_position(ring),
				      doorbell);
	} else if (doorbell->fd >= 0) {
		n = write(doorbell->fd, &one, sizeof(one));
		(void)n; /* EAGAIN: kicked more often than anyone can count */
	} else if (guest_pci_kick(&f->pci, q, guest_ring_position(ring)) < 0) {
		pvio_store_once(&f->is_broken, true);
	}
}

/* --- interrupts ----------------------------------------------------------- */

static void function_config_changed(struct guest_function *f)
{
	uint8_t status = 0;

	pvio_store_once(&f->gd.config_changes, f->gd.config_changes + 1);
	if (guest_pci_get_status(&f->pci, &status) < 0 ||
	    status & VIRTIO_CONFIG_S_NEEDS_RESET)
		pvio_store_once(&f->is_broken, true);
}

/* The handler of the line: the ISR says why, and reading it lowers the line. */
static void function_line(struct guest_function *f)
{
	const uint64_t one = 1;
	uint8_t isr = 0;
	ssize_t n;

	if (guest_pci_read_isr(&f->pci, &isr) < 0)
		pvio_store_once(&f->is_broken, true);
	if (isr & ISR_QUEUE)
		guest_device_interrupt(&f->gd);
	if (isr & ISR_CONFIG)
		function_config_changed(f);
	n = write(f->resample_fd, &one, sizeof(one));
	(void)n;
}

static bool pci_step(struct guest_device *gd)
{
	struct guest_function *f = function_of(gd);
	const struct guest_pci_access *access = f->pci.access;
	uint64_t count;
	bool did;

	did = access->step && access->step(f->pci.arg);
	/* Another waiter is doing it. */
	if (pthread_mutex_trylock(&f->step_lock) != 0)
		return did;
	if (read(f->irq_fd, &count, sizeof(count)) > 0) {
		did = true;
		if (f->has_msix)
			function_config_changed(f);
		else
			function_line(f);
	}
	if (access->is_gone && access->is_gone(f->pci.arg))
		pvio_store_once(&f->is_broken, true);
	pthread_mutex_unlock(&f->step_lock);
	return did;
}

static int pci_step_fd(struct guest_device *gd)
{
	struct guest_function *f = function_of(gd);

	/* A worker that the caller steps has no fd to say when. */
	return f->options.step && pvio_worker_is_mine(f->options.step)
		       ? -1
		       : f->epoll_fd;
}

static bool pci_is_broken(struct guest_device *gd)
{
	return pvio_load_once(&function_of(gd)->is_broken);
}

/* --- open and close ------------------------------------------------------- */

static int watch(struct guest_function *f, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLRDHUP };

	return epoll_ctl(f->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

static void function_free(struct guest_function *f)
{
	if (f->epoll_fd >= 0)
		close(f->epoll_fd);
	if (f->irq_fd >= 0)
		close(f->irq_fd);
	if (f->resample_fd >= 0)
		close(f->resample_fd);
	pthread_mutex_destroy(&f->step_lock);
	guest_device_fini(&f->gd);
	free(f);
}

static void pci_close(struct guest_device *gd)
{
	struct guest_function *f = function_of(gd);
	const struct guest_pci_access *access = f->pci.access;
	void *arg = f->pci.arg;

	if (pci_set_status(gd, 0) == 0) {
		if (f->has_msix) {
			guest_pci_set_vector(&f->pci, CONFIG_VECTOR, -1);
			guest_pci_enable_msix(&f->pci, false);
		} else {
			guest_pci_enable_intx(&f->pci, -1, -1);
		}
	}
	guest_pci_fini(&f->pci);
	if (access->close)
		access->close(arg);
	function_free(f);
}

static const struct guest_device_ops pci_ops = {
	.close		= pci_close,
	.get_status	= pci_get_status,
	.set_status	= pci_set_status,
	.get_features	= pci_get_features,
	.set_features	= pci_set_features,
	.read_config	= pci_read_config,
	.write_config	= pci_write_config,
	.nr_queues	= pci_nr_queues,
	.start_queue	= pci_start_queue,
	.reset_queue	= pci_reset_queue,
	.kick		= pci_kick,
	.step		= pci_step,
	.is_broken	= pci_is_broken,
	.step_fd	= pci_step_fd,
};

static int function_open(struct guest_function *f)
{
	const struct guest_pci_access *access = f->pci.access;
	int rc = 0, fd;

	f->irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	f->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (!f->has_msix)
		f->resample_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (f->irq_fd < 0 || f->epoll_fd < 0 ||
	    (!f->has_msix && f->resample_fd < 0))
		return -errno;
	rc = watch(f, f->irq_fd);
	fd = access->step_fd ? access->step_fd(f->pci.arg) : -1;
	if (rc == 0 && fd >= 0)
		rc = watch(f, fd);
	/* A driver resets before it looks at anything else. */
	if (rc == 0)
		rc = guest_pci_set_status(&f->pci, 0);
	if (rc == 0)
		rc = f->has_msix ? guest_pci_enable_msix(&f->pci, true)
				 : guest_pci_enable_intx(&f->pci, f->irq_fd,
							 f->resample_fd);
	return rc < 0 ? rc : function_map_config(f);
}

int guest_device_open_pci_access(const struct guest_pci_access *access,
				 void *arg, struct guest_memory *mem,
				 const struct guest_pci_options *options,
				 struct guest_device **gd)
{
	struct guest_function *f;
	int rc;

	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	guest_device_init(&f->gd, &pci_ops, mem);
	f->options = *options;
	f->irq_fd = f->resample_fd = f->epoll_fd = -1;
	pthread_mutex_init(&f->step_lock, NULL);
	rc = guest_pci_init(&f->pci, access, arg);
	if (rc < 0)
		goto free_f;
	/* One vector for each queue, and one more, or none of them. */
	f->has_msix = !options->intx && f->pci.nr_vectors > f->pci.nr_doorbells;
	rc = function_open(f);
	if (rc < 0)
		goto fini_pci;
	*gd = &f->gd;
	return 0;

fini_pci:
	guest_pci_fini(&f->pci);
free_f:
	function_free(f);
	return rc;
}
