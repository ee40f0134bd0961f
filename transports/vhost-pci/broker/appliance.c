/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * appliance.c - the appliance as the broker sees it: epoch, beat, ports,
 * sessions, frames
 *
 * All there is of it is what it writes to the control area, which it may do at
 * any time, and its doorbell, which says that it has.  So everything is found
 * by looking: when the doorbell rings, and every now and then.
 *
 *	NONE ------ an epoch ------> SERVED: its ports open and close
 *	 ^                            |    |
 *	 |  no beat for timeout_ms    |    | broke the rules: broker_distrust()
 *	 |                            v    v
 *	 |         a beat <-- SILENT    DISTRUSTED
 *	 '---- its VMM left, or another epoch ----'
 *
 * Only in SERVED is anything but epoch and beat looked at.  Leaving it closes
 * every port, and with that B's connections.
 *
 * A turn takes so many frames of a port, and what one says goes on in the
 * next; a doorbell that rings without end is looked after by a timer.  So
 * whatever an appliance does, other windows' and B's other devices get theirs.
 */
#include "broker.h"

#include "core/eventfd.h"

#include <endian.h>
#include <errno.h>
#include <event2/event.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#define PORT_FRAMES_PER_TURN 16
#define PORT_MAX_QUEUED      64
#define BROKER_RETRY_MS      10
/* Looks for a doorbell: so many at once, and then as many in a second. */
#define BROKER_TOKENS        4096
#define BROKER_TOKEN_NS      (1000000000ULL / BROKER_TOKENS)

struct port_frame {
	struct pvio_list node;
	struct window_frame frame;
	uint8_t payload[];
};

void broker_announce(struct broker *broker)
{
	if (broker->is_connected)
		pvio_worker_at_turn_end(broker->control, &broker->tell_job);
}

static void broker_retry_soon(struct broker *broker)
{
	const struct timeval tv = { .tv_usec = BROKER_RETRY_MS * 1000 };

	if (!event_pending(broker->retry_event, EV_TIMEOUT, NULL))
		event_add(broker->retry_event, &tv);
}

bool broker_is_served(const struct broker *broker)
{
	return broker->is_connected && broker->guest_epoch != 0 &&
	       !broker->is_silent && !broker->is_distrusted && !broker->is_lost;
}

static uint64_t broker_deadline(const struct broker *broker)
{
	return pvio_now_ns() + broker->timeout_ms * 1000000;
}

/* --- frames to the appliance ---------------------------------------------- */

bool broker_is_sending(const struct broker_port *port)
{
	return !pvio_list_empty(&port->queue);
}

static void port_queue_drop(struct broker_port *port)
{
	while (broker_is_sending(port)) {
		struct port_frame *f = pvio_list_entry(port->queue.next,
						       struct port_frame, node);

		pvio_list_del(&f->node);
		free(f);
	}
	port->nr_queued = 0;
}

/* 0, -EAGAIN, or what broker_send() returns. */
static int port_send(struct broker_port *port, const struct window_frame *frame,
		     const void *payload)
{
	int rc = window_channel_send(&port->channel, frame, payload);

	if (rc == -EPROTO)
		broker_distrust(port, "its channel is garbage");
	if (rc < 0)
		return rc;
	port->frames_out++;
	port->sent_ns = pvio_now_ns();
	broker_announce(port->broker);
	return 0;
}

static int port_queue(struct broker_port *port,
		      const struct window_frame *frame, const void *payload)
{
	struct port_frame *f;

	if (port->nr_queued >= PORT_MAX_QUEUED)
		return -ENOMEM;
	f = malloc(sizeof(*f) + frame->bytes);
	if (!f)
		return -ENOMEM;
	f->frame = *frame;
	memcpy(f->payload, payload, frame->bytes);
	if (!broker_is_sending(port))
		port->sent_ns = pvio_now_ns();
	pvio_list_add_tail(&port->queue, &f->node);
	port->nr_queued++;
	broker_retry_soon(port->broker);
	return 0;
}

int broker_send(struct broker_port *port, enum window_frame_kind kind,
		uint32_t number, const void *payload, size_t bytes)
{
	const struct window_frame frame = {
		.bytes = (uint32_t)bytes,
		.session = port->session,
		.kind = kind,
		.number = number,
	};
	int rc = -EAGAIN;

	if (!port->is_served || port->is_ending)
		return -ENOTCONN;
	if (bytes > WINDOW_MAX_PAYLOAD)
		return -EMSGSIZE;
	if (!broker_is_sending(port))
		rc = port_send(port, &frame, payload);
	return rc == -EAGAIN ? port_queue(port, &frame, payload) : rc;
}

