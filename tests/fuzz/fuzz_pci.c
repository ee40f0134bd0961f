/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_pci.c - accesses of any kind to a PCI function
 *
 * The script is that of fuzz_registers.h; spaces 0 to 5 are the BARs, all
 * others configuration space.
 */
#define FUZZ_TRANSPORT "pci"
#include "fuzz_registers.h"

#include <endian.h>
#include <pvio/pci.h>

#define CONFIG_BYTES  4096
#define COMMAND       0x04
#define COMMON_STATUS 0x14
#define FUZZ_LINE     (FUZZ_INTERRUPTS - 1)

/* What the host was told last, of one function. */
static struct fuzz_host {
	struct pvio_pci *pci;
	struct pvio_pci_vector vector[FUZZ_LINE];
	bool has_fd[FUZZ_LINE];
	bool intx;
	bool is_driven; /* by a real driver, which gives eventfds, too */
} fuzz_hosts[2];

static struct fuzz_host *fuzz_host_of(struct fuzz_device *d)
{
	return &fuzz_hosts[d - fuzz_devices];
}

static void fuzz_on_msix(void *arg, unsigned int vector, uint64_t address,
			 uint32_t data)
{
	const struct fuzz_host *host = arg;

	fuzz_expect(vector < pvio_pci_nr_vectors(host->pci),
		    "the vector exists");
	fuzz_expect(host->is_driven || !host->has_fd[vector],
		    "the vector has no eventfd");
	fuzz_expect(!host->vector[vector].is_masked, "it is not masked");
	fuzz_expect(host->vector[vector].address == address &&
			    host->vector[vector].data == data,
		    "the message is what the guest wrote");
}

static void fuzz_on_changed(void *arg, unsigned int vector,
			    const struct pvio_pci_vector *now)
{
	struct fuzz_host *host = arg;

	fuzz_expect(vector < pvio_pci_nr_vectors(host->pci),
		    "the vector exists");
	host->vector[vector] = *now;
}

static void fuzz_on_intx(void *arg, bool level)
{
	struct fuzz_host *host = arg;

	fuzz_expect(host->intx != level, "the line moves");
	host->intx = level;
}

static void fuzz_on_moved(void *arg, unsigned int bar, uint64_t address,
			  bool is_enabled)
{
	struct fuzz_host *host = arg;
	uint64_t size = pvio_pci_bar_size(host->pci, bar);

	fuzz_expect(size > 0, "the BAR exists");
	fuzz_expect(!is_enabled || address % size == 0, "it is aligned");
}

static const struct pvio_pci_host fuzz_callbacks = {
	.msix = fuzz_on_msix,
	.msix_changed = fuzz_on_changed,
	.intx = fuzz_on_intx,
	.bar_moved = fuzz_on_moved,
};

static void fuzz_attach(struct fuzz_device *d)
{
	struct fuzz_host *host = fuzz_host_of(d);
	unsigned int i;

	host->pci = pvio_pci_of(d->dev);
	for (i = 0; i < FUZZ_LINE; i++)
		host->vector[i].is_masked = true;
	fuzz_expect(pvio_pci_set_host(host->pci, &fuzz_callbacks, host) == 0,
		    "callbacks can be set");
}

static int fuzz_doorbell(struct fuzz_device *d, unsigned int queue)
{
	struct pvio_doorbell bell;

	fuzz_expect(pvio_pci_doorbell(fuzz_host_of(d)->pci, queue, &bell) == 0,
		    "there is a doorbell");
	return bell.fd;
}

static void fuzz_read(struct fuzz_device *d, unsigned int space,
		      uint64_t offset, void *buf, size_t len)
{
	struct pvio_pci *pci = fuzz_host_of(d)->pci;

	if (space < PVIO_PCI_NR_BARS)
		pvio_pci_bar_read(pci, space, offset, buf, len);
	else
		pvio_pci_config_read(pci, offset, buf, len);
}

static void fuzz_write(struct fuzz_device *d, unsigned int space,
		       uint64_t offset, const void *buf, size_t len)
{
	struct pvio_pci *pci = fuzz_host_of(d)->pci;

	if (space < PVIO_PCI_NR_BARS)
		pvio_pci_bar_write(pci, space, offset, buf, len);
	else
		pvio_pci_config_write(pci, offset, buf, len);
}

static void fuzz_set_fd(struct fuzz_device *d, unsigned int which, int fd)
{
	struct fuzz_host *host = fuzz_host_of(d);
	int rc;

	if (which == FUZZ_LINE) {
		(void)pvio_pci_set_intx_fds(host->pci, fd,
					    fd < 0 ? -1 : fuzz_resample);
		return;
	}
	rc = pvio_pci_set_vector_fd(host->pci, which, fd);
	if (rc == 0)
		host->has_fd[which] = fd >= 0;
}

static void fuzz_bus_reset(struct fuzz_device *d)
{
	fuzz_host_of(d)->is_driven = false;
	pvio_pci_reset(fuzz_host_of(d)->pci);
}

static bool fuzz_is_quiet(struct fuzz_device *d)
{
	struct pvio_pci *pci = fuzz_host_of(d)->pci;
	uint16_t command;
	uint8_t status;

	pvio_pci_config_read(pci, COMMAND, &command, sizeof(command));
	pvio_pci_bar_read(pci, 4, COMMON_STATUS, &status, 1);
	return !(le16toh(command) & 0x4) || status == 0;
}

static void fuzz_check(struct fuzz_device *d)
{
	struct fuzz_host *host = fuzz_host_of(d);
	struct pvio_pci_vector now;
	uint32_t head[16];
	unsigned int i;

	pvio_pci_config_read(host->pci, 0, head, sizeof(head));
	/* An FLR was over when the worker came to rest. */
	fuzz_expect((le32toh(head[0]) & 0xffff) == 0x1af4 &&
			    (le32toh(head[13]) & 0xff) == 0x40,
		    "it is who it was");
	for (i = 0; i < pvio_pci_nr_vectors(host->pci) && i < FUZZ_LINE; i++) {
		fuzz_expect(pvio_pci_get_vector(host->pci, i, &now) == 0,
			    "the vector exists");
		fuzz_expect(now.is_masked == host->vector[i].is_masked &&
				    now.address == host->vector[i].address &&
				    now.data == host->vector[i].data,
			    "the host was told of every change");
	}
}

static int fuzz_open_driver(struct fuzz_device *d, struct guest_memory *mem,
			    struct pvio_worker *step, struct guest_device **gd)
{
	fuzz_host_of(d)->is_driven = true;
	return guest_device_open_pci(d->dev, mem, step, gd);
}
