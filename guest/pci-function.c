/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pci-function.c - a PCI function in this process, by pvio/pci.h
 *
 * Plays the VMM between guest/pci.c and the function: it routes accesses, hands
 * over memory, and binds doorbells and interrupts to eventfds.  Like a bus, it
 * carries no access to a BAR while the function does not decode memory.
 */
#include "device-pci.h"

#include "device-ops.h"

#include "core/util.h"
#include "core/worker.h"

#include <errno.h>
#include <pvio/memory.h>
#include <pvio/pci.h>
#include <stdlib.h>
#include <string.h>

struct function {
	struct pvio_device *dev;    /* borrowed */
	struct pvio_pci *pci;       /* the device's */
	struct pvio_worker *worker; /* borrowed: to step, or NULL */
	uint16_t command; /* as written last: what the bus decodes by */
};

#define COMMAND_OFFSET 0x04
#define COMMAND_MEMORY 0x0002

static int function_config_read(void *arg, size_t offset, void *buf, size_t len)
{
	struct function *f = arg;

	pvio_pci_config_read(f->pci, offset, buf, len);
	return 0;
}

static int function_config_write(void *arg, size_t offset, const void *buf,
				 size_t len)
{
	struct function *f = arg;

	pvio_pci_config_write(f->pci, offset, buf, len);
	if (offset <= COMMAND_OFFSET + 1 && offset + len > COMMAND_OFFSET)
		pvio_pci_config_read(f->pci, COMMAND_OFFSET, &f->command, 2);
	return 0;
}

static int function_bar_read(void *arg, unsigned int bar, uint64_t offset,
			     void *buf, size_t len)
{
	struct function *f = arg;

	if (le16toh(f->command) & COMMAND_MEMORY)
		pvio_pci_bar_read(f->pci, bar, offset, buf, len);
	else
		memset(buf, 0xff, len);
	return 0;
}

static int function_bar_write(void *arg, unsigned int bar, uint64_t offset,
			      const void *buf, size_t len)
{
	struct function *f = arg;

	if (le16toh(f->command) & COMMAND_MEMORY)
		pvio_pci_bar_write(f->pci, bar, offset, buf, len);
	return 0;
}

static int function_set_vector_fd(void *arg, unsigned int vector, int fd)
{
	struct function *f = arg;

	return pvio_pci_set_vector_fd(f->pci, vector, fd);
}

static int function_set_intx_fds(void *arg, int trigger, int resample)
{
	struct function *f = arg;

	return pvio_pci_set_intx_fds(f->pci, trigger, resample);
}

/* What a VMM would bind an ioeventfd to: does the driver write there? */
static int function_find_doorbell(void *arg, unsigned int queue,
				  unsigned int bar, uint64_t offset,
				  struct guest_pci_doorbell *doorbell)
{
	struct function *f = arg;
	struct pvio_doorbell at;
	int rc;

	rc = pvio_pci_doorbell(f->pci, queue, &at);
	if (rc < 0)
		return rc;
	if (at.bar != bar || at.offset != offset || at.fd < 0)
		return -EPROTO;
	doorbell->fd = at.fd;
	return 0;
}

static bool function_step(void *arg)
{
	struct function *f = arg;

	return f->worker && pvio_worker_is_mine(f->worker) &&
	       pvio_worker_step(f->worker);
}

int guest_give_memory(struct pvio_device *dev, const struct guest_memory *mem)
{
	struct pvio_memory *list;
	unsigned int i;
	int rc;

	rc = pvio_memory_create(&list);
	if (rc < 0)
		return rc;
	for (i = 0; mem && i < mem->nr && rc == 0; i++)
		rc = pvio_memory_add(list, mem->region[i].gpa,
				     mem->region[i].size, mem->region[i].host);
	if (rc == 0)
		rc = pvio_device_set_memory_list(dev, list);
	pvio_memory_destroy(list);
	return rc;
}

static void function_close(void *arg)
{
	struct function *f = arg;

	(void)guest_give_memory(f->dev, NULL);
	free(f);
}

static const struct guest_pci_access function_access = {
	.config_read	= function_config_read,
	.config_write	= function_config_write,
	.bar_read	= function_bar_read,
	.bar_write	= function_bar_write,
	.set_vector_fd	= function_set_vector_fd,
	.set_intx_fds	= function_set_intx_fds,
	.find_doorbell	= function_find_doorbell,
	.step		= function_step,
	.close		= function_close,
};

int guest_device_open_pci_with(struct pvio_device *dev,
			       struct guest_memory *mem,
			       const struct guest_pci_options *options,
			       struct guest_device **gd)
{
	struct function *f;
	int rc = -EINVAL;

	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	f->dev = dev;
	f->worker = options->step;
	f->pci = pvio_pci_of(dev);
	if (f->pci)
		rc = guest_give_memory(dev, mem);
	if (rc < 0)
		goto free_f;
	rc = guest_device_open_pci_access(&function_access, f, mem, options,
					  gd);
	if (rc < 0)
		goto clear_memory;
	return 0;

clear_memory:
	(void)guest_give_memory(f->dev, NULL);
free_f:
	free(f);
	return rc;
}

int guest_device_open_pci(struct pvio_device *dev, struct guest_memory *mem,
			  struct pvio_worker *step, struct guest_device **gd)
{
	const struct guest_pci_options options = { .step = step };

	return guest_device_open_pci_with(dev, mem, &options, gd);
}
