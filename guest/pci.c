/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pci.c - a driver of modern virtio PCI functions: finding and enabling
 *
 * The order is a kernel's: size the BARs while memory decoding is off, give
 * them addresses, walk the capabilities, then switch decoding and bus mastering
 * on (virtio 1.4, 4.1.5.1).  The function may be somebody else's and hostile:
 * what its capabilities say is checked before it is used.
 *
 * Registers of the common configuration are in pci-common.c.
 */
#include "pci-impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Where firmware would put BARs: below 4 GiB, and far above all memory. */
#define LOW_BASE  0xe0000000ULL
#define HIGH_BASE 0x380000000000ULL

/* Capabilities fit between the header and 256, 4 bytes each at least. */
#define MAX_CAPABILITIES 48

enum config_offset {
	CFG_VENDOR = 0x00,
	CFG_DEVICE = 0x02,
	CFG_COMMAND = 0x04,
	CFG_STATUS = 0x06,
	CFG_REVISION = 0x08,
	CFG_HEADER_TYPE = 0x0e,
	CFG_BAR = 0x10,
	CFG_CAPABILITIES = 0x34,
};

#define COMMAND_MEMORY       0x0002
#define COMMAND_MASTER       0x0004
#define COMMAND_INTX_DISABLE 0x0400
#define STATUS_CAPABILITIES  0x0010

#define BAR_IO      0x1
#define BAR_TYPE    0x6
#define BAR_TYPE_64 0x4

#define CAP_VENDOR 0x09
#define CAP_MSIX   0x11

/* MSI-X capability (PCI 3.0, 6.8.2), from its start */
#define MSIX_CONTROL         2
#define MSIX_TABLE           4
#define MSIX_CONTROL_ENABLE  0x8000
#define MSIX_CONTROL_NR_MASK 0x07ff
#define MSIX_BIR             0x7
#define MSIX_ENTRY_BYTES     16
#define MSIX_ENTRY_MASKED    0x1
/* Where x86 processors take messages. */
#define MSIX_ADDRESS         0xfee00000u

/* --- configuration space -------------------------------------------------- */

static int config_read8(struct guest_pci *pci, size_t offset, uint8_t *value)
{
	return pci->access->config_read(pci->arg, offset, value, 1);
}

static int config_read16(struct guest_pci *pci, size_t offset, uint16_t *value)
{
	int rc = pci->access->config_read(pci->arg, offset, value, 2);

	*value = le16toh(*value);
	return rc;
}

static int config_read32(struct guest_pci *pci, size_t offset, uint32_t *value)
{
	int rc = pci->access->config_read(pci->arg, offset, value, 4);

	*value = le32toh(*value);
	return rc;
}

static int config_write16(struct guest_pci *pci, size_t offset, uint16_t value)
{
	value = htole16(value);
	return pci->access->config_write(pci->arg, offset, &value, 2);
}

static int config_write32(struct guest_pci *pci, size_t offset, uint32_t value)
{
	value = htole32(value);
	return pci->access->config_write(pci->arg, offset, &value, 4);
}

static int command_change(struct guest_pci *pci, uint16_t set, uint16_t clear)
{
	uint16_t command = 0;
	int rc;

	rc = config_read16(pci, CFG_COMMAND, &command);
	if (rc < 0)
		return rc;
	return config_write16(pci, CFG_COMMAND,
			      (uint16_t)((command | set) & ~clear));
}

/* --- BARs ----------------------------------------------------------------- */

/* What address bits register @offset has: write ones, and look. */
static int bar_probe(struct guest_pci *pci, size_t offset, uint32_t *bits)
{
	uint32_t before = 0;
	int rc;

	rc = config_read32(pci, offset, &before);
	if (rc == 0)
		rc = config_write32(pci, offset, UINT32_MAX);
	if (rc == 0)
		rc = config_read32(pci, offset, bits);
	if (rc == 0)
		rc = config_write32(pci, offset, before);
	return rc;
}

/* Size and place BAR @i.  Returns how many registers it takes, or -errno. */
static int bar_place(struct guest_pci *pci, unsigned int i, uint64_t *low,
		     uint64_t *high)
{
	size_t offset = CFG_BAR + 4 * i;
	uint32_t bits = 0, upper = UINT32_MAX;
	uint64_t size, *next;
	bool is_64;
	int rc;

	rc = bar_probe(pci, offset, &bits);
	if (rc < 0)
		return rc;
	/* I/O ports are for legacy drivers. */
	if (bits == 0 || bits & BAR_IO)
		return 1;
	is_64 = (bits & BAR_TYPE) == BAR_TYPE_64;
	if (is_64 && i + 1 == GUEST_PCI_NR_BARS)
		return -EPROTO;
	if (is_64)
		rc = bar_probe(pci, offset + 4, &upper);
	if (rc < 0)
		return rc;

	size = ~((uint64_t)upper << 32 | (bits & ~0xfu)) + 1;
	if (size < 16 || size & (size - 1) || size > UINT32_MAX)
		return -EPROTO;
	next = is_64 ? high : low;
	*next = (*next + size - 1) & ~(size - 1);
	pci->bar_size[i] = size;
	pci->bar_address[i] = *next;
	*next += size;
	rc = config_write32(pci, offset, (uint32_t)pci->bar_address[i]);
	if (rc == 0 && is_64)
		rc = config_write32(pci, offset + 4,
				    (uint32_t)(pci->bar_address[i] >> 32));
	return rc < 0 ? rc : is_64 ? 2 : 1;
}

