/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pci.c - the transport of a program that puts the function on its own bus
 *
 *	a VMM's thread                       control worker
 *	config, BAR   ---- pvio_device_call: one after the other ---> config.c,
 *	                                                       virtio-bar.c
 *	doorbell, ISR ---- at once, on the calling thread
 *	ioeventfd     ---- the queue's worker
 *
 * It can do what PCI can: an interrupt for every queue, per-queue reset, memory
 * that comes and goes while queues run.  What a guest's accesses mean is in
 * config.c and virtio-bar.c, which also serve a client of vfio-user; here is
 * what is special to callers in this process.
 */
#include "virtio.h"

#include "transports/registers/access.h"
#include "transports/registers/doorbells.h"

#include <errno.h>
#include <stdlib.h>

struct pci_transport {
	struct pci_virtio card;
	struct pvio_accesses accesses;
	struct pvio_doorbells doorbells;
};

/* Those that a VMM has are of this transport. */
static struct pci_transport *transport_of(struct pvio_pci *pci)
{
	return pvio_container_of(pci, struct pci_transport, card.pci);
}

/* --- accesses ------------------------------------------------------------ */

struct pci_access {
	struct pvio_access access;
	struct pvio_pci *pci;
	unsigned int bar;
	uint64_t offset;
	void *to;         /* of a read */
	const void *from; /* of a write */
	size_t len;
};

static struct pci_access *pci_access_of(struct pvio_access *access)
{
	return pvio_container_of(access, struct pci_access, access);
}

static void access_make(struct pci_access *access)
{
	(void)pvio_access_make(&transport_of(access->pci)->accesses,
			       &access->access);
}

static void run_config_read(struct pvio_access *access)
{
	struct pci_access *a = pci_access_of(access);

	pci_config_read(a->pci, a->offset, a->to, a->len);
	pvio_access_done(access, 0);
}

void pvio_pci_config_read(struct pvio_pci *pci, size_t offset, void *buf,
			  size_t len)
{
	struct pci_access access = {
		.pci = pci,
		.access = { .run = run_config_read, .is_read = true },
		.offset = offset,
		.to = buf,
		.len = len,
	};

	access_make(&access);
}

static void run_config_write(struct pvio_access *access)
{
	struct pci_access *a = pci_access_of(access);

	pci_config_write(a->pci, a->offset, a->from, a->len, pvio_access_done,
			 access);
}

void pvio_pci_config_write(struct pvio_pci *pci, size_t offset, const void *buf,
			   size_t len)
{
	struct pci_access access = {
		.pci = pci,
		.access.run = run_config_write,
		.offset = offset,
		.from = buf,
		.len = len,
	};

	access_make(&access);
}

uint64_t pvio_pci_bar_size(const struct pvio_pci *pci, unsigned int bar)
{
	return pci_bar_size(pci, bar);
}

static void run_bar_read(struct pvio_access *access)
{
	struct pci_access *a = pci_access_of(access);

	pci_bar_read(a->pci, a->bar, a->offset, a->to, a->len);
	pvio_access_done(access, 0);
}

void pvio_pci_bar_read(struct pvio_pci *pci, unsigned int bar, uint64_t offset,
		       void *buf, size_t len)
{
	struct pci_access access = {
		.pci = pci,
		.access = { .run = run_bar_read, .is_read = true },
		.bar = bar,
		.offset = offset,
		.to = buf,
		.len = len,
	};

	if (!pci_bar_read_fast(pci, bar, offset, buf, len))
		access_make(&access);
}

static void run_bar_write(struct pvio_access *access)
{
	struct pci_access *a = pci_access_of(access);

	pci_bar_write(a->pci, a->bar, a->offset, a->from, a->len,
		      pvio_access_done, access);
}

void pvio_pci_bar_write(struct pvio_pci *pci, unsigned int bar, uint64_t offset,
			const void *buf, size_t len)
{
	struct pci_access access = {
		.pci = pci,
		.access.run = run_bar_write,
		.bar = bar,
		.offset = offset,
		.from = buf,
		.len = len,
	};

	if (!pci_bar_write_fast(pci, bar, offset, buf, len))
		access_make(&access);
}

static void run_reset(struct pvio_access *access)
{
	struct pci_access *a = pci_access_of(access);

	pci_reset(a->pci, pvio_access_done, access);
}

void pvio_pci_reset(struct pvio_pci *pci)
{
	struct pci_access access = { .access.run = run_reset, .pci = pci };

	access_make(&access);
}

/* --- doorbells ----------------------------------------------------------- */

int pvio_pci_doorbell(struct pvio_pci *pci, unsigned int queue,
		      struct pvio_doorbell *doorbell)
{
	int fd = pvio_doorbells_fd(&transport_of(pci)->doorbells, queue);

