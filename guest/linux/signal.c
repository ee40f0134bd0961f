// SPDX-License-Identifier: GPL-2.0-only
/*
 * signal.c - signal areas: kicks, and interrupts (section 4)
 *
 *	raise		words[l][w] |= b;  news[l] |= w;   armed ? ring
 *	consume		news[l] -> 0; words[l][w] -> 0;    armed = 1; news ?
 *
 * We raise in the kick areas, and the device consumes; it raises in the notify
 * areas, and we consume, in the interrupt of that queue.
 *
 * The partner is a thread of the host on another CPU, even when this kernel has
 * one CPU only and has patched the lock prefixes out of its atomics: so bits
 * are set by sync_test_and_set_bit(), which keeps it, and words are exchanged
 * by xchg(), which has no prefix to lose.  Both are full barriers.
 *
 * An interrupt is the beginning of work, most of which is done after it, in
 * softirqs: packets, completions.  So it does not arm, but leaves that to a
 * tasklet, which comes after those of the network and of disks; what is raised
 * meanwhile needs no interrupt (parameter linger).  To arm at once costs half
 * as many interrupts again with a card that is busy (tests/bench/signals).
 *
 * Any number of CPUs may consume an area at once: an interrupt that was moved,
 * or its continuations.  What is exchanged goes to one of them, and each that
 * has written armed = 0 looks again, or has another do so, after armed = 1.
 */
#include <linux/bitops.h>
#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/interrupt.h>
#include <linux/slab.h>

#include <asm/sync_bitops.h>

#include "pvio_bus.h"

/* Looks at an area in one go, before others have their turn. */
#define PASSES_MAX 64

static u64 *area_word(struct pvio_bus_area *area, unsigned int level,
		      unsigned int w)
{
	return (u64 *)(area + 1) + level * PVIO_NR_WORDS + w;
}

/* --- raise: kicks ---------------------------------------------------------- */

static void doorbell_ring(struct pvio_bus *bus, u32 what)
{
	pvio_count(bus, doorbells);
	bus->connector->doorbell(bus, what);
}

/* Kick the queue of @signal.  Any context. */
void pvio_kick(struct pvio_bus *bus, u32 kick_queue, u32 signal)
{
	unsigned int l = PVIO_LEVEL_QUEUE, w = signal / 64, b = signal % 64;
	struct pvio_bus_area *area;
	bool was_set;

	if (bus->kicks_directly || kick_queue >= bus->nr_kick ||
	    w >= PVIO_NR_WORDS) {
		doorbell_ring(bus, PVIO_BUS_DOORBELL_SIGNAL | signal);
		return;
	}
	area = bus->kick[kick_queue].area;
	pvio_count(bus, raised);
	/*
	 * Barrier C: the ring's entries are in memory before the bit.  Pairs
	 * with the device's exchange of the word.
	 */
	was_set = sync_test_and_set_bit(b, (void *)area_word(area, l, w));
	if (was_set && (READ_ONCE(area->news[l]) & BIT_ULL(w))) {
		pvio_count(bus, coalesced);
		return;
	}
	/*
	 * Barrier D: news are written before armed is read.  Pairs with the
	 * device's, which writes armed before it reads news.
	 */
	sync_test_and_set_bit(w, (void *)&area->news[l]);
	if (READ_ONCE(area->armed) == 1 && xchg(&area->armed, 0) == 1)
		doorbell_ring(bus, kick_queue);
}

/* --- consume: interrupts --------------------------------------------------- */

static void signal_serve(struct pvio_bus *bus, unsigned int signal)
{
	struct pvio_target *target = READ_ONCE(bus->targets[signal]);

	pvio_count(bus, signals);
	/* Of nobody, or of somebody who has just gone. */
	if (target)
		pvio_target_serve(target);
}

/* Serve the first level that has news; false: there are none. */
static bool notify_pass(struct pvio_notify *n)
{
	struct pvio_bus_area *area = n->area;
	unsigned int l, w;
	u64 news, bits;

	for (l = 0; l < PVIO_BUS_LEVELS; l++)
		if (READ_ONCE(area->news[l]))
			break;
	if (l == PVIO_BUS_LEVELS)
		return false;
	/* Barrier E: the word is taken after the news of it. */
	for (news = xchg(&area->news[l], 0); news; news &= news - 1) {
		w = __ffs64(news);
		if (w >= PVIO_NR_WORDS)
			break;
		bits = xchg(area_word(area, l, w), 0);
		for (; bits; bits &= bits - 1)
			signal_serve(n->bus, 64 * w + __ffs64(bits));
	}
	return true;
}

static bool notify_has_news(struct pvio_notify *n)
{
	unsigned int l;

	for (l = 0; l < PVIO_BUS_LEVELS; l++)
		if (READ_ONCE(n->area->news[l]))
			return true;
	return false;
}

/*
 * Serve all there is, and arm; or, if there was any and we @linger, come back for
 * that.  A device that never lets us finish does not keep us in one interrupt:
 * it goes on in another.
 */
