/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pci-common.c - a driver of modern virtio PCI functions: registers
 *
 * The common configuration (virtio 1.4, 4.1.4.3) is accessed by fields, each in
 * its natural width, 64-bit ones as two halves.  Where the device takes its
 * time (reset, queue reset), the register is read until it says so.
 */
#include "pci-impl.h"

#include "core/util.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

/* A device that needs longer to reset is taken for dead. */
#define RESET_TIMEOUT_NS 10000000000ULL
/* Configuration that changes more often while it is read is not readable. */
#define MAX_GENERATIONS  64

static int window_read(struct guest_pci *pci, const struct guest_pci_window *w,
		       uint32_t offset, void *buf, size_t len)
{
	memset(buf, 0, len);
	if (offset > w->length || len > w->length - offset)
		return -EPROTO;
	return pci->access->bar_read(pci->arg, w->bar,
				     (uint64_t)w->offset + offset, buf, len);
}

static int window_write(struct guest_pci *pci, const struct guest_pci_window *w,
			uint32_t offset, const void *buf, size_t len)
{
	if (offset > w->length || len > w->length - offset)
		return -EPROTO;
	return pci->access->bar_write(pci->arg, w->bar,
				      (uint64_t)w->offset + offset, buf, len);
}

static int common_read16(struct guest_pci *pci, uint32_t offset,
			 uint16_t *value)
{
	int rc = window_read(pci, &pci->common, offset, value, 2);

	*value = le16toh(*value);
	return rc;
}

static int common_read32(struct guest_pci *pci, uint32_t offset,
			 uint32_t *value)
{
	int rc = window_read(pci, &pci->common, offset, value, 4);

	*value = le32toh(*value);
	return rc;
}

static int common_write8(struct guest_pci *pci, uint32_t offset, uint8_t value)
{
	return window_write(pci, &pci->common, offset, &value, 1);
}

static int common_write16(struct guest_pci *pci, uint32_t offset,
			  uint16_t value)
{
	value = htole16(value);
	return window_write(pci, &pci->common, offset, &value, 2);
}

static int common_write32(struct guest_pci *pci, uint32_t offset,
			  uint32_t value)
{
	value = htole32(value);
	return window_write(pci, &pci->common, offset, &value, 4);
}

static int common_write64(struct guest_pci *pci, uint32_t offset,
			  uint64_t value)
{
	int rc = common_write32(pci, offset, (uint32_t)value);

	return rc < 0 ? rc
		      : common_write32(pci, offset + 4,
				       (uint32_t)(value >> 32));
}

/* Between two looks at a register: let the device get on, or wait a little. */
static void relax(struct guest_pci *pci)
{
	if (!pci->access->step || !pci->access->step(pci->arg))
		poll(NULL, 0, 1);
}

/* --- status and features -------------------------------------------------- */

int guest_pci_get_status(struct guest_pci *pci, uint8_t *status)
{
	return window_read(pci, &pci->common, VIRTIO_PCI_COMMON_STATUS, status,
			   1);
}

int guest_pci_set_status(struct guest_pci *pci, uint8_t status)
{
	uint64_t end = pvio_now_ns() + RESET_TIMEOUT_NS;
	uint8_t now = 0;
	int rc;

	rc = common_write8(pci, VIRTIO_PCI_COMMON_STATUS, status);
	if (rc < 0 || status)
		return rc;
	memset(pci->features, 0, sizeof(pci->features));
	for (;;) {
		rc = guest_pci_get_status(pci, &now);
		if (rc < 0 || now == 0)
			return rc;
		if (pvio_now_ns() >= end)
			return -ETIMEDOUT;
		relax(pci);
	}
}

int guest_pci_get_features(struct guest_pci *pci, uint64_t bits[2])
{
	uint32_t word[4] = { 0 };
	unsigned int i;
	int rc = 0;

	for (i = 0; i < 4 && rc == 0; i++) {
		rc = common_write32(pci, VIRTIO_PCI_COMMON_DFSELECT, i);
		if (rc == 0)
			rc = common_read32(pci, VIRTIO_PCI_COMMON_DF, &word[i]);
	}
	bits[0] = (uint64_t)word[1] << 32 | word[0];
	bits[1] = (uint64_t)word[3] << 32 | word[2];
	return rc;
}

int guest_pci_set_features(struct guest_pci *pci, const uint64_t bits[2])
{
	unsigned int i;
	int rc = 0;

	for (i = 0; i < 4 && rc == 0; i++) {
		rc = common_write32(pci, VIRTIO_PCI_COMMON_GFSELECT, i);
		if (rc == 0)
			rc = common_write32(
				pci, VIRTIO_PCI_COMMON_GF,
				(uint32_t)(bits[i / 2] >> i % 2 * 32));
	}
	if (rc == 0)
		memcpy(pci->features, bits, sizeof(pci->features));
	return rc;
}

