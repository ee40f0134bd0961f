/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bus.c - virtio devices on pvio's bus, written to docs/bus-abi.md
 *
 * All devices have one notify queue, whose signals one interrupt announces, and
 * their queues raise signals in the kick queues that ROUTE names:
 *
 *	kick       bit in a kick queue's area; if its consumer sleeps, doorbell
 *	interrupt  input of the I/O APIC -> bits of the notify area -> queues
 *
 * irq=direct does without the notify area: an interrupt of its own for each
 * queue; kick=direct without kick areas: every kick is a doorbell that names
 * the signal.
 */
#include "connector.h"
#include "virtio.h"

#include "core/barrier.h"
#include "core/util.h"

#include <pvio/bus-abi.h>

#define NR_KICK_QUEUES_MAX 4
#define NR_SIGNALS_A_WORD  64u
#define MAX_DEVICES        64u /* that we look at */

struct bus_device {
	struct bare_device dev;
	uint16_t number;
	struct pvio_bus_route_out route[BARE_MAX_QUEUES];
};

static struct {
	const struct bare_connector *connector; /* NULL: not found yet */
	struct pvio_bus_call *call;
	struct pvio_bus_area *notify; /* NULL: irq=direct */
	/* NULL, the first and so all of them: kick=direct */
	struct pvio_bus_area *kick[NR_KICK_QUEUES_MAX];
	unsigned int nr_words;
	unsigned int first_input; /* of the I/O APIC */
	unsigned int nr_notify_queues, next_notify_queue;
	struct bare_handler handler; /* of the notify queue */
	struct bare_queue *queues[PVIO_BUS_MAX_SIGNALS];
	/* Counted for the report. */
	unsigned int calls, doorbells, interrupts, signals;
} bus;

/* --- calls ---------------------------------------------------------------- */

/* Where the next request's payload goes. */
static void *bus_payload(void)
{
	return bus.call->request + sizeof(struct pvio_bus_header);
}

/* Make a call whose payload is @bytes long; the response's. */
static void *bus_call(uint8_t type, uint8_t id, uint16_t device, size_t bytes)
{
	struct pvio_bus_call *call = bus.call;
	struct pvio_bus_header *request = (void *)call->request;
	struct pvio_bus_header *response = (void *)call->response;

	*request = (struct pvio_bus_header){
		.type = type,
		.id = id,
		.device = device,
		.token = (uint16_t)++bus.calls,
		.size = (uint16_t)(sizeof(*request) + bytes),
	};
	pvio_store_release(&call->state, PVIO_BUS_CALL_ISSUED);
	bus.connector->call((uintptr_t)call);
	while (pvio_load_acquire(&call->state) != PVIO_BUS_CALL_DONE) {
		if (bus.connector->settle)
			bus.connector->settle();
		else
			pvio_cpu_relax();
	}
	if (call->result != PVIO_BUS_OK)
		bare_fail("bus: message %u to %u: result %u", id, device,
			  call->result);
	if (response->type != (type | PVIO_BUS_TYPE_RESPONSE) ||
	    response->id != id || response->device != device ||
	    response->token != request->token)
		bare_fail("bus: message %u to %u: another's response", id,
			  device);
	return response + 1;
}

static void *device_call(struct bare_device *dev, uint8_t id, size_t bytes)
{
	uint16_t number =
		pvio_container_of(dev, struct bus_device, dev)->number;

	return bus_call(0, id, number, bytes);
}

/* --- interrupts ----------------------------------------------------------- */

static void notify_serve(unsigned int signal)
{
	struct bare_queue *queue = bus.queues[signal];

	bus.signals++;
	/* A signal that was not routed is dropped. */
	if (queue)
		queue->interrupts++;
}

