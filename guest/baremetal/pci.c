/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pci.c - a virtio PCI function: configuration space, BARs, interrupts
 *
 *	0xcf8 -> config space -> vendor capabilities -> BAR n + offset
 *	                      -> MSI-X capability    -> table
 *
 * Bus 0, function 0 only.  BARs that nobody has given an address get one.
 */
#include "virtio.h"

#include "core/util.h"

#include <linux/virtio_pci.h>

#define CONFIG_ADDRESS_PORT 0xcf8
#define CONFIG_DATA_PORT    0xcfc
#define CONFIG_ENABLE       0x80000000u
#define SLOTS               32
#define BARS                6

/* Configuration space, 32 bits at a time. */
enum {
	CONFIG_ID = 0x00,
	CONFIG_COMMAND = 0x04, /* status in the upper half */
	CONFIG_BAR = 0x10,
	CONFIG_CAPABILITY = 0x34,
	CONFIG_INTERRUPT = 0x3c,
};
#define COMMAND_MEMORY    (1u << 1)
#define COMMAND_MASTER    (1u << 2)
#define COMMAND_NO_INTX   (1u << 10)
#define BAR_IO            1u
#define BAR_64            4u
#define BAR_FLAGS         0xfu
#define CAPABILITY_VENDOR 0x09
#define CAPABILITY_MSIX   0x11
#define MSIX_ENABLE       (1u << 31) /* with the capability's first word */
#define MSIX_ENTRY_BYTES  16
#define ISR_QUEUE         0x1

#define VIRTIO_VENDOR 0x1af4
#define VIRTIO_DEVICE 0x1040 /* plus the type */

struct bare_pci {
	struct bare_device dev;
	unsigned int slot;
	uint64_t bar[BARS];
	volatile uint8_t *common, *isr, *config, *notify;
	uint32_t notify_multiplier;
	volatile uint8_t *table; /* of MSI-X */
	unsigned int msix;       /* its capability, 0: none */
	unsigned int nr_vectors; /* given out */
};

static struct bare_pci *pci_of(struct bare_device *dev)
{
	return pvio_container_of(dev, struct bare_pci, dev);
}

/* --- configuration space ------------------------------------------------- */

static uint32_t config_read(unsigned int slot, unsigned int offset)
{
	bare_out32(CONFIG_ADDRESS_PORT, CONFIG_ENABLE | slot << 11 | offset);
	return bare_in32(CONFIG_DATA_PORT);
}

static void config_write(unsigned int slot, unsigned int offset, uint32_t value)
{
	bare_out32(CONFIG_ADDRESS_PORT, CONFIG_ENABLE | slot << 11 | offset);
	bare_out32(CONFIG_DATA_PORT, value);
}

/* What BAR @i decodes, from what of all ones sticks. */
static uint64_t bar_size(unsigned int slot, unsigned int i, bool is_64)
{
	unsigned int at = CONFIG_BAR + 4 * i;
	uint64_t mask;

	config_write(slot, at, 0xffffffffu);
	mask = config_read(slot, at) & ~BAR_FLAGS;
	mask |= 0xffffffff00000000u;
	if (is_64) {
		config_write(slot, at + 4, 0xffffffffu);
		mask = (uint32_t)mask | (uint64_t)config_read(slot, at + 4)
						<< 32;
	}
	return ~mask + 1;
}

/* Give BAR @i an address out of the VMM's window, aligned to its size. */
static uint64_t bar_place(unsigned int slot, unsigned int i, bool is_64,
			  const struct boot_info *boot)
{
	static uint64_t next;
	uint64_t size = bar_size(slot, i, is_64);

	if (next == 0)
		next = boot->pci_window;
	next = (next + size - 1) & ~(size - 1);
	if (next + size > boot->pci_window + boot->pci_window_bytes)
		bare_fail("no room for BAR %u of slot %u: %lx bytes", i, slot,
			  size);
	config_write(slot, CONFIG_BAR + 4 * i, (uint32_t)next);
	if (is_64)
		config_write(slot, CONFIG_BAR + 4 * i + 4,
			     (uint32_t)(next >> 32));
	next += size;
	return next - size;
}

static void bars_read(struct bare_pci *pci, const struct boot_info *boot)
{
	unsigned int i, step;

	for (i = 0; i < BARS; i += step) {
		unsigned int at = CONFIG_BAR + 4 * i;
		uint32_t low = config_read(pci->slot, at);
		uint64_t address = low & ~BAR_FLAGS;

		step = low & BAR_64 ? 2 : 1;
		if (low & BAR_IO)
			continue;
		if (step == 2)
			address |= (uint64_t)config_read(pci->slot, at + 4)
				   << 32;
		if (address == 0) {
			/* No address, or no BAR. */
			config_write(pci->slot, at, 0xffffffffu);
			if (config_read(pci->slot, at) == 0)
				continue;
			address = bar_place(pci->slot, i, step == 2, boot);
		}
		pci->bar[i] = address;
	}
}

