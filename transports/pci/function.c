/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * function.c - a PCI function: life, BARs
 *
 * Whatever is accessed that no BAR has, or while the function is not there,
 * reads as ones and is dropped when written.
 */
#include "pci.h"

#include "core/barrier.h"
#include "core/memory.h"

#include <stdio.h>

/* --- BARs ---------------------------------------------------------------- */

uint64_t pci_bar_size(const struct pvio_pci *pci, unsigned int bar)
{
	if (bar == PCI_BAR_MSIX)
		return pvio_msix_bar_size(&pci->msix);
	if (bar == pci->ops->bar)
		return pci->ops->bar_bytes;
	return bar == pci->window.bar ? pci->window.bytes : 0;
}

static bool bar_answers(const struct pvio_pci *pci, unsigned int bar,
			uint64_t offset, size_t len)
{
	return len > 0 && pvio_range_ok(offset, len, pci_bar_size(pci, bar)) &&
	       !pci->is_stopped && !pci->is_resetting;
}

static bool bar_is_cards(const struct pvio_pci *pci, unsigned int bar,
			 uint64_t offset, size_t len)
{
	return bar == pci->ops->bar &&
	       pvio_range_ok(offset, len, pci->ops->bar_bytes);
}

bool pci_bar_write_fast(struct pvio_pci *pci, unsigned int bar,
			uint64_t offset, const void *buf, size_t len)
{
	return bar_is_cards(pci, bar, offset, len) && pci->ops->write_fast &&
	       pci->ops->write_fast(pci, offset, buf, len);
}

bool pci_bar_read_fast(struct pvio_pci *pci, unsigned int bar, uint64_t offset,
		       void *buf, size_t len)
{
	return bar_is_cards(pci, bar, offset, len) && pci->ops->read_fast &&
	       pci->ops->read_fast(pci, offset, buf, len);
}

void pci_bar_read(struct pvio_pci *pci, unsigned int bar, uint64_t offset,
		  void *buf, size_t len)
{
	memset(buf, 0xff, len);
	if (!bar_answers(pci, bar, offset, len))
		return;
	if (bar == PCI_BAR_MSIX)
		pvio_msix_read(&pci->msix, offset, buf, len);
	else if (bar == pci->window.bar)
		pci_window_read(pci, offset, buf, len);
	else if (!pci_bar_read_fast(pci, bar, offset, buf, len))
		pci->ops->read(pci, offset, buf, len);
}

void pci_bar_write(struct pvio_pci *pci, unsigned int bar, uint64_t offset,
		   const void *buf, size_t len, pvio_done_fn *done, void *arg)
{
	if (bar_answers(pci, bar, offset, len) &&
	    !pci_bar_write_fast(pci, bar, offset, buf, len)) {
		if (bar == pci->ops->bar) {
			pci->ops->write(pci, offset, buf, len, done, arg);
			return;
		}
		if (bar == PCI_BAR_MSIX)
			pvio_msix_write(&pci->msix, offset, buf, len);
		else
			pci_window_write(pci, offset, buf, len);
	}
	done(arg, 0);
}

/* --- life ---------------------------------------------------------------- */

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

int pci_init(struct pvio_pci *pci, const struct pci_card_ops *ops,
	     const struct pci_card_id *id, const char *name,
	     struct pvio_worker *control, unsigned int nr_vectors)
{
	int rc;

	memset(pci, 0, sizeof(*pci));
	pci->ops = ops;
	pci->id = *id;
	pci->name = name;
	pci->control = control;
	rc = pvio_msix_init(&pci->msix, nr_vectors, &pci->host, &pci->host_arg);
	if (rc < 0)
		return rc;
	rc = pvio_line_init(&pci->intx, control);
	if (rc < 0) {
		pvio_msix_fini(&pci->msix);
		return rc;
	}
	pci->msix.name = pci->intx.name = name;
	pci_config_init(pci);
	/* As after a reset: it is no bus master, and its card is quiet. */
	pci->is_quiesced = true;
	return 0;
}

void pci_fini(struct pvio_pci *pci)
{
	pvio_mapping_put(pci->window_mapping);
	pvio_line_fini(&pci->intx);
	pvio_msix_fini(&pci->msix);
}
