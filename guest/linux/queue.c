// SPDX-License-Identifier: GPL-2.0-only
/*
 * queue.c - virtqueues: made, routed to CPUs, reset
 *
 * A queue's interrupts come as a signal in the notify queue of a CPU: of the
 * CPUs that use it, when the driver says so, else in turn.  With
 * delivery=direct they are an interrupt of its own, while there are any left.
 */
#include <linux/delay.h>
#include <linux/device.h>
#include <linux/interrupt.h>
#include <linux/slab.h>

#include "pvio_bus.h"

static struct pvio_bus *queue_bus(struct pvio_queue *q)
{
	return q->pv->bus;
}

/* Called by the driver after each batch, in any context. */
static bool queue_notify(struct virtqueue *vq)
{
	struct pvio_queue *q = vq->priv;
	struct pvio_bus *bus = queue_bus(q);

	if (unlikely(READ_ONCE(bus->is_dead)))
		return false;
	pvio_kick(bus, READ_ONCE(q->kick_queue), READ_ONCE(q->signal));
	return true;
}

/* --- routes ---------------------------------------------------------------- */

static irqreturn_t queue_interrupt(int irq, void *data)
{
	struct pvio_queue *q = data;

	pvio_count(queue_bus(q), interrupts);
	vring_interrupt(irq, q->vq);
	return IRQ_HANDLED;
}

/* An interrupt of its own; false: there is none. */
static bool queue_take_interrupt(struct pvio_queue *q)
{
	struct pvio_bus *bus = queue_bus(q);
	unsigned int n;
	int rc;

	mutex_lock(&bus->targets_lock);
	n = find_first_zero_bit(bus->direct, bus->nr_irqs);
	if (n < bus->nr_irqs)
		__set_bit(n, bus->direct);
	mutex_unlock(&bus->targets_lock);
	if (n >= bus->nr_irqs)
		return false;
	snprintf(q->name, sizeof(q->name), "%s-%s", dev_name(&q->pv->vdev.dev),
		 q->vq->name);
	rc = request_irq(bus->irqs[n], queue_interrupt, 0, q->name, q);
	if (rc) {
		mutex_lock(&bus->targets_lock);
		__clear_bit(n, bus->direct);
		mutex_unlock(&bus->targets_lock);
		return false;
	}
	q->irq = bus->irqs[n];
	q->notify = n;
	return true;
}

static void queue_give_interrupt(struct pvio_queue *q)
{
	struct pvio_bus *bus = queue_bus(q);

	if (!q->irq)
		return;
	irq_update_affinity_hint(q->irq, NULL);
	free_irq(q->irq, q);
	q->irq = 0;
	mutex_lock(&bus->targets_lock);
	__clear_bit(q->notify, bus->direct);
	mutex_unlock(&bus->targets_lock);
}

static void queue_withdraw(struct pvio_queue *q)
{
	if (q->is_published)
		pvio_target_withdraw(queue_bus(q), q->signal);
	q->is_published = false;
}

/* Tell the device where notifications go, and learn how to kick. */
static int queue_route(struct pvio_queue *q)
{
	struct pvio_bus_route_in in = {
		.device = q->pv->number,
		.mode = !q->has_interrupts ? PVIO_BUS_ROUTE_NONE :
			q->irq		   ? PVIO_BUS_ROUTE_DIRECT :
					     PVIO_BUS_ROUTE_SIGNAL,
		.level = PVIO_LEVEL_QUEUE,
		.queue = q->vq->index,
		.notify_queue = q->notify,
	};
	struct pvio_bus_route_out out;
	int rc;

	if (READ_ONCE(q->pv->is_removed))
		return -ENODEV;
	rc = pvio_route(queue_bus(q), &in, &out);
	if (rc)
		return rc;
	if (q->signal != out.signal)
		queue_withdraw(q);
	WRITE_ONCE(q->signal, out.signal);
	WRITE_ONCE(q->kick_queue, out.kick_queue);
	if (in.mode != PVIO_BUS_ROUTE_SIGNAL || q->is_published)
		return 0;
	rc = pvio_target_publish(queue_bus(q), q->signal, &q->target);
	q->is_published = !rc;
	return rc;
}

static int config_route(struct pvio_vdev *pv)
{
	struct pvio_bus_route_in in = {
		.device = pv->number,
		.mode = PVIO_BUS_ROUTE_SIGNAL,
		.level = PVIO_LEVEL_CONTROL,
		.queue = PVIO_BUS_QUEUE_CONFIG,
	};
	struct pvio_bus_route_out out;
	int rc;

	if (READ_ONCE(pv->is_removed))
		return -ENODEV;
	rc = pvio_route(pv->bus, &in, &out);
	if (rc)
		return rc;
	rc = pvio_target_publish(pv->bus, out.signal, &pv->config);
	if (!rc)
		pv->config_signal = out.signal;
	return rc;
}

/* --- affinity -------------------------------------------------------------- */

