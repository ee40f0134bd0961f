/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bus-abi.h - the pvio bus as a guest sees it: numbers and layouts
 *
 * docs/bus-abi.md is the specification, and this file its constants.  Hosts
 * and guests include it, a Linux kernel module too.  All is little-endian.
 */
#ifndef PVIO_BUS_ABI_H
#define PVIO_BUS_ABI_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdint.h>
#endif

#define PVIO_BUS_MAGIC	 0x6f697670 /* "pvio" */
#define PVIO_BUS_VERSION 0x00010000 /* 1.0: major << 16 | minor */

/* --- connectors ------------------------------------------------------------ */

/* What every connector carries: an operation, and its argument. */
#define PVIO_BUS_OP_PROBE    0 /* -> magic | version << 32 */
#define PVIO_BUS_OP_CALL     1 /* address of a struct pvio_bus_call */
#define PVIO_BUS_OP_DOORBELL 2 /* a kick queue, or a signal of it */

/* Registers: bridge BAR, MMIO window, I/O ports. */
#define PVIO_BUS_REG_MAGIC    0x00 /* 32 bits, read */
#define PVIO_BUS_REG_VERSION  0x04 /* 32 bits, read */
#define PVIO_BUS_REG_CALL     0x08 /* 64 bits, or two halves: high one last */
#define PVIO_BUS_REG_DOORBELL 0x10 /* 32 bits, written */
#define PVIO_BUS_REG_BYTES    0x20

/* The bridge, a PCI function. */
#define PVIO_BUS_PCI_VENDOR 0x1234
#define PVIO_BUS_PCI_DEVICE 0x7076
#define PVIO_BUS_PCI_BAR    2

/* Model specific registers, from a base that the host chooses. */
#define PVIO_BUS_MSR_PROBE    0
#define PVIO_BUS_MSR_CALL     1
#define PVIO_BUS_MSR_DOORBELL 2
#define PVIO_BUS_NR_MSRS      3

/* Xen's hypercall: rax = this, rdi = operation, rsi = argument; result: rax. */
#define PVIO_BUS_XEN_HYPERCALL 0x7076
/* SMCCC: w0 = this + operation, x1 = argument; result: x0. */
#define PVIO_BUS_SMCCC_FID 0xc6000070
/* Hyper-V's HvCallSignalEvent: connection = this + kick queue, flag 0. */
#define PVIO_BUS_HYPERV_CONNECTION 0x7600

/* A doorbell's argument: a kick queue's number, or this and a signal. */
#define PVIO_BUS_DOORBELL_SIGNAL 0x80000000

/* --- signals --------------------------------------------------------------- */

#define PVIO_BUS_LEVELS	     8	  /* 0 is served first */
#define PVIO_BUS_MAX_WORDS   64	  /* of a level, 64 signals each */
#define PVIO_BUS_MAX_SIGNALS 2048 /* that a host gives out */
#define PVIO_BUS_AREA_ALIGN  64

/* How an area begins; 8 * nr_words words follow, level after level. */
struct pvio_bus_area {
	uint32_t armed;
	uint8_t pad[60];
	uint64_t news[PVIO_BUS_LEVELS];
};

#define PVIO_BUS_SIGNAL_EVENTS 0 /* there are events of the bus */

/* --- calls ----------------------------------------------------------------- */

#define PVIO_BUS_MAX_MESSAGE 264 /* bytes, with the header */

enum pvio_bus_call_state {
	PVIO_BUS_CALL_IDLE = 0,
	PVIO_BUS_CALL_ISSUED = 1, /* by the driver, before it calls */
	PVIO_BUS_CALL_DONE = 2,	  /* by the device, last of all */
};

enum pvio_bus_result {
	PVIO_BUS_OK = 0,
	PVIO_BUS_MALFORMED = 1,	  /* sizes and header contradict themselves */
	PVIO_BUS_UNKNOWN = 2,	  /* no such message */
	PVIO_BUS_NO_DEVICE = 3,	  /* no such device, or not any more */
	PVIO_BUS_BAD_VALUE = 4,	  /* an argument is out of its range */
	PVIO_BUS_BAD_STATE = 5,	  /* not now: as for status and features */
	PVIO_BUS_BAD_ADDRESS = 6, /* not in memory, or not aligned */
	PVIO_BUS_NO_ROOM = 7,	  /* the host has no memory, or numbers, left */
};

#define PVIO_BUS_CALL_ALIGN 8

struct pvio_bus_call {
	uint32_t state;
	uint32_t result;
	uint8_t request[PVIO_BUS_MAX_MESSAGE];
	uint8_t response[PVIO_BUS_MAX_MESSAGE];
};

/* --- messages: virtio-msg, revision 1 -------------------------------------- */

struct pvio_bus_header {
	uint8_t type;
	uint8_t id;
	uint16_t device;
	uint16_t token; /* the driver's: comes back */
	uint16_t size;	/* of the message, with this header */
};

#define PVIO_BUS_TYPE_RESPONSE 0x01
#define PVIO_BUS_TYPE_BUS      0x02 /* about the bus, not a device */