/* --- capabilities -------------------------------------------------------- */

static volatile uint8_t *bar_at(const struct bare_pci *pci, unsigned int bar,
				uint32_t offset)
{
	if (bar >= BARS || pci->bar[bar] == 0)
		bare_fail("slot %u: a capability in BAR %u", pci->slot, bar);
	return (volatile uint8_t *)(uintptr_t)(pci->bar[bar] + offset);
}

static void capability_virtio(struct bare_pci *pci, unsigned int at,
			      unsigned int type)
{
	uint32_t bar = config_read(pci->slot, at + 4) & 0xff;
	uint32_t offset = config_read(pci->slot, at + 8);

	switch (type) {
	case VIRTIO_PCI_CAP_COMMON_CFG:
		pci->common = bar_at(pci, bar, offset);
		break;
	case VIRTIO_PCI_CAP_NOTIFY_CFG:
		pci->notify = bar_at(pci, bar, offset);
		pci->notify_multiplier = config_read(pci->slot, at + 16);
		break;
	case VIRTIO_PCI_CAP_ISR_CFG:
		pci->isr = bar_at(pci, bar, offset);
		break;
	case VIRTIO_PCI_CAP_DEVICE_CFG:
		pci->config = bar_at(pci, bar, offset);
		break;
	}
}

static void capabilities_walk(struct bare_pci *pci)
{
	unsigned int at = config_read(pci->slot, CONFIG_CAPABILITY) & 0xfc;

	while (at) {
		uint32_t first = config_read(pci->slot, at);

		if ((first & 0xff) == CAPABILITY_VENDOR) {
			capability_virtio(pci, at, first >> 24);
		} else if ((first & 0xff) == CAPABILITY_MSIX) {
			uint32_t table = config_read(pci->slot, at + 4);

			pci->msix = at;
			pci->table = bar_at(pci, table & 7, table & ~7u);
		}
		at = first >> 8 & 0xfc;
	}
	if (!pci->common || !pci->notify || !pci->isr || !pci->config)
		bare_fail("slot %u lacks virtio capabilities", pci->slot);
}

/* --- interrupts ---------------------------------------------------------- */

static void pci_line_handle(void *arg)
{
	struct bare_pci *pci = arg;

	/* Reading it takes the line down (virtio 1.4, 4.1.4.5). */
	if (bare_read8(pci->isr) & ISR_QUEUE)
		pci->dev.line_interrupts++;
}

static void pci_queue_handle(void *arg)
{
	struct bare_queue *queue = arg;

	queue->interrupts++;
}

/* The next entry of the MSI-X table calls @handler; which it is. */
static uint16_t msix_attach(struct bare_pci *pci, struct bare_handler *handler)
{
	volatile uint8_t *entry = pci->table +
				  MSIX_ENTRY_BYTES * pci->nr_vectors;
	uint64_t address;
	uint32_t data;

	bare_message_attach(handler, &address, &data);
	bare_write32(entry, (uint32_t)address);
	bare_write32(entry + 4, (uint32_t)(address >> 32));
	bare_write32(entry + 8, data);
	bare_write32(entry + 12, 0);
	return (uint16_t)pci->nr_vectors++;
}

static void interrupts_init(struct bare_pci *pci, bool by_line)
{
	uint32_t command = COMMAND_MEMORY | COMMAND_MASTER;

	pci->dev.by_line = by_line;
	if (by_line) {
		pci->dev.handler = (struct bare_handler){
			.handle = pci_line_handle, .arg = pci
		};
		bare_line_attach(&pci->dev.handler,
				 config_read(pci->slot, CONFIG_INTERRUPT) &
					 0xff);
		config_write(pci->slot, CONFIG_COMMAND, command);
		return;
	}
	if (!pci->msix)
		bare_fail("slot %u has no MSI-X", pci->slot);
	config_write(pci->slot, CONFIG_COMMAND, command | COMMAND_NO_INTX);
	config_write(pci->slot, pci->msix,
		     config_read(pci->slot, pci->msix) | MSIX_ENABLE);
}

/* --- the registers of the common area ------------------------------------ */

static uint8_t pci_get_status(struct bare_device *dev)
{
	return bare_read8(pci_of(dev)->common + VIRTIO_PCI_COMMON_STATUS);
}