/* The appliance may have taken some: send what waits. */
static void port_flush(struct broker_port *port)
{
	while (broker_is_sending(port)) {
		struct port_frame *f = pvio_list_entry(port->queue.next,
						       struct port_frame, node);
		int rc = port_send(port, &f->frame, f->payload);

		if (rc == -EAGAIN && pvio_now_ns() - port->sent_ns >
					     port->broker->timeout_ms * 1000000)
			broker_distrust(port, "it takes no frames");
		else if (rc == -EAGAIN)
			broker_retry_soon(port->broker);
		/* Or it was distrusted, and all of them are gone. */
		if (rc < 0)
			return;
		pvio_list_del(&f->node);
		port->nr_queued--;
		free(f);
	}
}

/* --- sessions ------------------------------------------------------------- */

static void port_call_dropped(void *arg, int rc)
{
	(void)arg;
	(void)rc;
}

/* What of B's was lent for the session is its own again. */
static void port_session_over(struct broker_port *port)
{
	struct broker *broker = port->broker;
	unsigned int ring;
	uint32_t ignored;

	for (ring = 0; ring < BROKER_MAX_RINGS; ring++) {
		unsigned int slot = carrier_slot(port->index, ring);

		if (port->kicked >> ring & 1)
			broker->carrier_ops->kick(broker->carrier, slot, -1,
						  &ignored);
		if (port->called >> ring & 1)
			broker->carrier_ops->call(broker->carrier, slot, -1,
						  port_call_dropped, NULL);
	}
	port->kicked = port->called = 0;
	port->session = 0;
	port->is_served = port->is_ending = false;
	port->deadline_ns = 0;
	port_queue_drop(port);
}

static void port_set_session(struct broker_port *port, uint32_t session)
{
	/* Barrier X: what precedes was done before it; the appliance's too. */
	pvio_store_release(&port->window->session, htole32(session));
	broker_announce(port->broker);
}

void broker_session_begin(struct broker_port *port)
{
	if (++port->last_session == 0)
		port->last_session = 1;
	port->session = port->last_session;
	port->sessions++;
	port->deadline_ns = broker_deadline(port->broker);
	port_set_session(port, port->session);
}

void broker_session_end(struct broker_port *port)
{
	if (port->session == 0)
		return;
	/*
	 * It finishes what it is at work on, and only B waits, however long that
	 * takes; unless all of us do.
	 */
	port->deadline_ns = port->broker->stop_done
				    ? broker_deadline(port->broker)
				    : 0;
	if (port->is_ending)
		return;
	port->is_ending = true;
	port_queue_drop(port);
	port_set_session(port, 0);
	pvio_worker_schedule(port->broker->control, &port->broker->look_job);
}

static void port_close(struct broker_port *port)
{
	if (!port->is_open)
		return;
	port->is_open = false;
	port_set_session(port, 0);
	port_session_over(port);
	port->ops->closed(port);
}

static void broker_close_ports(struct broker *broker)
{
	unsigned int i;

	for (i = 0; i < broker->nr_ports; i++)
		port_close(&broker->port[i]);
}

void broker_distrust(struct broker_port *port, const char *fmt, ...)
{
	struct broker *broker = port->broker;
	char why[160];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	if (!broker->is_distrusted) {
		broker->distrusts++;
		pvio_log_limited(&broker->log_limit, PVIO_LOG_WARNING,
				 "%s: port %s: the appliance is not served any "
				 "more until it begins anew: %s",
				 broker->name, port->name, why);
	}
	broker->is_distrusted = true;
	broker_close_ports(broker);
}

static void port_look_at_session(struct broker_port *port)
{
	uint32_t served;

	if (port->session == 0)
		return;
	/* Barrier X: what it did before it said so is seen. */
	served = le32toh(pvio_load_acquire(&port->window->served));
	if (port->is_ending && served != port->session) {
		port_session_over(port);
		port->ops->ended(port);
	} else if (port->deadline_ns && pvio_now_ns() > port->deadline_ns) {
		broker_distrust(port, "session %u does not %s", port->session,
				port->is_ending ? "end" : "begin");
	} else if (!port->is_ending && !port->is_served &&
		   served == port->session) {
		port->is_served = true;
		port->deadline_ns = 0;
		port->ops->served(port);
	} else if (port->is_served && !port->is_ending &&
		   served != port->session) {
		pvio_log_limited(&port->broker->log_limit, PVIO_LOG_WARNING,
				 "%s: port %s: the appliance has ended the "
				 "session",
				 port->broker->name, port->name);
		/* If it is still open it opens again, for the next. */
		port_close(port);
		pvio_worker_schedule(port->broker->control,
				     &port->broker->look_job);
	}
}

/* --- frames of the appliance ---------------------------------------------- */