	if (fd < 0)
		return fd;
	*doorbell = (struct pvio_doorbell){
		.bar = PCI_BAR_VIRTIO,
		.offset = PCI_NOTIFY_OFFSET + queue * PCI_NOTIFY_MULTIPLIER,
		.fd = fd,
	};
	return 0;
}

/* --- interrupts ---------------------------------------------------------- */

int pvio_pci_set_host(struct pvio_pci *pci, const struct pvio_pci_host *host,
		      void *arg)
{
	if (!pci->is_stopped)
		return -EBUSY;
	pci->host = *host;
	pci->host_arg = arg;
	pci->intx.set = host->intx;
	pci->intx.arg = arg;
	return 0;
}

unsigned int pvio_pci_nr_vectors(const struct pvio_pci *pci)
{
	return pci->msix.nr;
}

int pvio_pci_get_vector(struct pvio_pci *pci, unsigned int vector,
			struct pvio_pci_vector *now)
{
	if (vector >= pci->msix.nr)
		return -EINVAL;
	pvio_msix_get(&pci->msix, vector, now);
	return 0;
}

int pvio_pci_set_vector_fd(struct pvio_pci *pci, unsigned int vector, int fd)
{
	return pvio_msix_set_fd(&pci->msix, vector, fd);
}

struct pci_intx_call {
	struct pvio_access access;
	struct pvio_pci *pci;
	int trigger, resample;
};

static void run_intx(struct pvio_access *access)
{
	struct pci_intx_call *call =
		pvio_container_of(access, struct pci_intx_call, access);

	pvio_access_done(access,
			 pvio_line_set_fds(&call->pci->intx, call->trigger,
					   call->resample));
}

int pvio_pci_set_intx_fds(struct pvio_pci *pci, int trigger, int resample)
{
	struct pci_intx_call call = {
		.access.run = run_intx,
		.pci = pci,
		.trigger = trigger,
		.resample = resample,
	};

	return pvio_access_make(&transport_of(pci)->accesses, &call.access);
}

/* --- life ---------------------------------------------------------------- */

static int transport_attach(struct pvio_device *dev, struct pvio_config *cfg,
			    void **transport)
{
	struct pci_transport *t = malloc(sizeof(*t));
	int rc;

	if (!t)
		return -ENOMEM;
	pvio_accesses_init(&t->accesses, dev);
	rc = pvio_doorbells_init(&t->doorbells, &t->accesses);
	if (rc < 0)
		goto free_transport;
	rc = pci_virtio_init(&t->card, dev, cfg);
	if (rc < 0)
		goto fini_doorbells;
	t->card.pci.is_stopped = true;
	*transport = t;
	return 0;

fini_doorbells:
	pvio_doorbells_fini(&t->doorbells);
free_transport:
	free(t);
	return rc;
}

static void transport_detach(void *transport)
{
	struct pci_transport *t = transport;

	pci_virtio_fini(&t->card);
	pvio_doorbells_fini(&t->doorbells);
	free(t);
}

static int transport_start(void *transport)
{
	struct pci_transport *t = transport;

	pvio_doorbells_watch(&t->doorbells);
	t->card.pci.is_stopped = false;
	return 0;
}

static void transport_stop(void *transport, pvio_done_fn *done, void *arg)
{
	struct pci_transport *t = transport;

	t->card.pci.is_stopped = true;
	pci_reset(&t->card.pci, done, arg);
}

static void transport_notify_queue(void *transport, unsigned int queue)
{
	struct pci_transport *t = transport;

	pci_virtio_notify_queue(&t->card, queue);
}

static void transport_notify_config(void *transport)
{
	struct pci_transport *t = transport;

	pci_virtio_notify_config(&t->card);
}

static void transport_describe(void *transport, char *text, size_t size)
{
	struct pci_transport *t = transport;

	pci_describe(&t->card.pci, text, size);
}

static const struct pvio_transport_ops pci_ops = {
	.abi		= PVIO_PLUGIN_ABI,
	.name		= "pci",
	.features	= { PCI_FEATURES },
	.attach		= transport_attach,
	.detach		= transport_detach,
	.start		= transport_start,
	.stop		= transport_stop,
	.notify_queue	= transport_notify_queue,
	.notify_config	= transport_notify_config,
	.describe	= transport_describe,
};

struct pvio_pci *pvio_pci_of(struct pvio_device *dev)
{
	struct pci_transport *t = pvio_device_transport(dev, &pci_ops);

	return t ? &t->card.pci : NULL;
}

PVIO_PLUGIN(transport, pci, pci_ops);