static bool has_feature(const struct guest_pci *pci, unsigned int bit)
{
	return pci->features[bit / 64] >> bit % 64 & 1;
}

/* --- configuration space -------------------------------------------------- */

/* The widest access at @offset for what is left. */
static size_t config_width(size_t offset, size_t len)
{
	return offset % 4 == 0 && len >= 4   ? 4
	       : offset % 2 == 0 && len >= 2 ? 2
					     : 1;
}

int guest_pci_read_config(struct guest_pci *pci, size_t offset, void *buf,
			  size_t len)
{
	uint8_t before = 0, after = 0, *to = buf;
	unsigned int tries;
	size_t at, width;
	int rc;

	/* Past its end there is nothing to access. */
	memset(buf, 0, len);
	if (offset > pci->config.length)
		return 0;
	len = pvio_min(len, pci->config.length - offset);
	for (tries = 0; tries < MAX_GENERATIONS; tries++) {
		rc = window_read(pci, &pci->common,
				 VIRTIO_PCI_COMMON_CFGGENERATION, &before, 1);
		for (at = 0; at < len && rc == 0; at += width) {
			width = config_width(offset + at, len - at);
			rc = window_read(pci, &pci->config,
					 (uint32_t)(offset + at), to + at,
					 width);
		}
		if (rc == 0)
			rc = window_read(pci, &pci->common,
					 VIRTIO_PCI_COMMON_CFGGENERATION,
					 &after, 1);
		if (rc < 0 || before == after)
			return rc;
	}
	return -EAGAIN;
}

int guest_pci_write_config(struct guest_pci *pci, size_t offset,
			   const void *buf, size_t len)
{
	const uint8_t *from = buf;
	size_t at, width;
	int rc = 0;

	if (offset > pci->config.length || len > pci->config.length - offset)
		return -EINVAL;
	for (at = 0; at < len && rc == 0; at += width) {
		width = config_width(offset + at, len - at);
		rc = window_write(pci, &pci->config, (uint32_t)(offset + at),
				  from + at, width);
	}
	return rc;
}

int guest_pci_read_isr(struct guest_pci *pci, uint8_t *isr)
{
	return window_read(pci, &pci->isr, 0, isr, 1);
}

/* --- queues --------------------------------------------------------------- */

int guest_pci_nr_queues(struct guest_pci *pci)
{
	uint16_t nr = 0;
	int rc = common_read16(pci, VIRTIO_PCI_COMMON_NUMQ, &nr);

	return rc < 0 ? rc : nr;
}

static int select_queue(struct guest_pci *pci, unsigned int q)
{
	if (q > UINT16_MAX)
		return -EINVAL;
	return common_write16(pci, VIRTIO_PCI_COMMON_Q_SELECT, (uint16_t)q);
}

int guest_pci_queue_max(struct guest_pci *pci, unsigned int q, uint16_t *size)
{
	int rc = select_queue(pci, q);

	*size = 0;
	return rc < 0 ? rc : common_read16(pci, VIRTIO_PCI_COMMON_Q_SIZE, size);
}

/* Where queue @q's doorbell is (virtio 1.4, 4.1.4.4), and what to write. */
static int note_doorbell(struct guest_pci *pci, unsigned int q)
{
	unsigned int bytes = has_feature(pci, VIRTIO_F_NOTIFICATION_DATA) ? 4
									  : 2;
	uint16_t off = 0, id = (uint16_t)q;
	uint64_t at;
	int rc;

	rc = common_read16(pci, VIRTIO_PCI_COMMON_Q_NOFF, &off);
	if (rc == 0 && has_feature(pci, VIRTIO_F_NOTIF_CONFIG_DATA))
		rc = common_read16(pci, VIRTIO_PCI_COMMON_Q_NDATA, &id);
	if (rc < 0)
		return rc;
	at = (uint64_t)off * pci->notify_multiplier;
	if (q >= pci->nr_doorbells || at + bytes > pci->notify.length)
		return -EPROTO;
	pci->doorbell[q] = pci->notify.offset + at;
	pci->doorbell_id[q] = id;
	return 0;
}

/* Vector registers read back NO_VECTOR when there are no resources. */
static int set_vector_register(struct guest_pci *pci, uint32_t offset,
			       uint16_t vector)
{
	uint16_t now = 0;
	int rc;

	rc = common_write16(pci, offset, vector);
	if (rc == 0)
		rc = common_read16(pci, offset, &now);
	if (rc < 0)
		return rc;
	return now == vector ? 0 : -EINVAL;
}

