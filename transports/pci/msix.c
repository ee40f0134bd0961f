/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * msix.c - MSI-X: table, pending bits, delivery
 *
 * Theory of operation.  A message is lost to a driver in one of two ways: it
 * is fired while masked and nobody remembers, or it is sent where the vector
 * pointed before.  Against the first, everything that cannot be delivered now
 * pends: masked, MSI-X off, nobody to deliver to.  Who removes the hindrance
 * changes the state first and then looks for what pends, under the vector's
 * lock, so that a vector being fired at the same time sees the new state or is
 * seen pending:
 *
 *	fire	lock  masked?  pend, or deliver  unlock
 *	unmask	            tell host, unmask, lock  pends?  deliver  unlock
 *	mask	mask, lock unlock, tell host
 *
 * Against the second, the host hears of a new route before the vector is
 * unmasked, and of the mask after the last delivery: while it changes the
 * route behind an eventfd, nobody writes there.
 */
#include "transports/pci/msix.h"

#include "core/barrier.h"
#include "core/eventfd.h"
#include "core/log.h"
#include "core/stats.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MSIX_ENTRY_BYTES 16
#define MSIX_BAR_BYTES   0x10000

/* Words of a table entry (PCI Express 6.0, 7.7.2). */
enum msix_word {
	MSIX_ADDRESS,
	MSIX_ADDRESS_HIGH,
	MSIX_DATA,
	MSIX_CONTROL,
	MSIX_NR_WORDS
};
#define MSIX_CONTROL_MASKED 0x1

static bool vector_is_masked(const struct pvio_msix *msix,
			     const struct pvio_msix_vector *v)
{
	if (msix->is_external)
		return v->fd < 0;
	return v->is_masked || !pvio_load_once(&msix->is_open);
}

/* --- delivery ------------------------------------------------------------- */

static pvio_cold void vector_drop_fd(struct pvio_msix *msix, unsigned int i)
{
	struct pvio_msix_vector *v = &msix->vector[i];

	pvio_log(PVIO_LOG_WARNING, "%s: MSI-X %u: eventfd blocks: let go",
		 msix->name, i);
	close(v->fd);
	v->fd = -1;
}

/* Deliver, or pend.  With the lock. */
static void vector_send(struct pvio_msix *msix, unsigned int i)
{
	struct pvio_msix_vector *v = &msix->vector[i];
	bool is_sent = false;

	if (vector_is_masked(msix, v)) {
		pvio_store_once(&v->is_pending, true);
		return;
	}
	if (v->fd >= 0) {
		is_sent = pvio_eventfd_signal(v->fd) != -EINTR;
		if (unlikely(!is_sent))
			vector_drop_fd(msix, i);
	} else if (msix->host->msix) {
		msix->host->msix(*msix->host_arg, i, v->address, v->data);
		is_sent = true;
	}
	pvio_store_once(&v->is_pending, !is_sent);
	if (likely(is_sent))
		pvio_count(&v->fired, 1);
}

static void vector_send_pending(struct pvio_msix *msix, unsigned int i)
{
	struct pvio_msix_vector *v = &msix->vector[i];

	pthread_mutex_lock(&v->lock);
	if (v->is_pending)
		vector_send(msix, i);
	pthread_mutex_unlock(&v->lock);
}

void pvio_msix_fire(struct pvio_msix *msix, unsigned int vector)
{
	if (vector >= msix->nr)
		return;
	pthread_mutex_lock(&msix->vector[vector].lock);
	vector_send(msix, vector);
	pthread_mutex_unlock(&msix->vector[vector].lock);
}

int pvio_msix_set_fd(struct pvio_msix *msix, unsigned int vector, int fd)
{
	struct pvio_msix_vector *v;
	int own = -1, old;

	if (vector >= msix->nr)
		return -EINVAL;
	if (fd >= 0) {
		own = pvio_eventfd_dup(fd);
		if (own < 0)
			return own;
	}
	v = &msix->vector[vector];
	pthread_mutex_lock(&v->lock);
	old = v->fd;
	v->fd = own;
	if (v->is_pending)
		vector_send(msix, vector);
	pthread_mutex_unlock(&v->lock);
	if (old >= 0)
		close(old);
	return 0;
}

bool pvio_msix_has_fd(struct pvio_msix *msix, unsigned int vector)
{
	struct pvio_msix_vector *v = &msix->vector[vector];
	bool has_fd;

	pthread_mutex_lock(&v->lock);
	has_fd = v->fd >= 0;
	pthread_mutex_unlock(&v->lock);
	return has_fd;
}

/* --- masks and the host -------------------------------------------------- */

