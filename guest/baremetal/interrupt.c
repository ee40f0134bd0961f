/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * interrupt.c - descriptor table, local and I/O APIC, waiting
 *
 * A handler takes the cause away (reads the ISR) before the end of interrupt:
 * for a level-triggered line that write goes on to the I/O APIC, which looks
 * whether the line is still high, and for KVM's irqfd with resampling it is
 * what tells the device to look again.
 */
#include "interrupt.h"

#include "runtime.h"
#include "vectors.h"

#define LAPIC_BASE 0xfee00000u
enum {
	LAPIC_ID = 0x20,
	LAPIC_EOI = 0xb0,
	LAPIC_SPURIOUS = 0xf0,
};
#define LAPIC_ENABLE 0x100

#define IOAPIC_BASE 0xfec00000u
enum {
	IOAPIC_SELECT = 0x00,
	IOAPIC_WINDOW = 0x10,
	IOAPIC_ENTRY = 0x10, /* index of the first entry */
};
#define IOAPIC_LEVEL (1u << 15)

#define PIC_MASTER_MASK 0x21
#define PIC_SLAVE_MASK  0xa1

/* A gate of the interrupt descriptor table. */
struct gate {
	uint16_t offset_0;
	uint16_t selector;
	uint8_t ist;
	uint8_t type;
	uint16_t offset_16;
	uint32_t offset_32;
	uint32_t reserved;
};
#define GATE_INTERRUPT 0x8e

static struct gate gates[VECTOR_COUNT] __attribute__((aligned(16)));
static struct bare_handler *handlers[VECTOR_COUNT];
static unsigned int next_message = VECTOR_MESSAGES;

extern uint8_t bare_vector_entries[];
void bare_interrupt(uint64_t vector, uint64_t rip, uint64_t error);

static volatile uint8_t *lapic_register(unsigned int offset)
{
	return (volatile uint8_t *)(uintptr_t)(LAPIC_BASE + offset);
}

static void ioapic_write(unsigned int index, uint32_t value)
{
	volatile uint8_t *base = (volatile uint8_t *)(uintptr_t)IOAPIC_BASE;

	bare_write32(base + IOAPIC_SELECT, index);
	bare_write32(base + IOAPIC_WINDOW, value);
}

void bare_interrupt_init(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) table = {
		.limit = sizeof(gates) - 1,
		.base = (uintptr_t)gates,
	};
	uintptr_t entry = (uintptr_t)bare_vector_entries;
	unsigned int i;

	for (i = 0; i < VECTOR_COUNT; i++) {
		gates[i].offset_0 = (uint16_t)entry;
		gates[i].selector = BOOT_CS;
		gates[i].type = GATE_INTERRUPT;
		gates[i].offset_16 = (uint16_t)(entry >> 16);
		entry += VECTOR_ENTRY_BYTES;
	}
	__asm__ volatile("lidt %0" : : "m"(table));

	bare_out8(PIC_MASTER_MASK, 0xff);
	bare_out8(PIC_SLAVE_MASK, 0xff);
	bare_write32(lapic_register(LAPIC_SPURIOUS),
		     LAPIC_ENABLE | (VECTOR_COUNT - 1));
}

static void handler_add(struct bare_handler *handler, unsigned int vector)
{
	handler->next = handlers[vector];
	handlers[vector] = handler;
}

void bare_message_attach(struct bare_handler *handler, uint64_t *address,
			 uint32_t *data)
{
	uint32_t id = bare_read32(lapic_register(LAPIC_ID)) >> 24;

	/* The last one is the spurious interrupt's. */
	if (next_message == VECTOR_COUNT - 1)
		bare_fail("out of vectors");
	handler_add(handler, next_message);
	*address = LAPIC_BASE | id << 12;
	*data = next_message++;
}

static void ioapic_attach(struct bare_handler *handler, unsigned int input,
			  uint32_t trigger)
{
	uint32_t id = bare_read32(lapic_register(LAPIC_ID)) >> 24;
	unsigned int vector = VECTOR_LINES + input;

	if (vector >= VECTOR_MESSAGES)
		bare_fail("interrupt line %u does not exist", input);
	handler_add(handler, vector);
	ioapic_write(IOAPIC_ENTRY + 2 * input + 1, id << 24);
	ioapic_write(IOAPIC_ENTRY + 2 * input, vector | trigger);
}

void bare_line_attach(struct bare_handler *handler, unsigned int input)
{
	ioapic_attach(handler, input, IOAPIC_LEVEL);
}

void bare_edge_attach(struct bare_handler *handler, unsigned int input)
{
	ioapic_attach(handler, input, 0);
}

/* From start.S, interrupts off. */
void bare_interrupt(uint64_t vector, uint64_t rip, uint64_t error)
{
	struct bare_handler *h;

	if (vector < VECTOR_EXCEPTIONS)
		bare_fail("exception %u at %lx, error %lx",
			  (unsigned int)vector, rip, error);
	if (vector == VECTOR_COUNT - 1)
		return; /* spurious: has no end */
	for (h = handlers[vector]; h; h = h->next)
		h->handle(h->arg);
	bare_write32(lapic_register(LAPIC_EOI), 0);
}

void bare_wait(bool (*is_done)(void *arg), void *arg)
{
	/*
	 * sti takes effect after the instruction that follows it, so an
	 * interrupt that came since we looked ends the hlt.
	 */
	__asm__ volatile("cli" : : : "memory");
	while (!is_done(arg))
		__asm__ volatile("sti; hlt; cli" : : : "memory");
	__asm__ volatile("sti" : : : "memory");
}