int guest_pci_set_config_vector(struct guest_pci *pci, uint16_t vector)
{
	return set_vector_register(pci, VIRTIO_PCI_COMMON_MSIX, vector);
}

int guest_pci_start_queue(struct guest_pci *pci, unsigned int q,
			  const struct guest_pci_queue *queue)
{
	uint16_t max = 0, enabled = 0, size = 0;
	int rc;

	rc = guest_pci_queue_max(pci, q, &max);
	if (rc < 0)
		return rc;
	if (queue->size == 0 || queue->size > max)
		return -EINVAL;
	rc = common_write16(pci, VIRTIO_PCI_COMMON_Q_SIZE, queue->size);
	if (rc == 0)
		rc = common_read16(pci, VIRTIO_PCI_COMMON_Q_SIZE, &size);
	if (rc == 0 && size != queue->size)
		return -EINVAL;
	if (rc == 0 && pci->nr_vectors)
		rc = set_vector_register(pci, VIRTIO_PCI_COMMON_Q_MSIX,
					 queue->vector);
	if (rc == 0)
		rc = common_write64(pci, VIRTIO_PCI_COMMON_Q_DESCLO,
				    queue->desc);
	if (rc == 0)
		rc = common_write64(pci, VIRTIO_PCI_COMMON_Q_AVAILLO,
				    queue->driver);
	if (rc == 0)
		rc = common_write64(pci, VIRTIO_PCI_COMMON_Q_USEDLO,
				    queue->device);
	if (rc == 0)
		rc = note_doorbell(pci, q);
	if (rc == 0)
		rc = common_write16(pci, VIRTIO_PCI_COMMON_Q_ENABLE, 1);
	if (rc == 0)
		rc = common_read16(pci, VIRTIO_PCI_COMMON_Q_ENABLE, &enabled);
	return rc < 0 ? rc : enabled == 1 ? 0 : -EINVAL;
}

int guest_pci_reset_queue(struct guest_pci *pci, unsigned int q)
{
	uint64_t end = pvio_now_ns() + RESET_TIMEOUT_NS;
	uint16_t busy = 1, enabled = 1;
	int rc;

	if (!has_feature(pci, VIRTIO_F_RING_RESET))
		return -ENOTSUP;
	rc = select_queue(pci, q);
	if (rc == 0)
		rc = common_write16(pci, VIRTIO_PCI_COMMON_Q_RESET, 1);
	while (rc == 0) {
		rc = common_read16(pci, VIRTIO_PCI_COMMON_Q_RESET, &busy);
		if (rc == 0)
			rc = common_read16(pci, VIRTIO_PCI_COMMON_Q_ENABLE,
					   &enabled);
		if (rc < 0 || (busy == 0 && enabled == 0))
			return rc;
		if (pvio_now_ns() >= end)
			return -ETIMEDOUT;
		relax(pci);
	}
	return rc;
}

/* --- doorbells ------------------------------------------------------------ */

/* What to write (virtio 1.4, 4.1.5.2): bytes of it. */
static inline size_t doorbell_word(const struct guest_pci *pci, unsigned int q,
				   uint16_t next, uint32_t *word)
{
	if (has_feature(pci, VIRTIO_F_NOTIFICATION_DATA)) {
		*word = htole32((uint32_t)next << 16 | pci->doorbell_id[q]);
		return 4;
	}
	/* Little-endian: its first two bytes. */
	*word = htole32(pci->doorbell_id[q]);
	return 2;
}

int guest_pci_kick(struct guest_pci *pci, unsigned int q, uint16_t next)
{
	uint32_t word;
	size_t bytes = doorbell_word(pci, q, next, &word);

	return pci->access->bar_write(pci->arg, pci->notify.bar,
				      pci->doorbell[q], &word, bytes);
}

int guest_pci_find_doorbell(struct guest_pci *pci, unsigned int q,
			    struct guest_pci_doorbell *doorbell)
{
	*doorbell = (struct guest_pci_doorbell){ .fd = -1 };
	if (!pci->access->find_doorbell)
		return -ENOTSUP;
	return pci->access->find_doorbell(pci->arg, q, pci->notify.bar,
					  pci->doorbell[q], doorbell);
}

void guest_pci_ring_mapped(struct guest_pci *pci, unsigned int q, uint16_t next,
			   const struct guest_pci_doorbell *doorbell)
{
	uint32_t word;

	if (doorbell_word(pci, q, next, &word) == 4)
		*(volatile uint32_t *)doorbell->mapped = word;
	else
		*(volatile uint16_t *)doorbell->mapped =
			htole16(pci->doorbell_id[q]);
}