static void port_receive(struct broker_port *port)
{
	uint8_t payload[WINDOW_MAX_PAYLOAD];
	struct window_frame frame;
	unsigned int n;
	int rc;

	for (n = 0; n < PORT_FRAMES_PER_TURN; n++) {
		rc = window_channel_receive(&port->channel, &frame, payload);
		if (rc == 0)
			return;
		if (rc < 0) {
			broker_distrust(port, "its channel is garbage");
			return;
		}
		/* Of a session that is over: it did not know yet. */
		if (frame.session != port->session || !port->is_served ||
		    port->is_ending)
			continue;
		if (frame.kind != WINDOW_MESSAGE &&
		    frame.kind != WINDOW_BACKEND_MESSAGE) {
			broker_distrust(port, "a frame of kind %u", frame.kind);
			return;
		}
		port->frames_in++;
		port->ops->frame(port, &frame, payload);
		if (!port->is_open)
			return;
	}
	pvio_worker_schedule(port->broker->control, &port->job);
}

/* --- ports ---------------------------------------------------------------- */

static bool facts_are_legal(const struct broker_facts *f)
{
	return f->device_id > 0 && f->device_id < 64 && f->nr_queues > 0 &&
	       f->nr_queues <= BROKER_MAX_RINGS && f->queue_size > 0 &&
	       f->queue_size <= 32768 &&
	       (f->queue_size & (f->queue_size - 1)) == 0 &&
	       (f->queues_per_unit == 1 || f->queues_per_unit == 2);
}

static void port_open(struct broker_port *port)
{
	const struct window_port *w = port->window;
	const struct broker_facts facts = {
		.device_id = le32toh(pvio_load_once(&w->device_id)),
		.nr_queues = le32toh(pvio_load_once(&w->nr_queues)),
		.queue_size = le32toh(pvio_load_once(&w->queue_size)),
		.queues_per_unit = le32toh(pvio_load_once(&w->queues_per_unit)),
	};

	if (!facts_are_legal(&facts)) {
		broker_distrust(port, "device %u, %u queues of %u, %u a unit",
				facts.device_id, facts.nr_queues,
				facts.queue_size, facts.queues_per_unit);
		return;
	}
	port->facts = facts;
	port->is_open = true;
	port->ops->opened(port);
}

static void port_look(struct broker_port *port)
{
	/* Barrier X: the facts were written before it. */
	bool is_open = pvio_load_acquire(&port->window->is_open) != 0;

	if (!is_open)
		port_close(port);
	else if (!port->is_open)
		port_open(port);
	if (port->is_open)
		port_look_at_session(port);
	if (port->is_open)
		port_flush(port);
	if (port->is_open)
		port_receive(port);
}

void broker_port_run(struct pvio_job *job)
{
	struct broker_port *port = pvio_container_of(job, struct broker_port,
						     job);

	if (port->is_open)
		port_receive(port);
}

void broker_port_init(struct broker_port *port)
{
	window_channel_open(&port->channel, port->window, WINDOW_HOST);
}

/*
 * The one before may have left counts that no channel has.  Ours are ours; its
 * own it takes up as they are, when it opens its end.
 */
static void port_renew(struct broker_port *port)
{
	struct window_channel *ch = &port->channel;
	uint32_t tail;

	window_channel_open(ch, port->window, WINDOW_HOST);
	window_channel_drain(ch);
	tail = le32toh(pvio_load_once(&ch->out->tail));
	if (ch->head - tail <= WINDOW_CHANNEL_BYTES)
		return;
	ch->head = tail & ~(uint32_t)(WINDOW_FRAME_ALIGN - 1);
	pvio_store_once(&ch->out->head, htole32(ch->head));
}

/* --- the appliance -------------------------------------------------------- */

static void broker_begin_anew(struct broker *broker, uint32_t epoch)
{
	unsigned int i;

	broker_close_ports(broker);
	broker->guest_epoch = epoch;
	broker->is_silent = broker->is_distrusted = false;
	if (epoch == 0)
		return;
	broker->appliances++;
	pvio_log_limited(&broker->log_limit, PVIO_LOG_INFO,
			 "%s: the appliance is there", broker->name);
	for (i = 0; i < broker->nr_ports; i++)
		port_renew(&broker->port[i]);
}

static void broker_look_at_life(struct broker *broker)
{
	const struct window_header *h = broker->header;
	/* Barrier X: it is there, and so is what it wrote before. */
	uint32_t epoch = le32toh(pvio_load_acquire(&h->guest_epoch));
	uint32_t beat = le32toh(pvio_load_once(&h->guest_beat));
	uint64_t now = pvio_now_ns();

	if (epoch != broker->guest_epoch) {
		broker_begin_anew(broker, epoch);
	} else if (beat != broker->guest_beat) {
		broker->is_silent = false;
	} else {
		if (now - broker->beat_ns <= broker->timeout_ms * 1000000 ||
		    epoch == 0 || broker->is_silent)
			return;
		pvio_log_limited(&broker->log_limit, PVIO_LOG_WARNING,
				 "%s: the appliance is silent", broker->name);
		broker->is_silent = true;
		broker_close_ports(broker);
		return;
	}
	broker->guest_beat = beat;
	broker->beat_ns = now;
}

