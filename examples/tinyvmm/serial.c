// SPDX-License-Identifier: BSD-3-Clause
/*
 * serial.c - the console: a 16550A whose output is stdout
 *
 * Enough of it for Linux's and a PC's usual drivers.  Sending is done at once,
 * so the transmitter is always empty.  The line is raised as long as something
 * is pending that the driver asked to be told.
 */
#include "tinyvmm.h"

#include <linux/serial_reg.h>
#include <unistd.h>

static struct {
	uint8_t ier, lcr, mcr, fcr, scratch, divisor[2];
	bool is_sent; /* since the driver last looked */
	char keys[64];
	unsigned int nr_keys, next_key;
} serial; /* by serial_lock */
static pthread_mutex_t serial_lock = PTHREAD_MUTEX_INITIALIZER;

static uint8_t serial_pending(void)
{
	if (serial.nr_keys && serial.ier & UART_IER_RDI)
		return UART_IIR_RDI;
	if (serial.is_sent && serial.ier & UART_IER_THRI)
		return UART_IIR_THRI;
	return UART_IIR_NO_INT;
}

static void serial_set_line(struct vm *vm)
{
	vm_set_irq(vm, SERIAL_GSI, serial_pending() != UART_IIR_NO_INT);
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
static uint8_t serial_modem(void)
{
	if (!(serial.mcr & UART_MCR_LOOP))
		return UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS;
	return (serial.mcr & UART_MCR_RTS ? UART_MSR_CTS : 0) |
	       (serial.mcr & UART_MCR_DTR ? UART_MSR_DSR : 0) |
	       (serial.mcr & UART_MCR_OUT1 ? UART_MSR_RI : 0) |
	       (serial.mcr & UART_MCR_OUT2 ? UART_MSR_DCD : 0);
}

uint8_t serial_read(struct vm *vm, unsigned int reg)
{
	uint8_t value = 0;

	pthread_mutex_lock(&serial_lock);
	switch (reg) {
	case UART_RX:
		value = serial.lcr & UART_LCR_DLAB ? serial.divisor[0] :
			serial_key();
		break;
	case UART_IER:
		value = serial.lcr & UART_LCR_DLAB ? serial.divisor[1] :
			serial.ier;
		break;
	case UART_IIR:
		value = serial_pending();
		if (value == UART_IIR_THRI)
			serial.is_sent = false;
		value |= serial.fcr & UART_FCR_ENABLE_FIFO ? 0xc0 : 0;
		break;
	case UART_LCR:
		value = serial.lcr;
		break;
	case UART_MCR:
		value = serial.mcr;
		break;
	case UART_LSR:
		value = UART_LSR_THRE | UART_LSR_TEMT |
			(serial.nr_keys ? UART_LSR_DR : 0);
		break;
	case UART_MSR:
		value = serial_modem();
		break;
	case UART_SCR:
		value = serial.scratch;
	}
	serial_set_line(vm);
	pthread_mutex_unlock(&serial_lock);
	return value;
}

void serial_write(struct vm *vm, unsigned int reg, uint8_t value)
{
	pthread_mutex_lock(&serial_lock);
	switch (reg) {
	case UART_TX:
		if (serial.lcr & UART_LCR_DLAB) {
			serial.divisor[0] = value;
		} else {
			if (write(STDOUT_FILENO, &value, 1) != 1)
				vm_end(vm, 1); /* nobody listens any more */
			serial.is_sent = true;
		}
		break;
	case UART_IER:
		if (serial.lcr & UART_LCR_DLAB) {
			serial.divisor[1] = value;
		} else {
			serial.is_sent |= value & ~serial.ier & UART_IER_THRI;
			serial.ier = value & 0xf;
		}
		break;
	case UART_FCR:
		serial.fcr = value;
		if (value & UART_FCR_CLEAR_RCVR)
			serial.nr_keys = 0;
		break;
	case UART_LCR:
		serial.lcr = value;
		break;
	case UART_MCR:
		serial.mcr = value & 0x1f;
		break;
	case UART_SCR:
		serial.scratch = value;
	}
	serial_set_line(vm);
	pthread_mutex_unlock(&serial_lock);
}

bool serial_input(struct vm *vm, char c)
{
	bool has_room;

	pthread_mutex_lock(&serial_lock);
	has_room = serial.nr_keys < sizeof(serial.keys);
	if (has_room)
		serial.keys[(serial.next_key + serial.nr_keys++) %
			    sizeof(serial.keys)] = c;
	serial_set_line(vm);
	pthread_mutex_unlock(&serial_lock);
	return has_room;
}
