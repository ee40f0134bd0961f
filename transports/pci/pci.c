/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pci.c - the transport of a program that puts the function on its own bus
 *
 *	a VMM's thread                       control worker
 *	config, BAR   ---- pvio_device_call: one after the other ---> config.c,
 *	                                                              bar.c
 *	doorbell, ISR ---- at once, on the calling thread
 *	ioeventfd     ---- the queue's worker
 *
 * It can do what PCI can: an interrupt for every queue, per-queue reset, memory
 * that comes and goes while queues run.  What a guest's accesses mean is in
 * config.c and bar.c, which also serve a client of vfio-user; here is what is
 * special to callers in this process, and what all functions share.
 */
#include "pci.h"

#include "core/barrier.h"
#include "core/config.h"
#include "core/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- what all PCI functions share ---------------------------------------- */

void pci_notify_queue(struct pvio_pci *pci, unsigned int queue)
{
	uint16_t vector = pvio_load_once(&pci->regs.queue[queue].vector);

	/* Who resets the device wants to hear no more of it. */
	if (unlikely(pvio_load_once(&pci->regs.is_resetting)))
		return;
	if (likely(pvio_load_once(&pci->msix.is_enabled)))
		pvio_msix_fire(&pci->msix, vector);
	else
		pvio_line_raise(&pci->intx, PVIO_ISR_QUEUE);
}

void pci_notify_config(struct pvio_pci *pci)
{
	if (pci->regs.is_resetting)
		return;
	if (pvio_load_once(&pci->msix.is_enabled)) {
		/* Set with MSI-X too, unlike the queues' (4.1.4.5.1). */
		pvio_line_note(&pci->intx, PVIO_ISR_CONFIG);
		pvio_msix_fire(&pci->msix, pci->regs.config_vector);
	} else {
		pvio_line_raise(&pci->intx, PVIO_ISR_CONFIG);
	}
}

static void pci_silence(struct pvio_registers *regs, uint16_t vector)
{
	struct pvio_pci *pci = pvio_container_of(regs, struct pvio_pci, regs);

	if (vector != PVIO_NO_VECTOR) {
		pvio_msix_forget(&pci->msix, vector);
		return;
	}
	(void)pvio_line_acknowledge(&pci->intx,
				    PVIO_ISR_QUEUE | PVIO_ISR_CONFIG);
	pvio_msix_forget_all(&pci->msix);
}

void pci_describe(struct pvio_pci *pci, char *text, size_t size)
{
	unsigned long long fired = pvio_msix_fired(&pci->msix);
	unsigned long long asserted = pvio_load_once(&pci->intx.asserted);

	snprintf(text, size,
		 "\"msix\": %s, \"vectors\": %u, \"msix_sent\": %llu, "
		 "\"intx_asserted\": %llu, \"bus_master\": %s",
		 pvio_load_once(&pci->msix.is_enabled) ? "true" : "false",
		 pci->msix.nr, fired, asserted,
		 pci->is_quiesced ? "false" : "true");
}

static void pci_noted(void *arg, int rc)
{
	(void)arg;
	(void)rc;
}

int pci_init(struct pvio_pci *pci, struct pvio_device *dev,
	     struct pvio_config *cfg)
{
	unsigned int nr_queues = pvio_device_nr_queues(dev);
	uint64_t vectors = nr_queues + 1;
	int rc;

	memset(pci, 0, sizeof(*pci));
	pci->dev = dev;
	pvio_accesses_init(&pci->accesses, dev);
	/* 0: INTx, and neither capability nor BAR of MSI-X. */
	rc = pvio_config_uint_opt(cfg, "vectors", 0, PVIO_MSIX_MAX_VECTORS,
				  &vectors);
	if (rc < 0)
		return rc;
	/* Each has its place on the notify page. */
	if (nr_queues * PCI_NOTIFY_MULTIPLIER > PCI_NOTIFY_BYTES ||
	    pvio_device_config_size(dev) >
		    PCI_NOTIFY_OFFSET - PCI_DEVICE_OFFSET)
		return pvio_config_error(cfg, "type",
					 "more than a PCI function can show");

	rc = pvio_doorbells_init(&pci->doorbells, &pci->accesses);
	if (rc < 0)
		return rc;
	rc = pvio_registers_init(&pci->regs, dev, (unsigned int)vectors,
				 pci_silence);
	if (rc < 0)
		goto fini_doorbells;
	rc = pvio_msix_init(&pci->msix, (unsigned int)vectors, &pci->host,
			    &pci->host_arg);
	if (rc < 0)
		goto fini_registers;
	rc = pvio_line_init(&pci->intx, pvio_device_control(dev));
	if (rc < 0)
		goto fini_msix;
	pci->msix.name = pci->intx.name = pvio_device_name(dev);
	pci_config_init(pci);
	/* As after a reset: it is no bus master. */
	pci->is_quiesced = true;
	pvio_device_quiesce(dev, PVIO_QUIET_TRANSPORT, pci_noted, NULL);
	return 0;

fini_msix:
	pvio_msix_fini(&pci->msix);
fini_registers:
	pvio_registers_fini(&pci->regs);
fini_doorbells:
	pvio_doorbells_fini(&pci->doorbells);
	return rc;
}

void pci_fini(struct pvio_pci *pci)
{
	pvio_line_fini(&pci->intx);
	pvio_msix_fini(&pci->msix);
	pvio_doorbells_fini(&pci->doorbells);
	pvio_registers_fini(&pci->regs);
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
	(void)pvio_access_make(&access->pci->accesses, &access->access);
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

	if (!pci_bar_write_fast(pci, bar, offset, len))
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
	int fd = pvio_doorbells_fd(&pci->doorbells, queue);

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

	return pvio_access_make(&pci->accesses, &call.access);
}

/* --- life ---------------------------------------------------------------- */

static int transport_attach(struct pvio_device *dev, struct pvio_config *cfg,
			    void **transport)
{
	struct pvio_pci *pci = malloc(sizeof(*pci));
	int rc;

	if (!pci)
		return -ENOMEM;
	rc = pci_init(pci, dev, cfg);
	if (rc < 0) {
		free(pci);
		return rc;
	}
	pci->is_stopped = true;
	*transport = pci;
	return 0;
}

static void transport_detach(void *transport)
{
	pci_fini(transport);
	free(transport);
}

static int transport_start(void *transport)
{
	struct pvio_pci *pci = transport;

	pvio_doorbells_watch(&pci->doorbells);
	pci->is_stopped = false;
	return 0;
}

static void transport_stop(void *transport, pvio_done_fn *done, void *arg)
{
	struct pvio_pci *pci = transport;

	pci->is_stopped = true;
	pci_reset(pci, done, arg);
}

static void transport_notify_queue(void *transport, unsigned int queue)
{
	pci_notify_queue(transport, queue);
}

static void transport_notify_config(void *transport)
{
	pci_notify_config(transport);
}

static void transport_describe(void *transport, char *text, size_t size)
{
	pci_describe(transport, text, size);
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
	return pvio_device_transport(dev, &pci_ops);
}

PVIO_PLUGIN(transport, pci, pci_ops);
