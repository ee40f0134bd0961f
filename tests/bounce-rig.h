/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bounce-rig.h - a port of a bounce window between two real sides
 *
 *	guest/device-vhost-user.c --- the port --- a device of ours, as the
 *	(B's VMM and driver)		 |	   appliance has it
 *			       the rig: a broker that relays the channel's
 *			       messages to that device's vhost-user socket,
 *			       with descriptors of the window put back in
 *
 * The rig has the broker's functions that a port calls.  Tests let the
 * appliance come and go, change what it says, and write to the window.
 */
#ifndef PVIO_TESTS_BOUNCE_RIG_H
#define PVIO_TESTS_BOUNCE_RIG_H

#include "guest/vhost-user.h"
#include "transports/vhost-pci/broker/bounce.h"
#include "transports/vhost-user/wire.h"

#include <check.h>

#define RIG_WINDOW_BYTES (16u << 20)
#define RIG_RAM_BYTES    (32u << 20)
#define RIG_PATIENCE_MS  20000

struct rig_answer; /* that is on its way */

struct bounce_rig {
	char dir[64], path[96], appliance_path[96];
	struct pvio_worker *worker;  /* control, and the appliance's */
	struct pvio_worker *serving; /* of B's queues; may be the same */
	struct broker broker;
	struct broker_port *port;
	struct guest_memory mem; /* B's */
	struct guest_device *gd; /* or NULL */

	/* The appliance. */
	struct pvio_device *dev; /* NULL: none */
	struct vu_wire wire;
	bool is_wired;
	struct event *event, *channel_event;
	int channel;
	bool is_mute;    /* serves no session */
	bool late_calls; /* broker_ring_call() takes a turn */
	/* Answer in its place: true; false: let it have the message. */
	bool (*intercept)(struct bounce_rig *rig,
			  const struct vu_header *header,
			  const uint8_t *payload);
	struct pvio_job served_job, ended_job, calls_job, answers_job;
	struct pvio_list answers;
	pvio_done_fn *call_done[BROKER_MAX_RINGS];
	void *call_arg[BROKER_MAX_RINGS];
	int kick_fd[BROKER_MAX_RINGS], call_fd[BROKER_MAX_RINGS];
	struct vu_vring_addr addr[BROKER_MAX_RINGS]; /* as was told */
	unsigned int told[64];                       /* messages, by request */
	uint64_t features;                           /* of SET_FEATURES */
	unsigned int distrusted;
	char why[160];
};

/*
 * A port of @model.  @threaded: B's queues have a thread.  The appliance, of
 * which @share_bytes are this port's, has not come.
 */
void bounce_rig_init(struct bounce_rig *rig, const char *model, bool threaded,
		     uint64_t share_bytes);
void bounce_rig_fini(struct bounce_rig *rig);

/* It comes, with a device of @config (all but its transport), and opens. */
void bounce_rig_appear(struct bounce_rig *rig, const char *config);
/* It dies: the device with all it had taken, then the port is closed. */
void bounce_rig_vanish(struct bounce_rig *rig);
/* It serves nothing, as if it were busy; and again. */
void bounce_rig_freeze(struct bounce_rig *rig);
void bounce_rig_thaw(struct bounce_rig *rig);
/* Have an answer to @request arrive. */
void bounce_rig_answer(struct bounce_rig *rig, enum window_frame_kind kind,
		       uint32_t request, uint32_t flags, const void *payload,
		       size_t size);

/* Turn whatever turns once, for 1 ms if there is nothing. */
void bounce_rig_turn(struct bounce_rig *rig);
/* Until @cond, or fail. */
#define bounce_rig_until(rig, cond)                                        \
	do {                                                               \
		uint64_t until_ = pvio_now_ns() +                          \
				  RIG_PATIENCE_MS * UINT64_C(1000000);     \
		while (!(cond)) {                                          \
			ck_assert_msg(pvio_now_ns() < until_, "never: %s", \
				      #cond);                              \
			bounce_rig_turn(rig);                              \
		}                                                          \
	} while (0)
/* Let @ms go by. */
void bounce_rig_pass(struct bounce_rig *rig, unsigned int ms);

struct bounce *bounce_rig_port(const struct bounce_rig *rig);
/* B's VMM connects, and its driver starts @queues queues of @size. */
void bounce_rig_connect(struct bounce_rig *rig);
void bounce_rig_bring_up(struct bounce_rig *rig, uint64_t features,
			 unsigned int queues, uint16_t size);
/* Are its rings with the appliance? */
bool bounce_rig_is_live(const struct bounce_rig *rig, unsigned int q);
/* The used ring of ring @q in the window, and what is posted. */
struct vring_used *bounce_rig_used(const struct bounce_rig *rig,
				   unsigned int q);
const struct vring_avail *bounce_rig_avail(const struct bounce_rig *rig,
					   unsigned int q);
/* The appliance says that it has used @id, and calls. */
void bounce_rig_use(struct bounce_rig *rig, unsigned int q, uint32_t id,
		    uint32_t len);
void bounce_rig_call(struct bounce_rig *rig, unsigned int q);

/* --- a disk's driver ------------------------------------------------------- */

#define DISK_MAX_BYTES 65536
#define DISK_QUEUED    0xfe /* the status of one that is not answered */

struct disk_request {
	struct virtio_blk_outhdr *header;
	uint8_t *data, *status;
	uint64_t header_gpa, data_gpa, status_gpa;
	uint32_t type, bytes;
	unsigned int answers; /* how often the ring gave it back */
	uint32_t len;         /* with how many bytes */
};

void disk_make(struct bounce_rig *rig, struct disk_request *req);
/* Put it on queue @q, its data cut into @pieces; kick. */
int disk_submit(struct bounce_rig *rig, unsigned int q,
		struct disk_request *req, uint32_t type, uint64_t sector,
		uint32_t bytes, unsigned int pieces);
/* Take what has been answered; how many. */
unsigned int disk_reap(struct bounce_rig *rig, unsigned int q);
/* Submit, and wait: the status. */
uint8_t disk_do(struct bounce_rig *rig, unsigned int q,
		struct disk_request *req, uint32_t type, uint64_t sector,
		uint32_t bytes, unsigned int pieces);

#endif