static void notify_take(struct pvio_bus_area *area, unsigned int level)
{
	uint64_t *words = (uint64_t *)(area + 1) + level * bus.nr_words;
	uint64_t news = pvio_exchange_ordered(&area->news[level], 0), bits;
	unsigned int w, b;

	for (; news; news &= news - 1) {
		w = (unsigned int)__builtin_ctzll(news);
		if (w >= bus.nr_words)
			break;
		/* Barrier P: what a signal is about is read after its bit. */
		bits = pvio_exchange_ordered(&words[w], 0);
		for (; bits; bits &= bits - 1) {
			b = (unsigned int)__builtin_ctzll(bits);
			notify_serve(w * NR_SIGNALS_A_WORD + b);
		}
	}
}

static bool notify_has_news(struct pvio_bus_area *area)
{
	unsigned int level;

	for (level = 0; level < PVIO_BUS_LEVELS; level++) {
		if (pvio_load_ordered(&area->news[level]))
			return true;
	}
	return false;
}

/*
 * Barrier Q: that we sleep is there before we look for news, and a producer
 * makes news before it looks whether we sleep.
 */
static bool notify_arm(struct pvio_bus_area *area)
{
	pvio_exchange_ordered(&area->armed, 1);
	return !notify_has_news(area);
}

/* We sleep whenever we are not here. */
static void notify_interrupt(void *arg)
{
	struct pvio_bus_area *area = arg;
	unsigned int level;

	bus.interrupts++;
	do {
		pvio_store_once(&area->armed, 0);
		for (level = 0; level < PVIO_BUS_LEVELS;) {
			if (pvio_load_ordered(&area->news[level])) {
				notify_take(area, level);
				level = 0;
			} else {
				level++;
			}
		}
	} while (!notify_arm(area));
}

static void direct_interrupt(void *arg)
{
	struct bare_queue *queue = arg;

	bus.interrupts++;
	queue->interrupts++;
}

/* --- kicks ---------------------------------------------------------------- */

/* True: it is on us to ring. */
static bool signal_raise(struct pvio_bus_area *area, unsigned int signal,
			 unsigned int level)
{
	unsigned int w = signal / NR_SIGNALS_A_WORD;
	uint64_t *words = (uint64_t *)(area + 1) + level * bus.nr_words;
	uint64_t bit = (uint64_t)1 << signal % NR_SIGNALS_A_WORD;
	uint64_t look = (uint64_t)1 << w;

	/* Barrier P: the ring's index is there before the bit. */
	if ((pvio_or_ordered(&words[w], bit) & bit) &&
	    (pvio_load_ordered(&area->news[level]) & look))
		return false;
	/* Barrier Q: the news is there before we look who sleeps. */
	pvio_or_ordered(&area->news[level], look);
	return pvio_load_ordered(&area->armed) &&
	       pvio_exchange_ordered(&area->armed, 0);
}

static void bus_kick(struct bare_queue *queue)
{
	struct bus_device *dev = pvio_container_of(queue->dev,
						   struct bus_device, dev);
	const struct pvio_bus_route_out *route = &dev->route[queue->index];
	struct pvio_bus_area *area = route->kick_queue < NR_KICK_QUEUES_MAX
					     ? bus.kick[route->kick_queue]
					     : NULL;

	if (!area) {
		bus.doorbells++;
		bus.connector->doorbell(PVIO_BUS_DOORBELL_SIGNAL |
					route->signal);
	} else if (signal_raise(area, route->signal, queue->index)) {
		bus.doorbells++;
		bus.connector->doorbell(route->kick_queue);
	}
}

/* --- a device ------------------------------------------------------------- */

static uint8_t bus_get_status(struct bare_device *dev)
{
	struct pvio_bus_status *out =
		device_call(dev, PVIO_BUS_GET_DEVICE_STATUS, 0);

	return (uint8_t)out->status;
}

static void bus_set_status(struct bare_device *dev, uint8_t status)
{
	struct pvio_bus_status *in = bus_payload();

	in->status = status;
	device_call(dev, PVIO_BUS_SET_DEVICE_STATUS, sizeof(*in));
}

static uint32_t bus_get_features(struct bare_device *dev, unsigned int word)
{
	struct pvio_bus_features *in = bus_payload(), *out;

	in->block = word;
	in->nr_blocks = 1;
	out = device_call(dev, PVIO_BUS_GET_DEVICE_FEATURES,
			  offsetof(struct pvio_bus_features, bits));
	return out->bits[0];
}