static void notify_run(struct pvio_notify *n, bool linger)
{
	unsigned int passes = 0;

	do {
		if (READ_ONCE(n->area->armed))
			WRITE_ONCE(n->area->armed, 0);
		while (notify_pass(n)) {
			if (++passes >= PASSES_MAX) {
				irq_work_queue(&n->again);
				return;
			}
		}
		if (linger && passes > 0) {
			tasklet_schedule(&n->late);
			return;
		}
		/*
		 * Barrier F: armed is written before news are read.  Pairs
		 * with the device's, which writes news before it reads armed.
		 */
		xchg(&n->area->armed, 1);
	} while (notify_has_news(n));
}

static void notify_again(struct irq_work *work)
{
	struct pvio_notify *n = container_of(work, struct pvio_notify, again);

	notify_run(n, n->bus->lingers);
}

/* Interrupts are on: pvio_target_serve() has them off where it matters. */
static void notify_late(struct tasklet_struct *late)
{
	notify_run(container_of(late, struct pvio_notify, late), true);
}

/* Never IRQ_NONE: an interrupt that finds nothing is allowed (section 4). */
static irqreturn_t notify_interrupt(int irq, void *data)
{
	struct pvio_notify *n = data;

	pvio_count(n->bus, interrupts);
	notify_run(n, n->bus->lingers);
	return IRQ_HANDLED;
}

/* --- targets --------------------------------------------------------------- */

void pvio_target_init(struct pvio_target *target)
{
	spin_lock_init(&target->lock);
}

void pvio_target_serve(struct pvio_target *target)
{
	unsigned long flags;

	switch (target->kind) {
	case PVIO_FOR_BUS:
		if (READ_ONCE(target->bus->is_running))
			queue_work(pvio_workqueue, &target->bus->work);
		break;
	case PVIO_FOR_CONFIG:
		virtio_config_changed(target->vdev);
		break;
	case PVIO_FOR_QUEUE:
		spin_lock_irqsave(&target->lock, flags);
		vring_interrupt(0, target->vq);
		spin_unlock_irqrestore(&target->lock, flags);
		break;
	}
}

/* From now on @signal is for @target.  -EPROTO: the device has made it up. */
int pvio_target_publish(struct pvio_bus *bus, u32 signal,
			struct pvio_target *target)
{
	int rc = 0;

	mutex_lock(&bus->targets_lock);
	if (signal >= PVIO_BUS_MAX_SIGNALS ||
	    (bus->targets[signal] && bus->targets[signal] != target)) {
		dev_err(bus->dev, "signal %u: too large, or given out twice\n",
			signal);
		rc = -EPROTO;
	} else {
		/* Pairs with the consumer's dependency on the pointer. */
		smp_store_release(&bus->targets[signal], target);
	}
	mutex_unlock(&bus->targets_lock);
	return rc;
}

/* Nobody begins to serve the target of @signal; see pvio_signals_sync(). */
void pvio_target_withdraw(struct pvio_bus *bus, u32 signal)
{
	mutex_lock(&bus->targets_lock);
	WRITE_ONCE(bus->targets[signal], NULL);
	mutex_unlock(&bus->targets_lock);
}

/* What was being served is. */
void pvio_signals_sync(struct pvio_bus *bus)
{
	unsigned int i;

	for (i = 0; i < bus->nr_notify; i++) {
		if (!bus->notify[i].irq)
			continue;
		synchronize_irq(bus->notify[i].irq);
		irq_work_sync(&bus->notify[i].again);
		tasklet_unlock_wait(&bus->notify[i].late);
	}
}

unsigned int pvio_notify_of_cpu(struct pvio_bus *bus, unsigned int cpu)
{
	unsigned int i;

	for (i = 0; i < bus->nr_notify; i++)
		if (bus->notify[i].cpu == cpu)
			return i;
	return cpu % bus->nr_notify;
}

/* --- areas ----------------------------------------------------------------- */

static int area_set(struct pvio_bus *bus, u32 direction, u32 index,
		    struct pvio_bus_area *area, dma_addr_t address)
{
	struct pvio_bus_set_area_in in = {
		.direction = direction,
		.index = index,
		.address = address,
		.nr_words = area ? PVIO_NR_WORDS : 0,
	};

	if (area)
		memset(area, 0, PVIO_AREA_BYTES);
	return pvio_call_bus(bus, PVIO_BUS_SET_AREA, &in, sizeof(in), NULL, 0);
}

