// SPDX-License-Identifier: BSD-3-Clause
/*
 * cards.c - pvio's devices in a VMM
 *
 * A card is one device: created from a piece of configuration, given the
 * guest's memory, put on the bus, and connected to KVM.
 *
 *	registers   virtual CPU -> exit -> bus.c -> card_access() -> pvio
 *	kicks       virtual CPU -> ioeventfd -> the worker "queues"
 *	interrupts  the worker "queues" -> irqfd -> virtual CPU
 *
 * On pvio's bus, hypercall.c does the latter three for all of them.  After its
 * driver has set it up a card costs no exit to this program: the
 * counters say so (--stats).
 */
#include "tinyvmm.h"

#include <pvio/bus.h>
#include <pvio/kvm.h>
#include <pvio/memory.h>
#include <pvio/mmio.h>
#include <pvio/pci.h>
#include <pvio/pvio.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define NR_QUEUES_MAX  128
#define NR_VECTORS_MAX 128

struct card {
	struct vm *vm;
	char name[16];
	unsigned int index;
	struct pvio_device *dev;
	struct pvio_pci *pci;	/* one of these two, or none on pvio's bus */
	struct pvio_mmio *mmio;
	struct pvio_doorbell doorbells[NR_QUEUES_MAX];
	unsigned int nr_queues;
	uint32_t gsi[NR_VECTORS_MAX]; /* of its MSI-X vectors */
	struct {
		uint64_t address;
		bool is_mapped;
	} bars[PVIO_PCI_NR_BARS];
	_Atomic uint64_t accesses, notify_exits;
};

static struct cards_options options;
static struct pvio_worker *control, *queues;
static struct pvio_memory *memory;
static struct card cards[NR_CARDS_MAX];
static unsigned int nr_cards;

/* --- from the guest ------------------------------------------------------- */

static void card_access(void *arg, unsigned int bar, uint64_t offset,
			void *data, size_t len, bool is_write)
{
	struct card *card = arg;
	unsigned int i;

	card->accesses++;
	for (i = 0; is_write && i < card->nr_queues; i++) {
		if (card->doorbells[i].bar == bar &&
		    card->doorbells[i].offset == offset) {
			card->notify_exits++;
			break;
		}
	}
	if (card->pci && is_write)
		pvio_pci_bar_write(card->pci, bar, offset, data, len);
	else if (card->pci)
		pvio_pci_bar_read(card->pci, bar, offset, data, len);
	else if (is_write)
		pvio_mmio_write(card->mmio, offset, data, len);
	else
		pvio_mmio_read(card->mmio, offset, data, len);
}

static void card_config(void *arg, unsigned int part, uint64_t offset,
			void *data, size_t len, bool is_write)
{
	struct card *card = arg;

	(void)part;
	if (is_write)
		pvio_pci_config_write(card->pci, offset, data, len);
	else
		pvio_pci_config_read(card->pci, offset, data, len);
}

/*
 * Where KVM cannot bind a doorbell, because the guest put another BAR there,
 * kicks are exits and come here as such.
 */
static void card_bind(struct card *card, unsigned int bar, uint64_t address,
		      bool is_bound)
{
	unsigned int i;

	for (i = 0; i < card->nr_queues && !options.no_ioeventfd; i++)
		if (card->doorbells[i].bar == bar)
			pvio_kvm_bind_doorbell(card->vm->fd,
					       &card->doorbells[i], address,
					       is_bound);
}

/* --- from the device ------------------------------------------------------ */

static void card_bar_moved(void *arg, unsigned int bar, uint64_t address,
			   bool is_enabled)
{
	struct card *card = arg;

	if (card->bars[bar].is_mapped) {
		card_bind(card, bar, card->bars[bar].address, false);
		bus_unmap(card, bar);
	}
	card->bars[bar].address = address;
	card->bars[bar].is_mapped = is_enabled;
	if (is_enabled) {
		bus_map(address, pvio_pci_bar_size(card->pci, bar),
			card_access, card, bar);
		card_bind(card, bar, address, true);
	}
}

static void card_msix_changed(void *arg, unsigned int vector,
			      const struct pvio_pci_vector *now)
{
	struct kvm_irq_routing_entry route;
	struct card *card = arg;

	if (now->is_masked)
		return; /* pvio keeps it back, and calls again */
	pvio_kvm_msi_route(&route, card->gsi[vector], now);
	vm_set_route(card->vm, &route);
}

/* --- putting them together ------------------------------------------------ */

void cards_create(struct vm *vm, const struct cards_options *o)
{
	options = *o;
	vm->bus = o->bus;
	if (pvio_worker_create("control", &control) < 0 ||
	    pvio_worker_create("queues", &queues) < 0 ||
	    pvio_memory_create(&memory) < 0 ||
	    pvio_memory_add(memory, 0, vm->ram_bytes, vm->ram) < 0)
		die("out of memory or file descriptors");
}

static int new_eventfd(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (fd < 0)
		die("eventfd: %m");
	return fd;
}

static void card_plug_pci(struct card *card)
{
	static const struct pvio_pci_host host = {
		.msix_changed = card_msix_changed,
		.bar_moved = card_bar_moved,
	};
	const uint8_t line = CARD_GSI + card->index;
	unsigned int i, nr = pvio_pci_nr_vectors(card->pci);
	int fd;

	if (nr > NR_VECTORS_MAX ||
	    pvio_pci_set_host(card->pci, &host, card) < 0)
		die("%s: %u vectors", card->name, nr);
	for (i = 0; i < nr; i++) {
		fd = new_eventfd();
		card->gsi[i] = vm_new_gsi(card->vm);
		if (pvio_kvm_irqfd(card->vm->fd, card->gsi[i], fd, -1,
				   true) < 0 ||
		    pvio_pci_set_vector_fd(card->pci, i, fd) < 0)
			die("%s: no interrupt for vector %u", card->name, i);
		close(fd);
	}
	while (card->nr_queues < NR_QUEUES_MAX &&
	       pvio_pci_doorbell(card->pci, card->nr_queues,
				 &card->doorbells[card->nr_queues]) == 0)
		card->nr_queues++;
	/* What firmware leaves in the register "interrupt line". */
	pvio_pci_config_write(card->pci, 0x3c, &line, 1);
	bus_plug(card->index + 1, card_config, card);
}