static void bus_set_features(struct bare_device *dev, unsigned int word,
			     uint32_t bits)
{
	struct pvio_bus_features *in = bus_payload();

	in->block = word;
	in->nr_blocks = 1;
	in->bits[0] = bits;
	device_call(dev, PVIO_BUS_SET_DRIVER_FEATURES,
		    offsetof(struct pvio_bus_features, bits[1]));
}

static void *bus_read_config(struct bare_device *dev, unsigned int offset,
			     unsigned int length)
{
	struct pvio_bus_get_config_in *in = bus_payload();
	struct pvio_bus_config *out;

	in->offset = offset;
	in->length = length;
	out = device_call(dev, PVIO_BUS_GET_CONFIG, sizeof(*in));
	return out + 1;
}

static uint8_t bus_read_config8(struct bare_device *dev, unsigned int offset)
{
	return *(uint8_t *)bus_read_config(dev, offset, 1);
}

static uint32_t bus_read_config32(struct bare_device *dev, unsigned int offset)
{
	return *(uint32_t *)bus_read_config(dev, offset, 4);
}

static uint16_t bus_queue_max(struct bare_device *dev, unsigned int q)
{
	struct pvio_bus_queue_index *in = bus_payload();
	struct pvio_bus_queue_out *out;

	in->index = q;
	out = device_call(dev, PVIO_BUS_GET_VQUEUE, sizeof(*in));
	return (uint16_t)out->max_size;
}

/* Say where a queue's interrupts go; learn where its kicks do. */
static void bus_route(struct bare_device *dev, struct bare_queue *queue)
{
	struct bus_device *own = pvio_container_of(dev, struct bus_device, dev);
	struct pvio_bus_route_in *in = bus_payload();
	struct pvio_bus_route_out *out;
	unsigned int notify = 0;

	if (!bus.notify) {
		notify = bus.next_notify_queue++;
		if (notify >= bus.nr_notify_queues)
			bare_fail("bus: out of interrupts");
		queue->handler = (struct bare_handler){
			.handle = direct_interrupt, .arg = queue
		};
		bare_edge_attach(&queue->handler, bus.first_input + notify);
	}
	*in = (struct pvio_bus_route_in){
		.device = own->number,
		.mode = bus.notify ? PVIO_BUS_ROUTE_SIGNAL
				   : PVIO_BUS_ROUTE_DIRECT,
		.level = (uint8_t)queue->index,
		.queue = queue->index,
		.notify_queue = notify,
	};
	out = bus_call(PVIO_BUS_TYPE_BUS, PVIO_BUS_ROUTE, 0, sizeof(*in));
	if (out->signal >= PVIO_BUS_MAX_SIGNALS)
		bare_fail("bus: signal %u", out->signal);
	own->route[queue->index] = *out;
	bus.queues[out->signal] = queue;
}

static void bus_start_queue(struct bare_device *dev, struct bare_queue *queue)
{
	struct guest_ring *ring = queue->ring;
	struct pvio_bus_set_queue_in *in;

	bus_route(dev, queue);
	in = bus_payload();
	*in = (struct pvio_bus_set_queue_in){
		.index = queue->index,
		.flags = PVIO_BUS_QUEUE_ENABLE,
		.size = guest_ring_size(ring),
		.desc = guest_ring_desc(ring),
		.driver = guest_ring_driver(ring),
		.device = guest_ring_device(ring),
	};
	device_call(dev, PVIO_BUS_SET_VQUEUE, sizeof(*in));
}

static const struct bare_device_ops bus_ops = {
	.get_status = bus_get_status,
	.set_status = bus_set_status,
	.get_features = bus_get_features,
	.set_features = bus_set_features,
	.read_config8 = bus_read_config8,
	.read_config32 = bus_read_config32,
	.queue_max = bus_queue_max,
	.start_queue = bus_start_queue,
	.kick = bus_kick,
};

/* --- the bus -------------------------------------------------------------- */