static void msix_tell(struct pvio_msix *msix, unsigned int vector,
		      const struct pvio_pci_vector *now)
{
	if (msix->host->msix_changed && !msix->is_external)
		msix->host->msix_changed(*msix->host_arg, vector, now);
}

/* Tell of each vector that its own bit does not mask. */
static void msix_tell_unmasked(struct pvio_msix *msix, bool is_masked_now)
{
	struct pvio_pci_vector now;
	unsigned int i;

	for (i = 0; i < msix->nr; i++) {
		/* Only this thread changes what is read here. */
		if (msix->vector[i].is_masked)
			continue;
		now.address = msix->vector[i].address;
		now.data = msix->vector[i].data;
		now.is_masked = is_masked_now;
		msix_tell(msix, i, &now);
	}
}

void pvio_msix_control(struct pvio_msix *msix, bool enable, bool mask_all)
{
	bool is_open = enable && !mask_all;
	unsigned int i;

	pvio_store_once(&msix->is_enabled, enable);
	pvio_store_once(&msix->is_masked, mask_all);
	if (msix->is_open == is_open)
		return;
	if (is_open) {
		msix_tell_unmasked(msix, false);
		pvio_store_once(&msix->is_open, true);
		for (i = 0; i < msix->nr; i++)
			vector_send_pending(msix, i);
		return;
	}
	pvio_store_once(&msix->is_open, false);
	/* Whoever saw it open holds a lock until it has delivered. */
	for (i = 0; i < msix->nr; i++) {
		pthread_mutex_lock(&msix->vector[i].lock);
		pthread_mutex_unlock(&msix->vector[i].lock);
	}
	msix_tell_unmasked(msix, true);
}

/* The driver changed the entry to what @now says; is_masked: its own bit. */
static void vector_set(struct pvio_msix *msix, unsigned int i,
		       const struct pvio_pci_vector *now)
{
	struct pvio_msix_vector *v = &msix->vector[i];
	struct pvio_pci_vector told = *now;
	bool is_new = v->address != now->address || v->data != now->data;

	if (!is_new && v->is_masked == now->is_masked)
		return;
	pthread_mutex_lock(&v->lock);
	v->address = now->address;
	v->data = now->data;
	v->is_masked |= now->is_masked;
	pthread_mutex_unlock(&v->lock);

	/* While the function is masked, the vector's own bit changes nothing. */
	told.is_masked |= !msix->is_open;
	if (is_new || msix->is_open)
		msix_tell(msix, i, &told);

	pthread_mutex_lock(&v->lock);
	v->is_masked = now->is_masked;
	if (v->is_pending)
		vector_send(msix, i);
	pthread_mutex_unlock(&v->lock);
}

void pvio_msix_get(struct pvio_msix *msix, unsigned int vector,
		   struct pvio_pci_vector *now)
{
	struct pvio_msix_vector *v = &msix->vector[vector];

	pthread_mutex_lock(&v->lock);
	now->address = v->address;
	now->data = v->data;
	now->is_masked = vector_is_masked(msix, v);
	pthread_mutex_unlock(&v->lock);
}

void pvio_msix_forget(struct pvio_msix *msix, unsigned int vector)
{
	struct pvio_msix_vector *v = &msix->vector[vector];

	pthread_mutex_lock(&v->lock);
	pvio_store_once(&v->is_pending, false);
	pthread_mutex_unlock(&v->lock);
}

void pvio_msix_forget_all(struct pvio_msix *msix)
{
	unsigned int i;

	for (i = 0; i < msix->nr; i++)
		pvio_msix_forget(msix, i);
}

void pvio_msix_reset(struct pvio_msix *msix)
{
	static const struct pvio_pci_vector none = { .is_masked = true };
	unsigned int i;

	pvio_msix_control(msix, false, false);
	for (i = 0; i < msix->nr; i++)
		vector_set(msix, i, &none);
	pvio_msix_forget_all(msix);
}

/* --- registers ------------------------------------------------------------ */

/* Aligned words, and pairs of them (PCI Express 6.0, 7.7.2). */
static bool msix_access_ok(uint64_t offset, size_t len)
{
	return (len == 4 || len == 8) && offset % len == 0 &&
	       pvio_range_ok(offset, len, MSIX_BAR_BYTES);
}

static bool msix_is_table(const struct pvio_msix *msix, uint64_t offset)
{
	return offset / MSIX_ENTRY_BYTES < msix->nr;
}