static void pci_set_status(struct bare_device *dev, uint8_t status)
{
	bare_write8(pci_of(dev)->common + VIRTIO_PCI_COMMON_STATUS, status);
}

static uint32_t pci_get_features(struct bare_device *dev, unsigned int word)
{
	volatile uint8_t *common = pci_of(dev)->common;

	bare_write32(common + VIRTIO_PCI_COMMON_DFSELECT, word);
	return bare_read32(common + VIRTIO_PCI_COMMON_DF);
}

static void pci_set_features(struct bare_device *dev, unsigned int word,
			     uint32_t bits)
{
	volatile uint8_t *common = pci_of(dev)->common;

	bare_write32(common + VIRTIO_PCI_COMMON_GFSELECT, word);
	bare_write32(common + VIRTIO_PCI_COMMON_GF, bits);
}

static uint8_t pci_read_config8(struct bare_device *dev, unsigned int offset)
{
	return bare_read8(pci_of(dev)->config + offset);
}

static uint32_t pci_read_config32(struct bare_device *dev, unsigned int offset)
{
	return bare_read32(pci_of(dev)->config + offset);
}

static uint16_t pci_queue_max(struct bare_device *dev, unsigned int q)
{
	volatile uint8_t *common = pci_of(dev)->common;

	if (q >= bare_read16(common + VIRTIO_PCI_COMMON_NUMQ))
		return 0;
	bare_write16(common + VIRTIO_PCI_COMMON_Q_SELECT, (uint16_t)q);
	return bare_read16(common + VIRTIO_PCI_COMMON_Q_SIZE);
}

static void pci_write_address(volatile uint8_t *at, uint64_t address)
{
	bare_write32(at, (uint32_t)address);
	bare_write32(at + 4, (uint32_t)(address >> 32));
}

static void pci_start_queue(struct bare_device *dev, struct bare_queue *queue)
{
	struct bare_pci *pci = pci_of(dev);
	volatile uint8_t *common = pci->common;
	struct guest_ring *ring = queue->ring;

	bare_write16(common + VIRTIO_PCI_COMMON_Q_SELECT,
		     (uint16_t)queue->index);
	bare_write16(common + VIRTIO_PCI_COMMON_Q_SIZE, guest_ring_size(ring));
	pci_write_address(common + VIRTIO_PCI_COMMON_Q_DESCLO,
			  guest_ring_desc(ring));
	pci_write_address(common + VIRTIO_PCI_COMMON_Q_AVAILLO,
			  guest_ring_driver(ring));
	pci_write_address(common + VIRTIO_PCI_COMMON_Q_USEDLO,
			  guest_ring_device(ring));
	if (!dev->by_line) {
		uint16_t vector;

		queue->handler = (struct bare_handler){
			.handle = pci_queue_handle, .arg = queue
		};
		vector = msix_attach(pci, &queue->handler);
		bare_write16(common + VIRTIO_PCI_COMMON_Q_MSIX, vector);
		if (bare_read16(common + VIRTIO_PCI_COMMON_Q_MSIX) != vector)
			bare_fail("queue %u gets no vector", queue->index);
	}
	queue->doorbell = pci->notify +
			  bare_read16(common + VIRTIO_PCI_COMMON_Q_NOFF) *
				  pci->notify_multiplier;
	bare_write16(common + VIRTIO_PCI_COMMON_Q_ENABLE, 1);
}

static void pci_kick(struct bare_queue *queue)
{
	bare_write16(queue->doorbell, (uint16_t)queue->index);
}

static const struct bare_device_ops pci_ops = {
	.get_status = pci_get_status,
	.set_status = pci_set_status,
	.get_features = pci_get_features,
	.set_features = pci_set_features,
	.read_config8 = pci_read_config8,
	.read_config32 = pci_read_config32,
	.queue_max = pci_queue_max,
	.start_queue = pci_start_queue,
	.kick = pci_kick,
};

struct bare_device *bare_pci_find(const struct boot_info *boot, unsigned int id)
{
	uint32_t wanted = VIRTIO_VENDOR | (VIRTIO_DEVICE + id) << 16;
	struct bare_pci *pci;
	unsigned int slot;

	for (slot = 0; slot < SLOTS; slot++) {
		if (config_read(slot, CONFIG_ID) == wanted)
			break;
	}
	if (slot == SLOTS)
		return NULL;
	pci = bare_alloc(sizeof(*pci), 16);
	pci->dev.ops = &pci_ops;
	pci->slot = slot;
	bars_read(pci, boot);
	capabilities_walk(pci);
	interrupts_init(pci, bare_option_is(bare_option(boot, "irq"), "line"));
	return &pci->dev;
}