/*
 * Of the queues that a driver wants spread, number @n of @nr serves the CPUs
 * that are the n-th part of all.  Nothing, if there are more queues than CPUs.
 */
static void queue_spread(struct pvio_queue *q, unsigned int n, unsigned int nr)
{
	unsigned int cpu, i = 0, cpus = num_possible_cpus();

	for_each_possible_cpu(cpu)
		if (i++ * nr / cpus == n)
			cpumask_set_cpu(cpu, q->affinity);
	q->is_spread = true;
}

/*
 * The notify queue of one of the CPUs of @mask, or of any.  Devices go round, and
 * the queues of one stay together: what a card has sent and what it has received
 * are one interrupt then.
 */
static unsigned int queue_notify_of(struct pvio_queue *q,
				    const struct cpumask *mask)
{
	unsigned int n, cpu, nr = 0;

	for_each_cpu_and(cpu, mask, cpu_online_mask)
		nr++;
	if (!nr)
		return q->pv->number % queue_bus(q)->nr_notify;
	n = q->pv->number % nr;
	for_each_cpu_and(cpu, mask, cpu_online_mask)
		if (n-- == 0)
			break;
	return pvio_notify_of_cpu(queue_bus(q), cpu);
}

static void queue_place(struct pvio_queue *q)
{
	struct pvio_bus *bus = queue_bus(q);

	if (bus->is_direct && queue_take_interrupt(q)) {
		if (cpumask_intersects(q->affinity, cpu_online_mask))
			irq_set_affinity_and_hint(q->irq, q->affinity);
		return;
	}
	q->notify = queue_notify_of(q, q->affinity);
}

/* The driver uses @vq from the CPUs of @mask, or (NULL) from anywhere. */
int pvio_set_vq_affinity(struct virtqueue *vq, const struct cpumask *mask)
{
	struct pvio_queue *q = vq->priv;

	if (!q->has_interrupts)
		return -EINVAL;
	if (q->irq) {
		if (!mask)
			return irq_update_affinity_hint(q->irq, NULL);
		cpumask_copy(q->affinity, mask);
		return irq_set_affinity_and_hint(q->irq, q->affinity);
	}
	q->notify = queue_notify_of(q, mask ? mask : cpu_none_mask);
	return queue_route(q);
}

const struct cpumask *pvio_get_vq_affinity(struct virtio_device *vdev,
					   int index)
{
	struct pvio_queue *q;

	list_for_each_entry(q, &to_pvio_vdev(vdev)->queues, node)
		if (q->vq->index == index)
			return q->is_spread ? q->affinity : NULL;
	return NULL;
}

/* --- made and deleted ------------------------------------------------------ */

/* Withdrawn, and no interrupt of it is being served: see del_vqs. */
static void queue_delete(struct pvio_queue *q)
{
	list_del(&q->node);
	vring_del_virtqueue(q->vq);
	free_cpumask_var(q->affinity);
	kfree(q);
}

static int queue_enable(struct pvio_queue *q)
{
	struct virtqueue *vq = q->vq;
	struct pvio_bus_set_queue_in in = {
		.index = vq->index,
		.flags = PVIO_BUS_QUEUE_ENABLE,
		.size = virtqueue_get_vring_size(vq),
		.desc = virtqueue_get_desc_addr(vq),
		.driver = virtqueue_get_avail_addr(vq),
		.device = virtqueue_get_used_addr(vq),
	};

	return pvio_vdev_call(q->pv, PVIO_BUS_SET_VQUEUE, &in, sizeof(in), NULL,
			      0);
}

/* What the device says of queue @index. */
static int queue_ask(struct pvio_vdev *pv, u32 index,
		     struct pvio_bus_queue_out *out)
{
	return pvio_vdev_call(pv, PVIO_BUS_GET_VQUEUE, &index, sizeof(index),
			      out, sizeof(*out));
}

/* A queue that the device does not know yet, in pv->queues. */
static struct pvio_queue *queue_create(struct pvio_vdev *pv, u32 index,
				       const struct virtqueue_info *info)
{
	struct pvio_bus_queue_out out;
	struct pvio_queue *q;
	int rc;

	if (index >= pv->nr_queues)
		return ERR_PTR(-ENOENT);
	rc = queue_ask(pv, index, &out);
	if (rc)
		return ERR_PTR(rc);
	if (!out.max_size || out.max_size > 32768 ||
	    out.flags & PVIO_BUS_QUEUE_ENABLED)
		return ERR_PTR(-ENOENT);
	q = kzalloc(sizeof(*q), GFP_KERNEL);
	if (!q)
		return ERR_PTR(-ENOMEM);
	rc = -ENOMEM;
	if (!zalloc_cpumask_var(&q->affinity, GFP_KERNEL))
		goto free;
	q->vq = vring_create_virtqueue(index, out.max_size, SMP_CACHE_BYTES,
				       &pv->vdev, true, true, info->ctx,
				       queue_notify, info->callback,
				       info->name);
	if (!q->vq)
		goto free_affinity;
	q->vq->num_max = out.max_size;
	q->vq->priv = q;
	q->pv = pv;
	q->signal = PVIO_NO_SIGNAL;
	q->has_interrupts = info->callback;
	pvio_target_init(&q->target);
	q->target.kind = PVIO_FOR_QUEUE;
	q->target.vq = q->vq;
	list_add_tail(&q->node, &pv->queues);
	return q;

free_affinity:
	free_cpumask_var(q->affinity);
free:
	kfree(q);
	return ERR_PTR(rc);
}