static uint32_t msix_read_table(struct pvio_msix *msix, uint64_t offset)
{
	struct pvio_msix_vector *v = &msix->vector[offset / MSIX_ENTRY_BYTES];

	switch ((enum msix_word)(offset % MSIX_ENTRY_BYTES / 4)) {
	case MSIX_ADDRESS:
		return (uint32_t)v->address;
	case MSIX_ADDRESS_HIGH:
		return (uint32_t)(v->address >> 32);
	case MSIX_DATA:
		return v->data;
	case MSIX_CONTROL:
		return v->is_masked ? MSIX_CONTROL_MASKED : 0;
	case MSIX_NR_WORDS:
		break;
	}
	return 0;
}

/* 32 pending bits.  The array is of 64-bit words: past the last vector, 0. */
static uint32_t msix_read_pending(const struct pvio_msix *msix, uint64_t offset)
{
	unsigned int first = (unsigned int)(offset - PVIO_MSIX_PBA_OFFSET) * 8;
	uint32_t bits = 0;
	unsigned int i;

	if (first >= (msix->nr + 63) / 64 * 64)
		return UINT32_MAX; /* nothing here */
	for (i = first; i < msix->nr && i < first + 32; i++)
		bits |= (uint32_t)pvio_load_once(&msix->vector[i].is_pending)
			<< (i - first);
	return bits;
}

void pvio_msix_read(struct pvio_msix *msix, uint64_t offset, void *buf,
		    size_t len)
{
	uint32_t word;
	size_t i;

	memset(buf, 0xff, len);
	if (!msix_access_ok(offset, len))
		return;
	for (i = 0; i < len; i += 4, offset += 4) {
		if (msix_is_table(msix, offset))
			word = msix_read_table(msix, offset);
		else if (offset >= PVIO_MSIX_PBA_OFFSET)
			word = msix_read_pending(msix, offset);
		else
			continue;
		word = htole32(word);
		memcpy((char *)buf + i, &word, 4);
	}
}

void pvio_msix_write(struct pvio_msix *msix, uint64_t offset, const void *buf,
		     size_t len)
{
	struct pvio_pci_vector now;
	struct pvio_msix_vector *v;
	uint32_t word[MSIX_NR_WORDS];
	unsigned int i;

	/* An entry is written in halves of it, so a write stays within one. */
	if (!msix_access_ok(offset, len) || !msix_is_table(msix, offset))
		return;
	i = (unsigned int)(offset / MSIX_ENTRY_BYTES);
	v = &msix->vector[i];
	word[MSIX_ADDRESS] = htole32((uint32_t)v->address);
	word[MSIX_ADDRESS_HIGH] = htole32((uint32_t)(v->address >> 32));
	word[MSIX_DATA] = htole32(v->data);
	word[MSIX_CONTROL] = htole32(v->is_masked ? MSIX_CONTROL_MASKED : 0);
	memcpy((char *)word + offset % MSIX_ENTRY_BYTES, buf, len);
	now.address = le32toh(word[MSIX_ADDRESS]) |
		      (uint64_t)le32toh(word[MSIX_ADDRESS_HIGH]) << 32;
	now.data = le32toh(word[MSIX_DATA]);
	now.is_masked = le32toh(word[MSIX_CONTROL]) & MSIX_CONTROL_MASKED;
	vector_set(msix, i, &now);
}

uint64_t pvio_msix_bar_size(const struct pvio_msix *msix)
{
	return msix->nr ? MSIX_BAR_BYTES : 0;
}

uint64_t pvio_msix_fired(const struct pvio_msix *msix)
{
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < msix->nr; i++)
		sum += pvio_load_once(&msix->vector[i].fired);
	return sum;
}

/* --- life ---------------------------------------------------------------- */

int pvio_msix_init(struct pvio_msix *msix, unsigned int nr,
		   const struct pvio_pci_host *host, void *const *host_arg)
{
	unsigned int i;

	if (nr > PVIO_MSIX_MAX_VECTORS)
		return -EINVAL;
	memset(msix, 0, sizeof(*msix));
	/* One that is never used spares what follows the question. */
	msix->vector = calloc(nr + 1, sizeof(*msix->vector));
	if (!msix->vector)
		return -ENOMEM;
	msix->nr = nr;
	msix->host = host;
	msix->host_arg = host_arg;
	msix->name = "function";
	for (i = 0; i < nr; i++) {
		pthread_mutex_init(&msix->vector[i].lock, NULL);
		msix->vector[i].is_masked = true;
		msix->vector[i].fd = -1;
	}
	return 0;
}

void pvio_msix_fini(struct pvio_msix *msix)
{
	unsigned int i;

	for (i = 0; i < msix->nr; i++) {
		if (msix->vector[i].fd >= 0)
			close(msix->vector[i].fd);
		pthread_mutex_destroy(&msix->vector[i].lock);
	}
	free(msix->vector);
	msix->vector = NULL;
	msix->nr = 0;
}