static struct pvio_bus_area *bus_set_area(unsigned int direction,
					  unsigned int index)
{
	struct pvio_bus_set_area_in *in = bus_payload();
	struct pvio_bus_area *area =
		bare_alloc(sizeof(*area) + 8 * PVIO_BUS_LEVELS * bus.nr_words,
			   PVIO_BUS_AREA_ALIGN);

	*in = (struct pvio_bus_set_area_in){
		.direction = direction,
		.index = index,
		.address = (uintptr_t)area,
		.nr_words = bus.nr_words,
	};
	bus_call(PVIO_BUS_TYPE_BUS, PVIO_BUS_SET_AREA, 0, sizeof(*in));
	return area;
}

static void bus_init(const struct boot_info *boot)
{
	const struct pvio_bus_info_out *info;
	unsigned int i, nr_kick;
	uint64_t probe;

	bus.connector = bare_connector_find();
	probe = bus.connector->probe();
	if ((uint32_t)probe != PVIO_BUS_MAGIC ||
	    probe >> 48 != PVIO_BUS_VERSION >> 16)
		bare_fail("bus: probe says %lx", probe);
	bus.call = bare_alloc(sizeof(*bus.call), PVIO_BUS_CALL_ALIGN);
	bus_call(PVIO_BUS_TYPE_BUS, PVIO_BUS_RESET, 0, 0);
	info = bus_call(PVIO_BUS_TYPE_BUS, PVIO_BUS_INFO, 0, 0);
	bus.nr_words = (info->nr_signals + NR_SIGNALS_A_WORD - 1) /
		       NR_SIGNALS_A_WORD;
	bus.nr_notify_queues = info->nr_notify_queues;
	nr_kick = pvio_min(info->nr_kick_queues, NR_KICK_QUEUES_MAX);

	bus.first_input = (unsigned int)bare_option_number(boot, "pvio_bus.irq",
							   0);
	if (!bare_option_is(bare_option(boot, "irq"), "direct")) {
		bus.notify = bus_set_area(PVIO_BUS_AREA_NOTIFY, 0);
		notify_arm(bus.notify);
		bus.handler = (struct bare_handler){ .handle = notify_interrupt,
						     .arg = bus.notify };
		bare_edge_attach(&bus.handler, bus.first_input);
	}
	if (!bare_option_is(bare_option(boot, "kick"), "direct")) {
		for (i = 0; i < nr_kick; i++)
			bus.kick[i] = bus_set_area(PVIO_BUS_AREA_KICK, i);
	}
}

/* Is device @number of virtio type @id? */
static bool bus_is(unsigned int number, unsigned int id)
{
	const struct pvio_bus_device_info_out *info =
		bus_call(0, PVIO_BUS_GET_DEVICE_INFO, (uint16_t)number, 0);

	return info->device_id == id;
}

struct bare_device *bare_bus_find(const struct boot_info *boot, unsigned int id)
{
	const struct pvio_bus_get_devices_out *out;
	struct pvio_bus_get_devices_in *in;
	struct bus_device *found;
	uint64_t present = 0;
	unsigned int number;

	if (!bus.connector)
		bus_init(boot);
	in = bus_payload();
	in->offset = 0;
	in->count = MAX_DEVICES;
	out = bus_call(PVIO_BUS_TYPE_BUS, PVIO_BUS_GET_DEVICES, 0, sizeof(*in));
	memcpy(&present, out + 1,
	       pvio_min((out->count + 7u) / 8, sizeof(present)));
	for (; present; present &= present - 1) {
		number = (unsigned int)__builtin_ctzll(present);
		if (!bus_is(number, id))
			continue;
		found = bare_alloc(sizeof(*found), 16);
		found->dev.ops = &bus_ops;
		found->number = (uint16_t)number;
		return &found->dev;
	}
	return NULL;
}

void bare_bus_report(void)
{
	if (!bus.connector)
		return;
	bare_print("ok bus: connector=%s calls=%u doorbells=%u interrupts=%u "
		   "signals=%u\n",
		   bus.connector->name, bus.calls, bus.doorbells,
		   pvio_load_once(&bus.interrupts),
		   pvio_load_once(&bus.signals));
}