static void card_plug_mmio(struct card *card)
{
	const uint64_t address = MMIO_WINDOW + card->index * PVIO_MMIO_BYTES;

	while (card->nr_queues < NR_QUEUES_MAX &&
	       pvio_mmio_doorbell(card->mmio, card->nr_queues,
				  &card->doorbells[card->nr_queues]) == 0)
		card->nr_queues++;
	bus_map(address, PVIO_MMIO_BYTES, card_access, card, 0);
	card_bind(card, 0, address, true);
}

/* All cards are on one bus, which came to be with the first. */
static void card_plug_hypercall(struct card *card)
{
	struct pvio_bus *bus = pvio_bus_of(card->dev);

	if (card->index != 0)
		return;
	if (pvio_bus_set_memory_list(bus, memory) < 0)
		die("the bus cannot have the guest's memory");
	hypercall_plug(card->vm, bus);
}

/* INTx, or the only interrupt of a register page: a line that stays up until
 * the guest's handler has been there. */
static void card_connect_line(struct card *card)
{
	int trigger = new_eventfd(), resample = new_eventfd(), rc;

	rc = pvio_kvm_irqfd(card->vm->fd, CARD_GSI + card->index, trigger,
			    resample, true);
	if (rc == 0 && card->pci)
		rc = pvio_pci_set_intx_fds(card->pci, trigger, resample);
	else if (rc == 0)
		rc = pvio_mmio_set_irq_fds(card->mmio, trigger, resample);
	if (rc < 0)
		die("%s: no interrupt: %s", card->name, strerror(-rc));
	close(trigger);
	close(resample);
}

/* The "transport" of pvio.conf(5). */
static const char *transport_of(enum bus_kind bus)
{
	static char text[80];

	if (hypercall_is_bus(bus))
		snprintf(text, sizeof(text), "type = \"hypercall\"; "
			 "bus = \"guest\"; interrupts = %d;",
			 NR_HYPERCALL_GSIS);
	else
		snprintf(text, sizeof(text), "type = \"%s\";",
			 bus == BUS_MMIO ? "mmio" : "pci");
	return text;
}

void cards_add(struct vm *vm, const char *model, const char *what)
{
	struct card *card = &cards[nr_cards];
	char config[4096];
	int len;

	if (nr_cards == NR_CARDS_MAX)
		die("more than %d devices", NR_CARDS_MAX);
	card->vm = vm;
	card->index = nr_cards++;
	snprintf(card->name, sizeof(card->name), "%s%u", model, card->index);
	len = snprintf(config, sizeof(config),
		       "model = \"%s\"; transport = { %s };\n",
		       model, transport_of(vm->bus));
	len += snprintf(config + len, sizeof(config) - len,
			*what == '\0' || strchr(what, '=') ? "%s" :
			!strcmp(model, "block") ?
			"backend = { type = \"file\"; path = \"%s\"; };" :
			"backend = { type = \"%s\"; };", what);
	if (len >= (int)sizeof(config))
		die("%s: the configuration is too long", card->name);

	if (pvio_device_create(card->name, config, control, &queues, 1,
			       &card->dev) < 0)
		exit(1); /* pvio has said why */
	if (hypercall_is_bus(vm->bus)) {
		card_plug_hypercall(card);
		return;
	}
	if (pvio_device_set_memory_list(card->dev, memory) < 0)
		die("%s: cannot have the guest's memory", card->name);
	if (vm->bus == BUS_MMIO) {
		card->mmio = pvio_mmio_of(card->dev);
		card_plug_mmio(card);
	} else {
		card->pci = pvio_pci_of(card->dev);
		card_plug_pci(card);
	}
	card_connect_line(card);
}

void cards_start(void)
{
	unsigned int i;

	for (i = 0; i < nr_cards; i++)
		if (pvio_device_start(cards[i].dev) < 0)
			die("%s does not start", cards[i].name);
	if (nr_cards && hypercall_is_bus(options.bus) && !options.no_ioeventfd)
		hypercall_bind(cards[0].vm);
	/* Whatever the guest does, these two do their part of it. */
	if (pvio_worker_start(control) < 0 || pvio_worker_start(queues) < 0)
		die("no threads");
}

void cards_destroy(void)
{
	unsigned int i;

	for (i = 0; i < nr_cards; i++)
		pvio_device_destroy(cards[i].dev);
	pvio_worker_destroy(queues);
	pvio_worker_destroy(control);
	pvio_memory_destroy(memory);
}

unsigned int cards_count(void)
{
	return nr_cards;
}

void cards_print_stats(void)
{
	unsigned int i;
	char *json;

	for (i = 0; i < nr_cards; i++) {
		if (pvio_device_stats(cards[i].dev, false, &json) < 0)
			continue;
		printf("%s\n  {\"name\": \"%s\", \"accesses\": %llu, "
		       "\"notify_exits\": %llu,\n   \"device\": %s}",
		       i ? "," : "", cards[i].name,
		       (unsigned long long)cards[i].accesses,
		       (unsigned long long)cards[i].notify_exits, json);
		free(json);
	}
}
