/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio.c - a virtio device as a PCI function: life, interrupts
 */
#include "virtio.h"

#include "core/barrier.h"
#include "core/config.h"

/* --- interrupts ---------------------------------------------------------- */

void pci_virtio_notify_queue(struct pci_virtio *card, unsigned int queue)
{
	uint16_t vector = pvio_load_once(&card->regs.queue[queue].vector);

	/* Who resets the device wants to hear no more of it. */
	if (unlikely(pvio_load_once(&card->regs.is_resetting)))
		return;
	if (likely(pvio_load_once(&card->pci.msix.is_enabled)))
		pvio_msix_fire(&card->pci.msix, vector);
	else
		pvio_line_raise(&card->pci.intx, PVIO_ISR_QUEUE);
}

void pci_virtio_notify_config(struct pci_virtio *card)
{
	if (card->regs.is_resetting)
		return;
	if (pvio_load_once(&card->pci.msix.is_enabled)) {
		/* Set with MSI-X too, unlike the queues' (4.1.4.5.1). */
		pvio_line_note(&card->pci.intx, PVIO_ISR_CONFIG);
		pvio_msix_fire(&card->pci.msix, card->regs.config_vector);
	} else {
		pvio_line_raise(&card->pci.intx, PVIO_ISR_CONFIG);
	}
}

static void virtio_silence(struct pvio_registers *regs, uint16_t vector)
{
	struct pci_virtio *card =
		pvio_container_of(regs, struct pci_virtio, regs);

	if (vector != PVIO_NO_VECTOR) {
		pvio_msix_forget(&card->pci.msix, vector);
		return;
	}
	(void)pvio_line_acknowledge(&card->pci.intx,
				    PVIO_ISR_QUEUE | PVIO_ISR_CONFIG);
	pvio_msix_forget_all(&card->pci.msix);
}

/* --- state --------------------------------------------------------------- */

static void virtio_reset(struct pvio_pci *pci, pvio_done_fn *done, void *arg)
{
	pvio_registers_reset(&pci_virtio_of(pci)->regs, done, arg);
}

static void virtio_quiesce(struct pvio_pci *pci, pvio_done_fn *done, void *arg)
{
	pvio_device_quiesce(pci_virtio_of(pci)->dev, PVIO_QUIET_TRANSPORT,
			    done, arg);
}

static void virtio_unquiesce(struct pvio_pci *pci)
{
	pvio_device_unquiesce(pci_virtio_of(pci)->dev, PVIO_QUIET_TRANSPORT);
}

static void virtio_broken(struct pvio_pci *pci, const char *why)
{
	pvio_device_break(pci_virtio_of(pci)->dev, why);
}

static void virtio_set_memory(struct pvio_pci *pci, struct pvio_map *map,
			      pvio_done_fn *done, void *arg)
{
	pvio_device_set_memory(pci_virtio_of(pci)->dev, map, done, arg);
}

static void virtio_look(struct pvio_pci *pci)
{
	struct pvio_device *dev = pci_virtio_of(pci)->dev;
	unsigned int i, nr = pvio_device_nr_queues(dev);

	for (i = 0; i < nr; i++)
		if (pvio_device_vq_is_running(dev, i))
			pvio_device_look(dev, i);
}

static const struct pci_card_ops virtio_ops = {
	.bar			= PCI_BAR_VIRTIO,
	.bar_flags		= PCI_BAR_64 | PCI_BAR_PREFETCH,
	.bar_bytes		= PCI_BAR_VIRTIO_BYTES,
	.doorbell_offset	= PCI_NOTIFY_OFFSET,
	.doorbell_bytes		= PCI_NOTIFY_BYTES,
	.put_capabilities	= pci_virtio_put_capabilities,
	.read_config		= pci_virtio_read_config,
	.wrote_config		= pci_virtio_wrote_config,
	.read			= pci_virtio_read,
	.write			= pci_virtio_write,
	.read_fast		= pci_virtio_read_fast,
	.write_fast		= pci_virtio_write_fast,
	.look			= virtio_look,
	.missed			= pci_virtio_missed,
	.reset			= virtio_reset,
	.quiesce		= virtio_quiesce,
	.unquiesce		= virtio_unquiesce,
	.broken			= virtio_broken,
	.set_memory		= virtio_set_memory,
};

/* --- life ---------------------------------------------------------------- */

static void virtio_noted(void *arg, int rc)
{
	(void)arg;
	(void)rc;
}

int pci_virtio_init(struct pci_virtio *card, struct pvio_device *dev,
		    struct pvio_config *cfg)
{
	const struct pci_card_id id = pci_virtio_id(dev);
	unsigned int nr_queues = pvio_device_nr_queues(dev);
	uint64_t vectors = nr_queues + 1;
	int rc;

	card->dev = dev;
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

	rc = pvio_registers_init(&card->regs, dev, (unsigned int)vectors,
				 virtio_silence);
	if (rc < 0)
		return rc;
	rc = pci_init(&card->pci, &virtio_ops, &id, pvio_device_name(dev),
		      pvio_device_control(dev), (unsigned int)vectors);
	if (rc < 0) {
		pvio_registers_fini(&card->regs);
		return rc;
	}
	virtio_quiesce(&card->pci, virtio_noted, NULL);
	return 0;
}

void pci_virtio_fini(struct pci_virtio *card)
{
	pci_fini(&card->pci);
	pvio_registers_fini(&card->regs);
}
