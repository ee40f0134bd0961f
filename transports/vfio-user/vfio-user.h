/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio-user.h - the server side of vfio-user, between its files
 *
 *	vfio-user.c	the transport: a virtio device, served so
 *	server.c	the server of any PCI function: configuration, life
 *	session.c	one connection: its events, its one message at a time,
 *			its end
 *	wire.c		framing
 *	messages.c	the table of commands, and what has no file of its own
 *	version.c	the JSON of the first message
 *	regions.c	BARs and configuration space
 *	irqs.c		eventfds for INTx and MSI-X
 *	dma.c		the client's memory
 *	doorbell.c	doorbells that nobody traps
 *
 * What is served is a PCI function (transports/pci/pci.h), which outlives the
 * client: a session has the client's memory and eventfds, and nothing of what
 * the guest's driver has set up.
 *
 * All of it runs on the function's control worker, but for the function that
 * an interrupt of a queue calls (vfu_intx_changed).
 *
 * A command whose answer has to wait for the card keeps the session `busy`:
 * nothing more is read until vfu_message_done().
 */
#ifndef PVIO_VFIO_USER_H
#define PVIO_VFIO_USER_H

#include "core/log.h"
#include "server.h"
#include "transports/stream/connection.h"
#include "transports/stream/endpoint.h"
#include "wire.h"

#include <pthread.h>

struct event;
struct event_base;
struct vfu;
struct vfu_row;
struct vfu_session;

/* What a command's handler returns besides -errno, which refuses it. */
enum vfu_answer {
	VFU_DONE,    /* reply with a header */
	VFU_LATER,   /* vfu_message_done() is called, or has been */
	VFU_REPLIED, /* the handler has replied */
	VFU_CLOSE,   /* the rules say: end the connection */
};

/* What we say in VERSION of ourselves. */
#define VFU_MAX_MSG_FDS	   PVIO_STREAM_MAX_FDS
#define VFU_MAX_XFER_BYTES VFU_DEFAULT_MAX_XFER_BYTES
#define VFU_PAGE_BYTES	   4096
#define VFU_MAX_DMA	   8192
static_assert(VFU_MAX_DMA <= PVIO_MAP_MANY_REGIONS, "all are in one map");

/*
 * What one client may have of a process that others share: each file costs it
 * a descriptor and one of the 4096 ranges whose faults it survives
 * (core/memory-sigbus.c), its bytes some of 2^47 of address space.  QEMU has a
 * file for each module of RAM, of which ACPI knows 256 at most.
 */
#define VFU_MAX_FILES	   256
#define VFU_MAX_FILE_BYTES (1ULL << 44)

/* A file of the client's, mapped as a whole. */
struct vfu_file {
	struct pvio_list node;
	struct pvio_mapping *mapping; /* reference */
	uint64_t dev, ino;
	int prot;	     /* what the client lets us do there */
	unsigned int nr_dma; /* ranges of it; with the last it goes */
};

/* A range of what the client calls memory. */
struct vfu_dma {
	uint64_t iova, size;
	/* Borrowed; NULL: out of reach, since it came without a file. */
	struct vfu_file *file;
	uint64_t offset; /* in the file */
};

struct vfu_session {
	struct vfu *vfu;
	struct pvio_connection connection;
	struct vfu_wire wire;
	const struct vfu_row *row; /* of the command being handled */

	bool has_version; /* agreed on */
	unsigned int max_fds; /* that the client takes in one message */

	struct vfu_dma *dma; /* [nr_dma] of [room], owned; sorted, disjoint */
	unsigned int nr_dma, room;
	struct pvio_list files; /* [nr_files], owned by the ranges of them */
	unsigned int nr_files;
	uint64_t file_bytes;	  /* of all of them */
	struct pvio_map *new_map; /* while set_memory is under way */
	void (*memory_then)(struct vfu_session *s, int rc);
	void (*drop_then)(struct vfu_session *s, int rc);
	/* What goes when it is done, and was part of the map before. */
	struct vfu_dma *gone; /* [nr_gone], owned */
	unsigned int nr_gone;
};

enum vfu_doorbell { VFU_DOORBELL_TRAP, VFU_DOORBELL_POLL };

/* INTx as the client has it.  Its fds are the session's. */
struct vfu_intx {
	pthread_mutex_t lock; /* of trigger_fd, is_masked; inside the line's */
	int trigger_fd;	      /* owned, or -1 */
	bool is_masked;	      /* by the client, or since it was told */
	int unmask_fd;	      /* owned, or -1; written for "unmask" */
	struct event *unmask_event; /* owned */
};