/* To a device. */
#define PVIO_BUS_GET_DEVICE_INFO     0x02
#define PVIO_BUS_GET_DEVICE_FEATURES 0x03
#define PVIO_BUS_SET_DRIVER_FEATURES 0x04
#define PVIO_BUS_GET_CONFIG	     0x05
#define PVIO_BUS_SET_CONFIG	     0x06
#define PVIO_BUS_GET_DEVICE_STATUS   0x07
#define PVIO_BUS_SET_DEVICE_STATUS   0x08
#define PVIO_BUS_GET_VQUEUE	     0x09
#define PVIO_BUS_SET_VQUEUE	     0x0a
#define PVIO_BUS_RESET_VQUEUE	     0x0b
#define PVIO_BUS_GET_SHM	     0x0c
/* To the bus (PVIO_BUS_TYPE_BUS): virtio-msg's ... */
#define PVIO_BUS_GET_DEVICES	     0x02
#define PVIO_BUS_PING		     0x03
/* ... and this bus's own. */
#define PVIO_BUS_INFO		     0x80
#define PVIO_BUS_RESET		     0x81
#define PVIO_BUS_SET_AREA	     0x82
#define PVIO_BUS_ROUTE		     0x83
#define PVIO_BUS_GET_EVENT	     0x84

/* Payloads; _in: of the request, _out: of the response. */
struct pvio_bus_device_info_out {
	uint32_t device_id;
	uint32_t vendor_id;
	uint8_t uuid[16];
	uint32_t nr_feature_blocks; /* 32 bits each */
	uint32_t config_size;
	uint32_t nr_queues;
	uint32_t admin_queue; /* first, 0 */
	uint32_t nr_admin_queues;
};

#define PVIO_BUS_FEATURE_BLOCKS 4

struct pvio_bus_features {
	uint32_t block; /* first */
	uint32_t nr_blocks;
	uint32_t bits[PVIO_BUS_FEATURE_BLOCKS];
};

struct pvio_bus_get_config_in {
	uint32_t offset;
	uint32_t length;
};

/* and @length bytes */
struct pvio_bus_config {
	uint32_t generation;
	uint32_t offset;
	uint32_t length;
};

struct pvio_bus_status {
	uint32_t status;
};

struct pvio_bus_queue_index {
	uint32_t index;
};

#define PVIO_BUS_QUEUE_ENABLED 0x01 /* of _out */

struct pvio_bus_queue_out {
	uint32_t index;
	uint32_t max_size;
	uint32_t size;
	uint32_t flags;
	uint64_t desc, driver, device;
};

/* What becomes of it: bits 1:0; then what is not to be changed. */
#define PVIO_BUS_QUEUE_OFF	   0x00
#define PVIO_BUS_QUEUE_ENABLE	   0x01
#define PVIO_BUS_QUEUE_KEEP	   0x02
#define PVIO_BUS_QUEUE_STATE	   0x03
#define PVIO_BUS_QUEUE_KEEP_SIZE   0x04
#define PVIO_BUS_QUEUE_KEEP_DESC   0x08
#define PVIO_BUS_QUEUE_KEEP_DRIVER 0x10
#define PVIO_BUS_QUEUE_KEEP_DEVICE 0x20

struct pvio_bus_set_queue_in {
	uint32_t index;
	uint32_t flags;
	uint32_t size;
	uint32_t reserved; /* 0 */
	uint64_t desc, driver, device;
};

struct pvio_bus_shm_out {
	uint32_t id;
	uint32_t reserved;
	uint64_t length;
	uint64_t address;
};

struct pvio_bus_get_devices_in {
	uint16_t offset;
	uint16_t count;
};

/* and (@count + 7) / 8 bytes: bit i of byte n is device offset + 8 * n + i */
struct pvio_bus_get_devices_out {
	uint16_t offset;
	uint16_t count;
	uint16_t next; /* first device behind these, or 0: none */
};

struct pvio_bus_ping {
	uint32_t data;
};

struct pvio_bus_info_out {
	uint32_t magic;
	uint32_t version;
	uint32_t max_message;
	uint32_t nr_kick_queues;
	uint32_t nr_notify_queues;
	uint32_t nr_signals;
	uint32_t max_devices;
	uint32_t reserved;
};

#define PVIO_BUS_AREA_KICK   0
#define PVIO_BUS_AREA_NOTIFY 1

struct pvio_bus_set_area_in {
	uint32_t direction;
	uint32_t index;
	uint64_t address;
	uint32_t nr_words; /* of a level; 0: no area any more */
	uint32_t reserved; /* 0 */
};

#define PVIO_BUS_ROUTE_NONE   0 /* no notification: the driver polls */
#define PVIO_BUS_ROUTE_DIRECT 1 /* an interrupt each, no signal */
#define PVIO_BUS_ROUTE_SIGNAL 2 /* a signal in the notify queue's area */

#define PVIO_BUS_THE_BUS      0xffff	 /* as a device: the bus's events */
#define PVIO_BUS_QUEUE_CONFIG 0xffffffff /* as a queue: configuration */

struct pvio_bus_route_in {
	uint16_t device;
	uint8_t mode;
	uint8_t level;
	uint32_t queue;
	uint32_t notify_queue;
};

struct pvio_bus_route_out {
	uint32_t signal; /* of both directions */
	uint32_t kick_queue;
};

#define PVIO_BUS_EVENT_NONE    0
#define PVIO_BUS_EVENT_ADDED   1
#define PVIO_BUS_EVENT_REMOVED 2
#define PVIO_BUS_EVENT_LEAVE   3

struct pvio_bus_event_out {
	uint16_t device;
	uint16_t event;
};

#endif
