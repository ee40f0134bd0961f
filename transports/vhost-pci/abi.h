/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * abi.h - what is in a window
 *
 * A window is a range of memory that two sides share: the *appliance*, a
 * virtual machine that serves devices (VM A), and the *host*, where the broker
 * gives it the devices of another one (VM B).  The appliance sees it as a BAR.
 *
 *	0                    what B's rings and buffers are in: B's memory
 *	                     itself, or the broker's, into which it copies
 *	bytes - 2 MiB        struct window_header        the control area
 *	      + 256 KiB      port 0: struct window_port, channels, in-flight
 *	      + 512 KiB      port 1 ...
 *
 * A *port* is one device of B's.  Its channel carries vhost-user messages, each
 * as it is on a socket, but with numbers where there descriptors travel:
 *
 *	SET_MEM_TABLE        mmap_offset is an offset in the window
 *	SET_INFLIGHT_FD      the same
 *	SET_VRING_KICK       the number of the interrupt that is B's kick
 *	SET_VRING_CALL       the value that, written to the doorbell, notifies B
 *
 * The other descriptors stay with the broker.  Interrupt 0 says that something
 * has changed in the control area; so does, to the host, the value `doorbell`.
 *
 * Life.  Each side has an epoch, which is another one whenever its program
 * begins anew, and a beat that goes on while it lives.  A session is what one
 * connection of B's VMM is:
 *
 *	host                                appliance
 *	epoch, nr_ports, magic last
 *	                                    epoch; in each port it serves:
 *	                                    the facts, is_open last
 *	(B's VMM connects)
 *	session = n
 *	                                    ends the session before, if any:
 *	                                    nothing of it touches memory any more
 *	                                    served = n
 *	messages of session n, both ways
 *	session = 0 (B's VMM is gone)
 *	                                    ends it; served = 0
 *
 * Whoever finds the other's epoch changed begins anew.  A frame of another
 * session than that which is served is dropped by who receives it.
 *
 * The appliance opens a port only while its session is 0, and closes it when it
 * stops, or when a session has broken the rules.  So the host, when it finds a
 * port closed or the appliance's epoch changed, sets session = 0.  A session
 * has another number than the one before it.
 *
 * Who has taken frames, or sent some, has the other side look: it may have been
 * waiting for room.  And either looks every second by itself.
 *
 * All numbers are little-endian.  Nobody trusts what the other can write: each
 * field is read once, and checked.
 */
#ifndef PVIO_VHOST_PCI_ABI_H
#define PVIO_VHOST_PCI_ABI_H

#include <assert.h>
#include <stdint.h>

#define WINDOW_MAGIC	     0x574f444e49575650ULL /* "PVWINDOW" */
#define WINDOW_VERSION	     1
#define WINDOW_CONTROL_BYTES (2U << 20)
#define WINDOW_PORT_BYTES    (256U << 10)
#define WINDOW_MAX_PORTS     7
/* The least that a window can be; all are a power of two. */
#define WINDOW_MIN_BYTES     (4U << 20)

/* In a port: where the channels' bytes are, and the in-flight region. */
#define WINDOW_CHANNEL_BYTES	16384
#define WINDOW_TO_GUEST_OFFSET	4096
#define WINDOW_TO_HOST_OFFSET	(WINDOW_TO_GUEST_OFFSET + WINDOW_CHANNEL_BYTES)
#define WINDOW_INFLIGHT_OFFSET	65536
#define WINDOW_INFLIGHT_BYTES	(WINDOW_PORT_BYTES - WINDOW_INFLIGHT_OFFSET)

/*
 * The function that the carrier "vfio-user" shows: BARs, and registers, which
 * are laid out like those of ivshmem.
 */
#define WINDOW_PCI_VENDOR    0x1234
#define WINDOW_PCI_DEVICE    0x7077
#define WINDOW_PCI_REGISTERS 1
#define WINDOW_PCI_MEMORY    2 /* and 3: 64 bits */
#define WINDOW_REG_POSITION  0x08
#define WINDOW_REG_DOORBELL  0x0c

/* The host's half of the header, and the appliance's. */
struct window_header {
	uint64_t magic; /* last to be written */
	uint32_t version;
	uint32_t nr_ports;
	uint64_t bytes;	 /* of the whole window */
	uint32_t epoch;	 /* never 0 */
	uint32_t beat;
	uint32_t doorbell; /* the value that reaches the host */
	uint32_t padding[7];
	uint32_t guest_epoch; /* 0: nobody */
	uint32_t guest_beat;
	uint32_t guest_padding[14];
};

/*
 * One direction of a channel: bytes that one side appends and the other takes.
 * head and tail only grow, modulo 2^32, and stand between two frames.
 */
struct window_ring {
	uint32_t head; /* the producer's */
	uint32_t padding[15];
	uint32_t tail; /* the consumer's */
	uint32_t more_padding[15];
};

struct window_port {
	uint32_t session; /* the host's; 0: nobody is there */
	uint32_t padding[15];
	/* The appliance's. */
	uint32_t is_open; /* last to be written */
	uint32_t served;  /* the session that it serves, or 0 */
	uint32_t device_id;	  /* virtio 1.4, 5 */
	uint32_t nr_queues;	  /* all of them */
	uint32_t queue_size;	  /* the largest */
	uint32_t queues_per_unit; /* of what GET_QUEUE_NUM counts */
	uint32_t guest_padding[10];
	struct window_ring to_guest, to_host;
};

/* What is in a channel: a frame, then its payload, padded to 16 bytes. */
enum window_frame_kind {
	WINDOW_MESSAGE = 1,	    /* of B's VMM, or the answer to one */
	WINDOW_BACKEND_MESSAGE = 2, /* unasked, from the back-end: CONFIG_CHANGE,
				       or VRING_ERR for B's error eventfd */
};

struct window_frame {
	uint32_t bytes; /* of the payload: a vhost-user message */
	uint32_t session;
	uint32_t kind;
	uint32_t number; /* of interrupt or doorbell, where a message has one */
};

#define WINDOW_FRAME_ALIGN 16
/* The longest message, header included. */
#define WINDOW_MAX_PAYLOAD 4608

static_assert(sizeof(struct window_header) == 128, "ABI");
static_assert(sizeof(struct window_ring) == 128, "ABI");
static_assert(sizeof(struct window_port) == 384, "ABI");
static_assert(sizeof(struct window_frame) == WINDOW_FRAME_ALIGN, "ABI");
static_assert((WINDOW_MAX_PORTS + 1) * WINDOW_PORT_BYTES ==
		      WINDOW_CONTROL_BYTES,
	      "ABI");

static inline uint64_t window_control_offset(uint64_t bytes)
{
	return bytes - WINDOW_CONTROL_BYTES;
}

static inline uint64_t window_port_offset(uint64_t bytes, unsigned int port)
{
	return window_control_offset(bytes) +
	       (uint64_t)(port + 1) * WINDOW_PORT_BYTES;
}

#endif