static int place_bars(struct guest_pci *pci)
{
	uint64_t low = LOW_BASE, high = HIGH_BASE;
	unsigned int i;
	int rc;

	for (i = 0; i < GUEST_PCI_NR_BARS; i += (unsigned int)rc) {
		rc = bar_place(pci, i, &low, &high);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* --- capabilities --------------------------------------------------------- */

/* Is the window within its BAR?  Capabilities that say less are not ours. */
static bool window_is_good(const struct guest_pci *pci,
			   const struct guest_pci_window *w)
{
	return w->bar < GUEST_PCI_NR_BARS && w->length > 0 &&
	       (uint64_t)w->offset + w->length <= pci->bar_size[w->bar];
}

/* A structure of ours: the first of its type counts (virtio 1.4, 4.1.4.1). */
static int note_virtio_cap(struct guest_pci *pci, size_t cap, uint8_t len)
{
	struct guest_pci_window w = { .is_found = true }, *to = NULL;
	uint8_t type = 0;
	int rc;

	if (len < VIRTIO_PCI_NOTIFY_CAP_MULT)
		return 0;
	rc = config_read8(pci, cap + VIRTIO_PCI_CAP_CFG_TYPE, &type);
	if (rc == 0)
		rc = config_read8(pci, cap + VIRTIO_PCI_CAP_BAR, &w.bar);
	if (rc == 0)
		rc = config_read32(pci, cap + VIRTIO_PCI_CAP_OFFSET, &w.offset);
	if (rc == 0)
		rc = config_read32(pci, cap + VIRTIO_PCI_CAP_LENGTH, &w.length);
	if (rc < 0)
		return rc;

	switch (type) {
	case VIRTIO_PCI_CAP_COMMON_CFG:
		to = &pci->common;
		break;
	case VIRTIO_PCI_CAP_NOTIFY_CFG:
		to = &pci->notify;
		break;
	case VIRTIO_PCI_CAP_ISR_CFG:
		to = &pci->isr;
		break;
	case VIRTIO_PCI_CAP_DEVICE_CFG:
		to = &pci->config;
		break;
	}
	if (!to || to->is_found || !window_is_good(pci, &w))
		return 0;
	if (to == &pci->notify) {
		if (len < VIRTIO_PCI_NOTIFY_CAP_MULT + 4)
			return 0;
		rc = config_read32(pci, cap + VIRTIO_PCI_NOTIFY_CAP_MULT,
				   &pci->notify_multiplier);
	}
	*to = w;
	return rc;
}

static int note_msix_cap(struct guest_pci *pci, size_t cap)
{
	struct guest_pci_window w = { .is_found = true };
	uint16_t control = 0;
	uint32_t table = 0;
	int rc;

	rc = config_read16(pci, cap + MSIX_CONTROL, &control);
	if (rc == 0)
		rc = config_read32(pci, cap + MSIX_TABLE, &table);
	if (rc < 0)
		return rc;
	w.bar = table & MSIX_BIR;
	w.offset = table & ~MSIX_BIR;
	w.length = ((control & MSIX_CONTROL_NR_MASK) + 1u) * MSIX_ENTRY_BYTES;
	if (pci->msix_table.is_found || !window_is_good(pci, &w))
		return 0;
	pci->msix_table = w;
	pci->msix_cap = (uint8_t)cap;
	pci->nr_vectors = w.length / MSIX_ENTRY_BYTES;
	return 0;
}

static int walk_capabilities(struct guest_pci *pci)
{
	uint8_t cap = 0, id = 0, next = 0, len = 0;
	uint16_t status = 0;
	unsigned int left;
	int rc;

	rc = config_read16(pci, CFG_STATUS, &status);
	if (rc == 0 && !(status & STATUS_CAPABILITIES))
		return -EPROTO;
	if (rc == 0)
		rc = config_read8(pci, CFG_CAPABILITIES, &cap);
	/* A list that loops ends after as many as there can be. */
	for (left = MAX_CAPABILITIES; rc == 0 && left > 0 && cap >= 0x40;
	     left--, cap = next) {
		cap &= 0xfc;
		rc = config_read8(pci, cap, &id);
		if (rc == 0)
			rc = config_read8(pci, cap + VIRTIO_PCI_CAP_NEXT,
					  &next);
		if (rc == 0 && id == CAP_MSIX)
			rc = note_msix_cap(pci, cap);
		if (rc < 0 || id != CAP_VENDOR)
			continue;
		rc = config_read8(pci, cap + VIRTIO_PCI_CAP_LEN, &len);
		if (rc == 0)
			rc = note_virtio_cap(pci, cap, len);
	}
	if (rc < 0)
		return rc;
	return pci->common.is_found && pci->notify.is_found && pci->isr.is_found
		       ? 0
		       : -EPROTO;
}

/* A modern or transitional virtio function?  (virtio 1.4, 4.1.2) */
static int identify(struct guest_pci *pci)
{
	uint8_t header = 0, revision = 0;
	int rc;

	rc = config_read16(pci, CFG_VENDOR, &pci->vendor);
	if (rc == 0)
		rc = config_read16(pci, CFG_DEVICE, &pci->device);
	if (rc == 0)
		rc = config_read8(pci, CFG_REVISION, &revision);
	if (rc == 0)
		rc = config_read8(pci, CFG_HEADER_TYPE, &header);
	if (rc < 0)
		return rc;
	if (pci->vendor != 0x1af4 || pci->device < 0x1000 ||
	    pci->device > 0x107f || header & 0x7f)
		return -EPROTO;
	/* Revision 0 with these ids is a legacy device's. */
	return pci->device >= 0x1040 && revision == 0 ? -EPROTO : 0;
}

int guest_pci_init(struct guest_pci *pci, const struct guest_pci_access *access,
		   void *arg)
{
	int nr, rc;

	memset(pci, 0, sizeof(*pci));
	pci->access = access;
	pci->arg = arg;
	rc = identify(pci);
	if (rc == 0)
		rc = command_change(pci, 0, COMMAND_MEMORY | COMMAND_MASTER);
	if (rc == 0)
		rc = place_bars(pci);
	if (rc == 0)
		rc = walk_capabilities(pci);
	if (rc == 0)
		rc = command_change(pci, COMMAND_MEMORY | COMMAND_MASTER, 0);
	if (rc < 0)
		return rc;

	nr = guest_pci_nr_queues(pci);
	if (nr < 0)
		return nr;
	pci->nr_doorbells = (unsigned int)nr;
	pci->doorbell = calloc((size_t)nr + 1, sizeof(*pci->doorbell));
	pci->doorbell_id = calloc((size_t)nr + 1, sizeof(*pci->doorbell_id));
	if (!pci->doorbell || !pci->doorbell_id) {
		guest_pci_fini(pci);
		return -ENOMEM;
	}
	return 0;
}

void guest_pci_fini(struct guest_pci *pci)
{
	if (!pci->access)
		return;
	(void)command_change(pci, 0, COMMAND_MEMORY | COMMAND_MASTER);
	free(pci->doorbell);
	free(pci->doorbell_id);
	memset(pci, 0, sizeof(*pci));
}

/* --- interrupts ----------------------------------------------------------- */

int guest_pci_enable_intx(struct guest_pci *pci, int trigger, int resample)
{
	int rc;

	rc = pci->access->set_intx_fds(pci->arg, trigger, resample);
	if (rc < 0)
		return rc;
	return trigger < 0 ? command_change(pci, COMMAND_INTX_DISABLE, 0)
			   : command_change(pci, 0, COMMAND_INTX_DISABLE);
}

int guest_pci_enable_msix(struct guest_pci *pci, bool enable)
{
	unsigned int vector;
	uint16_t control = 0;
	int rc = 0;

	if (!pci->nr_vectors)
		return enable ? -ENOTSUP : 0;
	for (vector = 0; enable && vector < pci->nr_vectors && rc == 0;
	     vector++)
		rc = guest_pci_set_vector(pci, vector, -1);
	if (rc == 0 && enable)
		rc = command_change(pci, COMMAND_INTX_DISABLE, 0);
	if (rc == 0)
		rc = config_read16(pci, pci->msix_cap + MSIX_CONTROL, &control);
	if (rc < 0)
		return rc;
	control = (uint16_t)(enable ? control | MSIX_CONTROL_ENABLE
				    : control & ~MSIX_CONTROL_ENABLE);
	return config_write16(pci, pci->msix_cap + MSIX_CONTROL, control);
}

/*
 * The eventfd is there before the entry is unmasked, and goes after it is
 * masked: the same order a VMM with a table of its own sees (vfio-user).
 */
int guest_pci_set_vector(struct guest_pci *pci, unsigned int vector, int fd)
{
	const struct guest_pci_window *table = &pci->msix_table;
	uint32_t entry[4] = {
		htole32(MSIX_ADDRESS),
		0,
		htole32(vector),
		htole32(fd < 0 ? MSIX_ENTRY_MASKED : 0),
	};
	/* Address and data may not change while it is unmasked. */
	unsigned int i = fd < 0 ? 3 : 0;
	int rc = 0;

	if (vector >= pci->nr_vectors)
		return -EINVAL;
	if (fd >= 0)
		rc = pci->access->set_vector_fd(pci->arg, vector, fd);
	for (; i < 4 && rc == 0; i++)
		rc = pci->access->bar_write(
			pci->arg, table->bar,
			table->offset + vector * MSIX_ENTRY_BYTES + 4 * i,
			&entry[i], 4);
	if (fd < 0 && rc == 0)
		rc = pci->access->set_vector_fd(pci->arg, vector, -1);
	return rc;
}
