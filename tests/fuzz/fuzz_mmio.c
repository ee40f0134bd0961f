/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_mmio.c - accesses of any kind to a virtio-mmio page
 *
 * The script is that of fuzz_registers.h; there is one space.
 */
#define FUZZ_TRANSPORT "mmio"
#include "fuzz_registers.h"

#include <endian.h>
#include <pvio/mmio.h>

#define MMIO_MAGIC  0x000
#define MMIO_ISR    0x060
#define MMIO_STATUS 0x070

static struct fuzz_page {
	struct pvio_mmio *mmio;
	bool level; /* as the host was told */
} fuzz_pages[2];

static struct fuzz_page *fuzz_page_of(struct fuzz_device *d)
{
	return &fuzz_pages[d - fuzz_devices];
}

static void fuzz_on_irq(void *arg, bool level)
{
	struct fuzz_page *page = arg;

	fuzz_expect(page->level != level, "the line moves");
	page->level = level;
}

static void fuzz_attach(struct fuzz_device *d)
{
	struct fuzz_page *page = fuzz_page_of(d);

	page->mmio = pvio_mmio_of(d->dev);
	fuzz_expect(pvio_mmio_set_irq(page->mmio, fuzz_on_irq, page) == 0,
		    "a callback can be set");
}

static int fuzz_doorbell(struct fuzz_device *d, unsigned int queue)
{
	struct pvio_doorbell bell;

	fuzz_expect(pvio_mmio_doorbell(fuzz_page_of(d)->mmio, queue, &bell) ==
			    0,
		    "there is a doorbell");
	return bell.fd;
}

static void fuzz_read(struct fuzz_device *d, unsigned int space,
		      uint64_t offset, void *buf, size_t len)
{
	(void)space;
	pvio_mmio_read(fuzz_page_of(d)->mmio, offset, buf, len);
}

static void fuzz_write(struct fuzz_device *d, unsigned int space,
		       uint64_t offset, const void *buf, size_t len)
{
	(void)space;
	pvio_mmio_write(fuzz_page_of(d)->mmio, offset, buf, len);
}

static void fuzz_set_fd(struct fuzz_device *d, unsigned int which, int fd)
{
	(void)which; /* it has one */
	(void)pvio_mmio_set_irq_fds(fuzz_page_of(d)->mmio, fd,
				    fd < 0 ? -1 : fuzz_resample);
}

static void fuzz_bus_reset(struct fuzz_device *d)
{
	pvio_mmio_reset(fuzz_page_of(d)->mmio);
}

static uint32_t fuzz_register(struct fuzz_device *d, uint64_t offset)
{
	uint32_t value;

	pvio_mmio_read(fuzz_page_of(d)->mmio, offset, &value, sizeof(value));
	return le32toh(value);
}

static bool fuzz_is_quiet(struct fuzz_device *d)
{
	return fuzz_register(d, MMIO_STATUS) == 0;
}

static void fuzz_check(struct fuzz_device *d)
{
	fuzz_expect(fuzz_register(d, MMIO_MAGIC) == 0x74726976,
		    "it is who it was");
	fuzz_expect((fuzz_register(d, MMIO_ISR) != 0) == fuzz_page_of(d)->level,
		    "the line is what the register says");
}

static int fuzz_open_driver(struct fuzz_device *d, struct guest_memory *mem,
			    struct pvio_worker *step, struct guest_device **gd)
{
	return guest_device_open_mmio(d->dev, mem, step, gd);
}