/* Those that a driver wants spread: with interrupts, but for both ends. */
static bool is_to_spread(const struct virtqueue_info infos[], unsigned int i,
			 unsigned int nr, const struct irq_affinity *desc)
{
	return desc && infos[i].name && infos[i].callback &&
	       i >= desc->pre_vectors && i + desc->post_vectors < nr;
}

int pvio_find_vqs(struct virtio_device *vdev, unsigned int nr,
		  struct virtqueue *vqs[], struct virtqueue_info infos[],
		  struct irq_affinity *desc)
{
	struct pvio_vdev *pv = to_pvio_vdev(vdev);
	unsigned int i, n = 0, nr_spread = 0;
	struct pvio_queue *q;
	u32 index = 0;
	int rc;

	for (i = 0; i < nr; i++)
		nr_spread += is_to_spread(infos, i, nr, desc);
	rc = config_route(pv);
	if (rc)
		return rc;
	for (i = 0; i < nr; i++) {
		vqs[i] = NULL;
		if (!infos[i].name)
			continue;
		q = queue_create(pv, index++, &infos[i]);
		if (IS_ERR(q)) {
			rc = PTR_ERR(q);
			goto delete;
		}
		if (is_to_spread(infos, i, nr, desc))
			queue_spread(q, n++, nr_spread);
		if (q->has_interrupts)
			queue_place(q);
		rc = queue_route(q);
		if (!rc)
			rc = queue_enable(q);
		if (rc)
			goto delete;
		vqs[i] = q->vq;
	}
	return 0;

delete:
	dev_err(&vdev->dev, "queue %u: %d\n", index - 1, rc);
	pvio_del_vqs(vdev);
	return rc;
}

/* The driver has reset the device, or not yet said that it is ready. */
void pvio_del_vqs(struct virtio_device *vdev)
{
	struct pvio_vdev *pv = to_pvio_vdev(vdev);
	struct pvio_queue *q, *next;

	if (pv->config_signal != PVIO_NO_SIGNAL)
		pvio_target_withdraw(pv->bus, pv->config_signal);
	pv->config_signal = PVIO_NO_SIGNAL;
	list_for_each_entry(q, &pv->queues, node) {
		queue_withdraw(q);
		queue_give_interrupt(q);
	}
	pvio_signals_sync(pv->bus);
	list_for_each_entry_safe(q, next, &pv->queues, node)
		queue_delete(q);
}

void pvio_synchronize_cbs(struct virtio_device *vdev)
{
	struct pvio_vdev *pv = to_pvio_vdev(vdev);
	struct pvio_queue *q;

	pvio_signals_sync(pv->bus);
	list_for_each_entry(q, &pv->queues, node)
		if (q->irq)
			synchronize_irq(q->irq);
}

/* --- reset of one queue ---------------------------------------------------- */

int pvio_disable_vq_and_reset(struct virtqueue *vq)
{
	struct pvio_queue *q = vq->priv;
	struct pvio_bus_queue_out out;
	u32 index = vq->index;
	int rc;

	if (!(vq->vdev->features & BIT_ULL(PVIO_F_RING_RESET)))
		return -ENOENT;
	rc = pvio_vdev_call(q->pv, PVIO_BUS_RESET_VQUEUE, &index, sizeof(index),
			    NULL, 0);
	if (!rc)
		rc = queue_ask(q->pv, index, &out);
	while (!rc && out.flags & PVIO_BUS_QUEUE_ENABLED) {
		msleep(1);
		rc = queue_ask(q->pv, index, &out);
	}
	if (rc)
		return rc;
	vq->reset = true;
#ifdef CONFIG_VIRTIO_HARDEN_NOTIFICATION
	__virtqueue_break(vq);
#endif
	queue_withdraw(q);
	pvio_synchronize_cbs(vq->vdev);
	return 0;
}

int pvio_enable_vq_after_reset(struct virtqueue *vq)
{
	struct pvio_queue *q = vq->priv;
	int rc;

	if (!vq->reset)
		return -EBUSY;
	rc = queue_route(q);
	if (!rc)
		rc = queue_enable(q);
	if (rc)
		return rc;
#ifdef CONFIG_VIRTIO_HARDEN_NOTIFICATION
	__virtqueue_unbreak(vq);
#endif
	vq->reset = false;
	return 0;
}
