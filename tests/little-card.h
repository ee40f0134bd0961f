/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * little-card.h - a PCI function that is no virtio device
 *
 * The card behind it is a small one:
 *
 *	BAR 2:	0x0  value: reads back; after a reset 7
 *		0x4  ring: any write fires vector 0; on any thread
 *		0x8  load: value = the 32 bits at the address that is written
 *	BAR 4:	if a test wants it, a window over a file
 */
#ifndef PVIO_TESTS_LITTLE_CARD_H
#define PVIO_TESTS_LITTLE_CARD_H

#include "core/worker.h"
#include "tests/check_main.h"
#include "transports/pci/pci.h"

#include <endian.h>
#include <sys/mman.h>
#include <unistd.h>

#define BAR       2
#define BAR_BYTES 4096
#define REG_VALUE 0x0
#define REG_RING  0x4
#define REG_LOAD  0x8
#define NO_VALUE  7

#define WINDOW        4
#define WINDOW_BYTES  (1u << 20)
#define WINDOW_OFFSET 8192 /* in its file */

#define CFG_COMMAND 0x04
#define CMD_MEMORY  0x2
#define CMD_MASTER  0x4

/* A call whose end the test decides about. */
struct held {
	pvio_done_fn *done;
	void *arg;
};

struct little {
	struct pvio_pci pci;
	uint32_t value;
	bool works;       /* between unquiesce() and quiesce() */
	bool is_holding;  /* resets and quiesces are not done by themselves */
	struct held held; /* the one that is not */
	unsigned int resets, quiesces, unquiesces, maps, writes;
	const char *broken;
	uint64_t missed; /* the address of the last load that failed, or 0 */
	struct pvio_map *map; /* reference */
};

static struct little card;
static struct pvio_worker *worker;

/* --- the card ------------------------------------------------------------ */

static struct little *little_of(struct pvio_pci *pci)
{
	return pvio_container_of(pci, struct little, pci);
}

static inline void little_finish(struct little *l, pvio_done_fn *done,
				 void *arg)
{
	if (l->is_holding)
		l->held = (struct held){ done, arg };
	else
		done(arg, 0);
}

static inline void little_reset(struct pvio_pci *pci, pvio_done_fn *done,
				void *arg)
{
	struct little *l = little_of(pci);

	l->resets++;
	l->value = NO_VALUE;
	l->missed = 0;
	l->broken = NULL;
	little_finish(l, done, arg);
}

static inline void little_quiesce(struct pvio_pci *pci, pvio_done_fn *done,
				  void *arg)
{
	struct little *l = little_of(pci);

	l->quiesces++;
	l->works = false;
	little_finish(l, done, arg);
}

static inline void little_unquiesce(struct pvio_pci *pci)
{
	little_of(pci)->unquiesces++;
	little_of(pci)->works = true;
}

static inline void little_broken(struct pvio_pci *pci, const char *why)
{
	little_of(pci)->broken = why;
}

static inline void little_set_memory(struct pvio_pci *pci, struct pvio_map *map,
				     pvio_done_fn *done, void *arg)
{
	struct little *l = little_of(pci);

	pvio_map_put(l->map);
	l->map = map;
	l->maps++;
	done(arg, 0);
}

static inline void little_load(struct little *l, uint64_t gpa)
{
	const struct pvio_region *hint = NULL;
	const void *at = NULL;

	if (l->map && l->works)
		at = pvio_map_at(l->map, &hint, gpa, sizeof(l->value));
	l->missed = at ? 0 : gpa;
	if (at)
		memcpy(&l->value, at, sizeof(l->value));
}

static inline unsigned int little_missed(struct pvio_pci *pci, uint64_t offset,
					 uint64_t address[PCI_CARD_MISSED])
{
	address[0] = little_of(pci)->missed;
	return offset == REG_LOAD && address[0] != 0;
}

static inline void little_read(struct pvio_pci *pci, uint64_t offset, void *buf,
			       size_t len)
{
	if (offset == REG_VALUE && len == sizeof(uint32_t))
		memcpy(buf, &little_of(pci)->value, len);
}

static inline void little_write(struct pvio_pci *pci, uint64_t offset,
				const void *buf, size_t len, pvio_done_fn *done,
				void *arg)
{
	struct little *l = little_of(pci);
	uint64_t gpa = 0;

	l->writes++;
	if (offset == REG_VALUE && len == sizeof(l->value)) {
		memcpy(&l->value, buf, len);
	} else if (offset == REG_LOAD && len <= sizeof(gpa)) {
		memcpy(&gpa, buf, len);
		little_load(l, gpa);
	}
	done(arg, 0);
}

static inline bool little_write_fast(struct pvio_pci *pci, uint64_t offset,
				     const void *buf, size_t len)
{
	(void)buf;
	(void)len;
	if (offset != REG_RING)
		return false;
	pvio_msix_fire(&pci->msix, 0);
	return true;
}

static const struct pci_card_ops little_ops = {
	.bar = BAR,
	.bar_bytes = BAR_BYTES,
	.read = little_read,
	.write = little_write,
	.write_fast = little_write_fast,
	.missed = little_missed,
	.reset = little_reset,
	.quiesce = little_quiesce,
	.unquiesce = little_unquiesce,
	.broken = little_broken,
	.set_memory = little_set_memory,
};

static const struct pci_card_id little_id = {
	.vendor = 0x1234,
	.device = 0x7077,
	.subsystem_vendor = 0x1111,
	.subsystem = 0x2222,
	.class = 0x088000,
	.revision = 3,
};

static inline void little_setup(void)
{
	memset(&card, 0, sizeof(card));
	card.value = NO_VALUE;
	ck_assert_int_eq(pvio_worker_create("test", &worker), 0);
	ck_assert_int_eq(pci_init(&card.pci, &little_ops, &little_id, "little",
				  worker, 1),
			 0);
}

static inline void little_teardown(void)
{
	pci_fini(&card.pci);
	pvio_map_put(card.map);
	pvio_worker_destroy(worker);
}

static inline void on_done(void *arg, int rc)
{
	ck_assert_int_eq(rc, 0);
	*(bool *)arg = true;
}

/* --- a window ------------------------------------------------------------ */

static int window_fd;
static uint8_t *window; /* the file's mapping, from the window's start */

static inline void window_open(void)
{
	const struct pci_card_window w = {
		WINDOW,
		memfd_create("window", MFD_CLOEXEC),
		WINDOW_OFFSET,
		WINDOW_BYTES,
	};

	window_fd = w.fd;
	ck_assert_int_ge(window_fd, 0);
	ck_assert_int_eq(ftruncate(window_fd, WINDOW_OFFSET + WINDOW_BYTES), 0);
	window = mmap(NULL, WINDOW_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
		      window_fd, WINDOW_OFFSET);
	ck_assert(window != MAP_FAILED);
	ck_assert_int_eq(pci_set_window(&card.pci, &w), 0);
}

static inline void window_close(void)
{
	munmap(window, WINDOW_BYTES);
	close(window_fd);
}

#endif