/* Asks the file: only now and then. */
static void broker_look_at_file(struct broker *broker)
{
	if (broker->is_lost || !pvio_mapping_is_lost(broker->memory.mapping))
		return;
	pvio_log(PVIO_LOG_ERROR,
		 "%s: the window's file has shrunk: it is not "
		 "served any more",
		 broker->name);
	broker->is_lost = true;
	broker_close_ports(broker);
}

void broker_look(struct broker *broker)
{
	unsigned int i;

	if (!broker->is_connected)
		return;
	broker_look_at_file(broker);
	broker_look_at_life(broker);
	for (i = 0; i < broker->nr_ports && broker_is_served(broker); i++)
		port_look(&broker->port[i]);
}

void broker_retry(struct broker *broker)
{
	if (broker->is_rested)
		event_add(broker->control_event, NULL);
	broker->is_rested = false;
	broker_look(broker);
}

void broker_doorbell(struct broker *broker)
{
	uint64_t now = pvio_now_ns();
	uint64_t more = (now - broker->tokens_ns) / BROKER_TOKEN_NS;

	if (more > 0)
		broker->tokens_ns = now;
	broker->tokens = (unsigned int)pvio_min(broker->tokens + more,
						BROKER_TOKENS);
	if (broker->tokens > 0) {
		broker->tokens--;
		broker_look(broker);
		return;
	}
	broker->storms++;
	broker->is_rested = true;
	event_del(broker->control_event);
	broker_retry_soon(broker);
}

/* --- signals -------------------------------------------------------------- */

int broker_ring_kick(struct broker_port *port, unsigned int ring, int fd,
		     uint32_t *number)
{
	struct broker *broker = port->broker;
	int rc = broker->carrier_ops->kick(
		broker->carrier, carrier_slot(port->index, ring), fd, number);

	if (rc == 0 && fd >= 0)
		port->kicked |= PVIO_BIT(ring);
	return rc;
}

void broker_ring_call(struct broker_port *port, unsigned int ring, int fd,
		      pvio_done_fn *done, void *arg)
{
	struct broker *broker = port->broker;

	if (fd >= 0)
		port->called |= PVIO_BIT(ring);
	broker->carrier_ops->call(broker->carrier,
				  carrier_slot(port->index, ring), fd, done,
				  arg);
}

/* --- its VMM -------------------------------------------------------------- */

static void broker_doorbell_is_set(void *arg, int rc)
{
	struct broker *broker = arg;

	if (rc < 0 || !broker->is_connected)
		return;
	pvio_store_once(&broker->header->doorbell, htole32((uint32_t)rc));
	broker_announce(broker);
}

void broker_appliance_came(struct broker *broker)
{
	uint32_t number = 0;
	int rc = 0;

	broker->is_connected = true;
	/* The one before may have had its own taken away. */
	if (broker->interrupt_fd < 0)
		broker->interrupt_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (broker->interrupt_fd < 0)
		rc = -errno;
	if (rc == 0)
		rc = broker->carrier_ops->kick(broker->carrier,
					       CARRIER_SLOT_CONTROL,
					       broker->interrupt_fd, &number);
	if (rc < 0 || number != 0)
		pvio_log_limited(&broker->log_limit, PVIO_LOG_ERROR,
				 "%s: the appliance cannot be interrupted: %s",
				 broker->name,
				 rc < 0 ? strerror(-rc) : "not by number 0");
	broker->carrier_ops->call(broker->carrier, CARRIER_SLOT_CONTROL,
				  broker->control_fd, broker_doorbell_is_set,
				  broker);
}

/* What it wrote would be taken for its successor's. */
static void broker_forget_appliance(struct broker *broker)
{
	struct window_header *h = broker->header;
	unsigned int i;

	pvio_store_once(&h->guest_epoch, 0);
	pvio_store_once(&h->guest_beat, 0);
	pvio_store_once(&h->doorbell, 0);
	for (i = 0; i < broker->nr_ports; i++) {
		pvio_store_once(&broker->port[i].window->is_open, 0);
		pvio_store_once(&broker->port[i].window->served, 0);
	}
	broker->guest_beat = 0;
}

void broker_appliance_left(struct broker *broker)
{
	broker->is_connected = false;
	broker_begin_anew(broker, 0);
	broker_forget_appliance(broker);
}

bool broker_is_clean(const struct broker *broker)
{
	unsigned int i;

	for (i = 0; i < broker->nr_ports; i++) {
		const struct broker_port *port = &broker->port[i];

		if (port->ops->is_dirty && port->ops->is_dirty(port))
			return false;
	}
	return true;
}