/* Give the device all areas, and look at ours for the first time, which arms. */
int pvio_areas_set(struct pvio_bus *bus)
{
	unsigned int i;
	int rc;

	for (i = 0; i < bus->nr_notify; i++) {
		struct pvio_notify *n = &bus->notify[i];

		rc = area_set(bus, PVIO_BUS_AREA_NOTIFY, i, n->area,
			      n->address);
		if (rc)
			goto unset;
		local_irq_disable();
		notify_run(n, false);
		local_irq_enable();
	}
	for (i = 0; i < bus->nr_kick; i++) {
		rc = area_set(bus, PVIO_BUS_AREA_KICK, i, bus->kick[i].area,
			      bus->kick[i].address);
		if (rc)
			goto unset;
	}
	return 0;

unset:
	dev_err(bus->dev, "a signal area was refused: %d\n", rc);
	pvio_areas_unset(bus);
	return rc;
}

/* The device does not touch them any more, if it answers. */
void pvio_areas_unset(struct pvio_bus *bus)
{
	unsigned int i;

	for (i = 0; i < bus->nr_kick && !bus->is_dead; i++)
		area_set(bus, PVIO_BUS_AREA_KICK, i, NULL, 0);
	for (i = 0; i < bus->nr_notify && !bus->is_dead; i++)
		area_set(bus, PVIO_BUS_AREA_NOTIFY, i, NULL, 0);
}

static struct pvio_bus_area *area_alloc(struct pvio_bus *bus,
					dma_addr_t *address)
{
	return dma_alloc_coherent(bus->dev, PVIO_AREA_BYTES, address,
				  GFP_KERNEL);
}

/* A device that was not heard of may still write: then its memory is lost. */
static void area_free(struct pvio_bus *bus, struct pvio_bus_area *area,
		      dma_addr_t address)
{
	if (area && (!bus->is_dead || bus->is_gone))
		dma_free_coherent(bus->dev, PVIO_AREA_BYTES, area, address);
}

/* The n-th CPU that is online. */
static unsigned int online_cpu(unsigned int n)
{
	unsigned int cpu;

	for_each_online_cpu(cpu)
		if (n-- == 0)
			return cpu;
	return cpumask_first(cpu_online_mask);
}

static int notify_start(struct pvio_bus *bus, unsigned int i)
{
	struct pvio_notify *n = &bus->notify[i];
	int rc;

	n->bus = bus;
	n->index = i;
	n->cpu = online_cpu(i);
	init_irq_work(&n->again, notify_again);
	tasklet_setup(&n->late, notify_late);
	n->area = area_alloc(bus, &n->address);
	if (!n->area)
		return -ENOMEM;
	memset(n->area, 0, PVIO_AREA_BYTES);
	snprintf(n->name, sizeof(n->name), "pvio_bus-%u@%s", i,
		 dev_name(bus->dev));
	rc = request_irq(bus->irqs[i], notify_interrupt, 0, n->name, n);
	if (rc)
		return rc;
	n->irq = bus->irqs[i];
	/* A wish: it works from any CPU. */
	irq_set_affinity_and_hint(n->irq, cpumask_of(n->cpu));
	return 0;
}

/*
 * One area for each CPU and its interrupt, while there are interrupts; with
 * delivery=direct one, for what has no interrupt of its own.
 */
int pvio_signals_start(struct pvio_bus *bus)
{
	unsigned int i;
	int rc;

	bus->nr_notify = bus->is_direct ? 1 :
					  min(num_online_cpus(), bus->nr_irqs);
	bus->nr_kick = bus->info.nr_kick_queues;
	bus->notify = kcalloc(bus->nr_notify, sizeof(*bus->notify), GFP_KERNEL);
	bus->kick = kcalloc(bus->nr_kick, sizeof(*bus->kick), GFP_KERNEL);
	if (!bus->notify || !bus->kick) {
		rc = -ENOMEM;
		goto stop;
	}
	for (i = 0; i < bus->nr_notify; i++) {
		rc = notify_start(bus, i);
		if (rc)
			goto stop;
	}
	for (i = 0; i < bus->nr_kick; i++) {
		bus->kick[i].area = area_alloc(bus, &bus->kick[i].address);
		if (!bus->kick[i].area) {
			rc = -ENOMEM;
			goto stop;
		}
	}
	return 0;

stop:
	pvio_signals_stop(bus);
	return rc;
}

/* After pvio_areas_unset(). */
void pvio_signals_stop(struct pvio_bus *bus)
{
	unsigned int i;

	for (i = 0; bus->notify && i < bus->nr_notify; i++) {
		struct pvio_notify *n = &bus->notify[i];

		if (n->irq) {
			irq_update_affinity_hint(n->irq, NULL);
			free_irq(n->irq, n);
			irq_work_sync(&n->again);
			tasklet_kill(&n->late);
		}
		area_free(bus, n->area, n->address);
	}
	for (i = 0; bus->kick && i < bus->nr_kick; i++)
		area_free(bus, bus->kick[i].area, bus->kick[i].address);
	if (bus->is_dead && !bus->is_gone)
		dev_warn(bus->dev, "its memory is not used again\n");
	kfree(bus->notify);
	kfree(bus->kick);
	bus->notify = NULL;
	bus->kick = NULL;
	bus->nr_notify = 0;
	bus->nr_kick = 0;
}