struct vfu {
	struct pvio_pci *pci;	 /* borrowed */
	struct event_base *base; /* borrowed: of its control worker */
	struct pvio_log_limit log_limit;

	/* configuration */
	uint64_t timeout_ms;
	enum vfu_doorbell doorbell;
	struct pvio_endpoint endpoint;

	int doorbell_fd;	  /* poll: the BAR's file; owned, or -1 */
	struct event *poll_event; /* owned, or NULL */

	struct vfu_intx intx;
	bool has_msix;	    /* the client says so: see irqs.c */
	int other_fd[2];    /* ERR, REQ: owned, or -1; written on request */

	struct vfu_session *session; /* owned; NULL: nobody connected */
	const struct vfu_client_ops *client_ops; /* or NULL */
	void *client_arg;
	bool is_client_there; /* as client_ops were told */
	uint64_t sessions, messages, refused;

	pvio_done_fn *stop_done; /* somebody waits in stop */
	void *stop_arg;
};

/* --- session.c ------------------------------------------------------------ */

/* Serve the client at @fd, for pvio_endpoint; @arg is a struct vfu. */
int vfu_session_create(void *arg, int fd);
/* End it, soon: after the command under way, and what is in flight. */
void vfu_session_close(struct vfu_session *s);
/* Answer the command under way and go on reading.  @rc: as from a handler. */
void vfu_message_done(struct vfu_session *s, int rc);
/* The same as a pvio_done_fn; @arg is the session. */
void vfu_done(void *arg, int rc);
/* Reply to the command under way.  @fd: borrowed, or -1. */
void vfu_reply(struct vfu_session *s, const void *payload, size_t len, int fd);
void vfu_reply_error(struct vfu_session *s, int rc);
/* server.c: the session is agreed on; it is gone. */
void vfu_session_came(struct vfu *vfu);
void vfu_session_gone(struct vfu *vfu);

/* --- messages.c ----------------------------------------------------------- */

void vfu_message_handle(struct vfu_session *s);
/* Say why a command is refused.  Returns @rc. */
int vfu_refuse(struct vfu_session *s, int rc, const char *fmt, ...)
	pvio_printf(3, 4);

/* --- version.c ------------------------------------------------------------ */

int vfu_version(struct vfu_session *s, struct vfu_message *msg);

/* --- regions.c ------------------------------------------------------------ */

int vfu_get_region_info(struct vfu_session *s, struct vfu_message *msg);
int vfu_get_region_io_fds(struct vfu_session *s, struct vfu_message *msg);
int vfu_region_read(struct vfu_session *s, struct vfu_message *msg);
int vfu_region_write(struct vfu_session *s, struct vfu_message *msg);
int vfu_region_write_multi(struct vfu_session *s, struct vfu_message *msg);

/* --- irqs.c --------------------------------------------------------------- */

int vfu_irqs_init(struct vfu *vfu);
void vfu_irqs_fini(struct vfu *vfu);
/* Let go of every eventfd: what is signalled from now on pends. */
void vfu_irqs_drop(struct vfu *vfu);
/* Configuration space was written: messages, or the line? */
void vfu_irqs_route(struct vfu *vfu);
/* The client begins anew: messages are in use only if it takes some. */
void vfu_irqs_review(struct vfu *vfu);
int vfu_get_irq_info(struct vfu_session *s, struct vfu_message *msg);
int vfu_set_irqs(struct vfu_session *s, struct vfu_message *msg);

/* --- dma.c ---------------------------------------------------------------- */

int vfu_dma_map(struct vfu_session *s, struct vfu_message *msg);
int vfu_dma_unmap(struct vfu_session *s, struct vfu_message *msg);
/* Unmap everything, then @then. */
void vfu_dma_drop(struct vfu_session *s,
		  void (*then)(struct vfu_session *s, int rc));
void vfu_dma_fini(struct vfu_session *s);
/* Is [iova, iova + len) in memory that we cannot reach? */
bool vfu_dma_is_out_of_reach(const struct vfu_session *s, uint64_t iova,
			     uint64_t len);

/* --- doorbell.c ----------------------------------------------------------- */

int vfu_doorbell_init(struct vfu *vfu);
void vfu_doorbell_fini(struct vfu *vfu);
/* While somebody is connected: look at the rings of those who sleep. */
void vfu_doorbell_watch(struct vfu *vfu, bool is_on);

#endif
