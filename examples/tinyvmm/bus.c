// SPDX-License-Identifier: BSD-3-Clause
/*
 * bus.c - which address is whose; PCI configuration mechanism 1
 *
 * Ranges of memory addresses come and go as the guest moves its BARs: a
 * device's control worker changes the table while virtual CPUs look into it.
 * The lock is not held over the access, which may be what moves a BAR.  What
 * nobody answers for reads as ones and is dropped when written, as on a PC.
 */
#include "tinyvmm.h"

#include <string.h>

#define NR_RANGES_MAX 64
#define NR_SLOTS      32

static struct range {
	uint64_t address, bytes; /* 0: unused */
	bus_fn *fn;
	void *arg;
	unsigned int part;
} ranges[NR_RANGES_MAX]; /* by ranges_lock */
static pthread_mutex_t ranges_lock = PTHREAD_MUTEX_INITIALIZER;

/* Slot 0, without which Linux does not believe that there is PCI. */
static void host_bridge(void *arg, unsigned int part, uint64_t offset,
			void *data, size_t len, bool is_write)
{
	static const uint8_t config[256] = {
		0x86, 0x80, 0x37, 0x12, [0xb] = 0x06, /* class: host bridge */
	};

	(void)arg;
	(void)part;
	if (!is_write)
		memcpy(data, config + offset, len);
}

static struct slot {
	bus_fn *fn;
	void *arg;
} slots[NR_SLOTS] = { { host_bridge, NULL } }; /* fixed once CPUs run */
static _Atomic uint32_t config_address; /* port 0xcf8 */
static struct range ports; /* fixed once CPUs run */

void bus_map(uint64_t address, uint64_t bytes, bus_fn *fn, void *arg,
	     unsigned int part)
{
	unsigned int i;

	pthread_mutex_lock(&ranges_lock);
	for (i = 0; i < NR_RANGES_MAX; i++)
		if (ranges[i].bytes == 0)
			break;
	if (i == NR_RANGES_MAX)
		die("more than %d ranges", NR_RANGES_MAX);
	ranges[i] = (struct range){ address, bytes, fn, arg, part };
	pthread_mutex_unlock(&ranges_lock);
}

void bus_unmap(void *arg, unsigned int part)
{
	unsigned int i;

	pthread_mutex_lock(&ranges_lock);
	for (i = 0; i < NR_RANGES_MAX; i++)
		if (ranges[i].arg == arg && ranges[i].part == part)
			ranges[i].bytes = 0;
	pthread_mutex_unlock(&ranges_lock);
}

void bus_mmio(uint64_t address, void *data, size_t len, bool is_write)
{
	struct range range = { 0 };
	unsigned int i;

	pthread_mutex_lock(&ranges_lock);
	for (i = 0; i < NR_RANGES_MAX; i++)
		if (address - ranges[i].address < ranges[i].bytes)
			range = ranges[i];
	pthread_mutex_unlock(&ranges_lock);
	if (range.bytes != 0)
		range.fn(range.arg, range.part, address - range.address, data,
			 len, is_write);
	else if (!is_write)
		memset(data, 0xff, len);
}

/* --- ports ---------------------------------------------------------------- */

void bus_plug(unsigned int slot, bus_fn *fn, void *arg)
{
	slots[slot] = (struct slot){ fn, arg };
}

void bus_map_ports(uint16_t port, uint16_t nr, bus_fn *fn, void *arg)
{
	ports = (struct range){ port, nr, fn, arg, 0 };
}

/* Port 0xcf8 has enable bit, bus, slot, function and register; 0xcfc the data
 * (PCI Local Bus 3.0, 3.2.2.3.2). */
static void config_access(unsigned int byte, void *data, size_t len,
			  bool is_write)
{
	uint32_t address = config_address;
	struct slot *slot = &slots[address >> 11 & 31];

	if (address >> 31 && (address & 0xff0700) == 0 && slot->fn)
		slot->fn(slot->arg, 0, (address & 0xfc) + byte, data, len,
			 is_write);
	else if (!is_write)
		memset(data, 0xff, len);
}

void bus_io(struct vm *vm, uint16_t port, void *data, size_t len, bool is_write)
{
	uint32_t address;
	uint8_t *byte = data;

	if (port == 0xcf8 && len == 4) {
		address = config_address;
		memcpy(is_write ? &address : data, is_write ? data : &address,
		       4);
		config_address = address;
	} else if (port >= 0xcfc && port + len <= 0xd00) {
		config_access(port - 0xcfc, data, len, is_write);
	} else if (port >= SERIAL_PORT && port < SERIAL_PORT + 8 && len == 1) {
		if (is_write)
			serial_write(vm, port - SERIAL_PORT, *byte);
		else
			*byte = serial_read(vm, port - SERIAL_PORT);
	} else if (port - ports.address < ports.bytes) {
		ports.fn(ports.arg, 0, port - ports.address, data, len,
			 is_write);
	} else if (is_write && port == POWER_PORT) {
		vm_end(vm, 0);
	} else if (is_write && port == EXIT_PORT) {
		vm_end(vm, *byte);
	} else if (!is_write) {
		memset(data, 0xff, len);
	}
}
