// SPDX-License-Identifier: BSD-3-Clause
/*
 * serial.c - the console: a 16550A whose output is stdout
 *
 * Sending is done at once, so the transmitter is always empty.  The line is
 * raised as long as something is pending that the driver asked to be told.
 */
#include "tinyvmm.h"

#include <linux/serial_reg.h>
#include <unistd.h>

static struct {
	uint8_t reg[8]; /* as written; at IIR's place FCR */
	uint8_t divisor[2];
	bool is_sent; /* since the driver last looked */
	char keys[64];
	unsigned int nr_keys, next_key;
} serial; /* by serial_lock */
static pthread_mutex_t serial_lock = PTHREAD_MUTEX_INITIALIZER;

static uint8_t serial_pending(void)
{
	if (serial.nr_keys && serial.reg[UART_IER] & UART_IER_RDI)
		return UART_IIR_RDI;
	if (serial.is_sent && serial.reg[UART_IER] & UART_IER_THRI)
		return UART_IIR_THRI;
	return UART_IIR_NO_INT;
}

static void serial_unlock(struct vm *vm)
{
	vm_set_irq(vm, SERIAL_GSI, serial_pending() != UART_IIR_NO_INT);
	pthread_mutex_unlock(&serial_lock);
}

static uint8_t serial_key(void)
{
	uint8_t key = serial.keys[serial.next_key];

	if (serial.nr_keys == 0)
		return 0;
	serial.next_key = (serial.next_key + 1) % sizeof(serial.keys);
	serial.nr_keys--;
	return key;
}

/* With its output connected to its input a modem says what it is told. */
static uint8_t serial_modem(uint8_t mcr)
{
	if (!(mcr & UART_MCR_LOOP))
		return UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS;
	return (mcr & (UART_MCR_OUT1 | UART_MCR_OUT2)) << 4 |
	       (mcr & UART_MCR_RTS ? UART_MSR_CTS : 0) |
	       (mcr & UART_MCR_DTR ? UART_MSR_DSR : 0);
}

uint8_t serial_read(struct vm *vm, unsigned int reg)
{
	uint8_t value;

	pthread_mutex_lock(&serial_lock);
	value = serial.reg[reg];
	if (reg <= UART_DLM && serial.reg[UART_LCR] & UART_LCR_DLAB) {
		value = serial.divisor[reg];
	} else if (reg == UART_RX) {
		value = serial_key();
	} else if (reg == UART_IIR) {
		value = serial_pending() |
			(value & UART_FCR_ENABLE_FIFO) * 0xc0;
		if ((value & UART_IIR_ID) == UART_IIR_THRI)
			serial.is_sent = false;
	} else if (reg == UART_LSR) {
		value = UART_LSR_THRE | UART_LSR_TEMT |
			(serial.nr_keys ? UART_LSR_DR : 0);
	} else if (reg == UART_MSR) {
		value = serial_modem(serial.reg[UART_MCR]);
	}
	serial_unlock(vm);
	return value;
}

void serial_write(struct vm *vm, unsigned int reg, uint8_t value)
{
	/* Bits that exist. */
	static const uint8_t mask[8] = {
		0xff, 0xf, 0xff, 0xff, 0x1f, 0, 0, 0xff,
	};

	pthread_mutex_lock(&serial_lock);
	if (reg <= UART_DLM && serial.reg[UART_LCR] & UART_LCR_DLAB) {
		serial.divisor[reg] = value;
	} else if (reg == UART_TX) {
		if (write(STDOUT_FILENO, &value, 1) != 1)
			vm_end(vm, 1); /* nobody listens any more */
		serial.is_sent = true;
	} else {
		if (reg == UART_IER && value & ~serial.reg[reg] & UART_IER_THRI)
			serial.is_sent = true;
		if (reg == UART_FCR && value & UART_FCR_CLEAR_RCVR)
			serial.nr_keys = 0;
		serial.reg[reg] = value & mask[reg];
	}
	serial_unlock(vm);
}

void serial_input(struct vm *vm, char c)
{
	pthread_mutex_lock(&serial_lock);
	if (serial.nr_keys < sizeof(serial.keys))
		serial.keys[(serial.next_key + serial.nr_keys++) %
			    sizeof(serial.keys)] = c;
	serial_unlock(vm);
}
