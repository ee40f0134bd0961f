/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * window.c - a BAR that is a range of a file
 *
 * Whoever shows the function lets the guest map the file, and then sees nothing
 * of what it does there.  What comes as an access all the same is made here:
 * aligned ones in one piece, as a CPU makes them, since somebody on the other
 * side of the file may be looking.
 */
#include "pci.h"

#include "core/memory.h"

#include <errno.h>
#include <sys/mman.h>

#define WINDOW_PAGE_BYTES 4096

/* Two BARs of 32 bits, none of them taken; a power of two, in pages. */
static bool window_makes_sense(const struct pci_card_ops *ops,
			       const struct pci_card_window *w)
{
	unsigned int last = ops->bar + (ops->bar_flags & PCI_BAR_64 ? 1 : 0);

	return w->bar > PCI_BAR_MSIX && w->bar < PVIO_PCI_NR_BARS - 1 &&
	       (w->bar > last || w->bar + 1 < ops->bar) &&
	       w->bytes >= WINDOW_PAGE_BYTES &&
	       (w->bytes & (w->bytes - 1)) == 0 &&
	       (w->offset & (WINDOW_PAGE_BYTES - 1)) == 0;
}

int pci_set_window(struct pvio_pci *pci, const struct pci_card_window *window)
{
	struct pvio_mapping *mapping = NULL;
	int rc = 0;

	if (window->bytes > 0)
		rc = window_makes_sense(pci->ops, window)
			     ? pvio_mapping_create(window->fd, window->offset,
						   window->bytes,
						   PROT_READ | PROT_WRITE,
						   &mapping)
			     : -EINVAL;
	if (rc < 0)
		return rc;
	pvio_mapping_put(pci->window_mapping);
	pci->window_mapping = mapping;
	pci->window = *window;
	pci_config_init(pci);
	return 0;
}

static struct iovec window_iov(const struct pvio_pci *pci)
{
	return (struct iovec){
		pvio_mapping_host(pci->window_mapping),
		pvio_mapping_size(pci->window_mapping),
	};
}

/* Does the CPU have one instruction for it? */
static bool window_is_word(uint64_t offset, size_t len)
{
	return (len == 1 || len == 2 || len == 4 || len == 8) &&
	       (offset & (len - 1)) == 0;
}

void pci_window_read(const struct pvio_pci *pci, uint64_t offset, void *buf,
		     size_t len)
{
	const struct iovec iov = window_iov(pci);
	union {
		uint8_t u8;
		uint16_t u16;
		uint32_t u32;
		uint64_t u64;
	} word;
	const void *at = (const uint8_t *)pvio_mapping_host(
				 pci->window_mapping) + offset;

	if (!window_is_word(offset, len)) {
		(void)pvio_iov_get(&iov, 1, offset, buf, len);
		return;
	}
	if (len == 1)
		word.u8 = pvio_load_once((const uint8_t *)at);
	else if (len == 2)
		word.u16 = pvio_load_once((const uint16_t *)at);
	else if (len == 4)
		word.u32 = pvio_load_once((const uint32_t *)at);
	else
		word.u64 = pvio_load_once((const uint64_t *)at);
	memcpy(buf, &word, len);
}

void pci_window_write(struct pvio_pci *pci, uint64_t offset, const void *buf,
		      size_t len)
{
	const struct iovec iov = window_iov(pci);
	union {
		uint8_t u8;
		uint16_t u16;
		uint32_t u32;
		uint64_t u64;
	} word;
	void *at = (uint8_t *)pvio_mapping_host(pci->window_mapping) + offset;

	if (!window_is_word(offset, len)) {
		(void)pvio_iov_put(&iov, 1, offset, buf, len);
		return;
	}
	memcpy(&word, buf, len);
	if (len == 1)
		pvio_store_once((uint8_t *)at, word.u8);
	else if (len == 2)
		pvio_store_once((uint16_t *)at, word.u16);
	else if (len == 4)
		pvio_store_once((uint32_t *)at, word.u32);
	else
		pvio_store_once((uint64_t *)at, word.u64);
}
