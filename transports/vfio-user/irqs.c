/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * irqs.c - the client's eventfds for INTx and MSI-X
 *
 * MSI-X.  The client keeps the table.  A vector is masked exactly while it has
 * no eventfd, and pends meanwhile; so one is never masked by a message.
 * Messages are in use from the client's first word of them, or the guest's
 * enabling them in the capability, until neither holds: clients take eventfds
 * away and set them again while the guest has them enabled.  The client's word
 * outlives its connection, since who returns may map memory first, and what is
 * served before it sets its eventfds has to pend.  It is taken back by disabling
 * all of the index; and, unless vectors have eventfds then, by one for INTx or
 * by a reset.
 *
 * INTx.  The eventfd is written when the line goes up, and the line is masked by
 * that until the client unmasks it, by a message or by an eventfd of its own
 * (KVM's irqfd with resampling).  If it is still up then, it is told again.
 *
 *	line down --up--> told, masked --unmask--> line down: as at first
 *	                       ^                       up: told again
 *	                       '--------------------------'
 *
 * What happens while there is no eventfd waits for one: the line is told when
 * it gets one, and a vector delivers what pends.
 */
#include "vfio-user.h"

#include "core/eventfd.h"

#include <errno.h>
#include <event2/event.h>
#include <string.h>
#include <unistd.h>

#define IRQ_CAP_LIST	0x34
#define IRQ_CAP_MSIX	0x11
#define IRQ_MSIX_ENABLE 0x80 /* of the byte at cap + 3 */

/*
 * Write to the eventfd of @name, if there is one.  One that blocks would do so
 * each time: it is let go, and the client has to set another.
 */
static void irq_signal(const struct vfu *vfu, int *fd, const char *name)
{
	if (*fd < 0 || likely(pvio_eventfd_signal(*fd) != -EINTR))
		return;
	pvio_log(PVIO_LOG_WARNING, "%s: vfio-user: %s: eventfd blocks: let go",
		 vfu->pci->name, name);
	close(*fd);
	*fd = -1;
}

/* --- INTx ---------------------------------------------------------------- */

/* The line changed, or is to be told again.  Any thread, under its lock. */
static void vfu_intx_changed(void *arg, bool level)
{
	struct vfu *vfu = arg;
	struct vfu_intx *intx = &vfu->intx;

	if (!level)
		return;
	pthread_mutex_lock(&intx->lock);
	if (!intx->is_masked && intx->trigger_fd >= 0) {
		intx->is_masked = true;
		irq_signal(vfu, &intx->trigger_fd, "INTx");
	}
	pthread_mutex_unlock(&intx->lock);
}

static void intx_set_masked(struct vfu *vfu, bool is_masked)
{
	pthread_mutex_lock(&vfu->intx.lock);
	vfu->intx.is_masked = is_masked;
	pthread_mutex_unlock(&vfu->intx.lock);
	if (!is_masked)
		pvio_line_resample(&vfu->pci->intx);
}

/* Takes @fd, or -1. */
static void intx_set_trigger(struct vfu *vfu, int fd)
{
	int old;

	pthread_mutex_lock(&vfu->intx.lock);
	old = vfu->intx.trigger_fd;
	vfu->intx.trigger_fd = fd;
	pthread_mutex_unlock(&vfu->intx.lock);
	if (old >= 0)
		close(old);
	/* Whoever sets one up begins unmasked. */
	if (fd >= 0)
		intx_set_masked(vfu, false);
}

/*
 * Watched by edges and not read: the client shares the open file, so that a
 * read may block, and what it counts is no matter.
 */
static void intx_unmasked(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	intx_set_masked(arg, false);
}

/* Takes @fd, or -1. */
static int intx_set_unmask(struct vfu *vfu, int fd)
{
	struct event *event = NULL;

	if (fd >= 0) {
		event = event_new(vfu->base, fd, EV_READ | EV_PERSIST | EV_ET,
				  intx_unmasked, vfu);
		if (!event || event_add(event, NULL) < 0) {
			if (event)
				event_free(event);
			close(fd);
			return -ENOMEM;
		}
	}
	if (vfu->intx.unmask_event)
		event_free(vfu->intx.unmask_event);
	if (vfu->intx.unmask_fd >= 0)
		close(vfu->intx.unmask_fd);
	vfu->intx.unmask_event = event;
	vfu->intx.unmask_fd = fd;
	return 0;
}

/* Is @fd the one that unmasks, or that is triggered? */
static bool intx_has_fd(struct vfu *vfu, int fd, bool is_unmask)
{
	bool has;

	pthread_mutex_lock(&vfu->intx.lock);
	has = fd >= 0 &&
	      pvio_eventfd_is_same(fd, is_unmask ? vfu->intx.unmask_fd
						 : vfu->intx.trigger_fd);
	pthread_mutex_unlock(&vfu->intx.lock);
	return has;
}

static void intx_fire(struct vfu *vfu)
{
	pthread_mutex_lock(&vfu->intx.lock);
	irq_signal(vfu, &vfu->intx.trigger_fd, "INTx");
	pthread_mutex_unlock(&vfu->intx.lock);
}

/* --- MSI-X --------------------------------------------------------------- */

static bool msix_is_enabled_by_guest(const struct vfu *vfu)
{
	const uint8_t *config = vfu->pci->config;
	unsigned int at = config[IRQ_CAP_LIST];

	while (at && config[at] != IRQ_CAP_MSIX)
		at = config[at + 1];
	return at && config[at + 3] & IRQ_MSIX_ENABLE;
}

void vfu_irqs_route(struct vfu *vfu)
{
	bool is_enabled = vfu->has_msix || msix_is_enabled_by_guest(vfu);

	if (is_enabled != vfu->pci->msix.is_enabled)
		pvio_msix_control(&vfu->pci->msix, is_enabled, false);
}

static void msix_set_used(struct vfu *vfu, bool is_used)
{
	vfu->has_msix = is_used;
	vfu_irqs_route(vfu);
}

static bool msix_has_fd(struct vfu *vfu)
{
	unsigned int i;

	for (i = 0; i < vfu->pci->msix.nr; i++)
		if (pvio_msix_has_fd(&vfu->pci->msix, i))
			return true;
	return false;
}

void vfu_irqs_review(struct vfu *vfu)
{
	msix_set_used(vfu, vfu->has_msix && msix_has_fd(vfu));
}

static void msix_drop(struct vfu *vfu)
{
	unsigned int i;

	for (i = 0; i < vfu->pci->msix.nr; i++)
		(void)pvio_msix_set_fd(&vfu->pci->msix, i, -1);
}

/* --- all of them --------------------------------------------------------- */

int vfu_irqs_init(struct vfu *vfu)
{
	vfu->intx.trigger_fd = vfu->intx.unmask_fd = -1;
	vfu->other_fd[0] = vfu->other_fd[1] = -1;
	vfu->pci->msix.is_external = true;
	vfu->pci->intx.set = vfu_intx_changed;
	vfu->pci->intx.arg = vfu;
	return -pthread_mutex_init(&vfu->intx.lock, NULL);
}

static void other_set(struct vfu *vfu, uint32_t index, int fd)
{
	int *other = &vfu->other_fd[index - VFU_IRQ_ERR];

	if (*other >= 0)
		close(*other);
	*other = fd;
}

void vfu_irqs_drop(struct vfu *vfu)
{
	intx_set_trigger(vfu, -1);
	(void)intx_set_unmask(vfu, -1);
	msix_drop(vfu);
	other_set(vfu, VFU_IRQ_ERR, -1);
	other_set(vfu, VFU_IRQ_REQ, -1);
}

void vfu_irqs_fini(struct vfu *vfu)
{
	vfu_irqs_drop(vfu);
	pthread_mutex_destroy(&vfu->intx.lock);
}

static uint32_t irq_count(const struct vfu *vfu, uint32_t index)
{
	if (index == VFU_IRQ_MSIX)
		return vfu->pci->msix.nr;
	if (index == VFU_IRQ_INTX)
		return vfu->pci->id.has_intx;
	return index == VFU_IRQ_MSI ? 0 : 1;
}

int vfu_get_irq_info(struct vfu_session *s, struct vfu_message *msg)
{
	struct vfu_irq_info info;

	memcpy(&info, msg->payload, sizeof(info));
	if (info.argsz < sizeof(info) || info.index >= VFU_NR_IRQS)
		return vfu_refuse(s, -EINVAL, "index %u, argsz %u", info.index,
				  info.argsz);
	info.argsz = sizeof(info);
	info.flags = VFU_IRQ_EVENTFD;
	if (info.index == VFU_IRQ_INTX)
		info.flags |= VFU_IRQ_MASKABLE | VFU_IRQ_AUTOMASKED;
	info.count = irq_count(s->vfu, info.index);
	vfu_reply(s, &info, sizeof(info), -1);
	return VFU_REPLIED;
}

/* --- SET_IRQS ------------------------------------------------------------ */

static bool is_one_bit(uint32_t bits)
{
	return bits && !(bits & (bits - 1));
}

static int irqs_check(struct vfu_session *s, const struct vfu_irq_set *set,
		      const struct vfu_message *msg)
{
	size_t data = msg->size - sizeof(*set);
	unsigned int nr_fds = msg->fds.nr;
	bool ok;

	ok = set->argsz >= sizeof(*set) && set->index < VFU_NR_IRQS &&
	     !(set->flags & ~(VFU_IRQ_DATA_MASK | VFU_IRQ_ACTIONS)) &&
	     is_one_bit(set->flags & VFU_IRQ_DATA_MASK) &&
	     is_one_bit(set->flags & VFU_IRQ_ACTIONS) &&
	     pvio_range_ok(set->start, set->count,
			   irq_count(s->vfu, set->index));
	if (ok && set->flags & VFU_IRQ_DATA_NONE)
		/* None of them: the whole index, which only a trigger has. */
		ok = data == 0 && nr_fds == 0 &&
		     (set->count > 0 ||
		      (set->start == 0 &&
		       set->flags & VFU_IRQ_ACTION_TRIGGER));
	else if (ok && set->flags & VFU_IRQ_DATA_BOOL)
		ok = data == set->count && nr_fds == 0 && set->count > 0;
	else if (ok)
		ok = data == 0 && set->count > 0 &&
		     (nr_fds == 0 || nr_fds == set->count);
	if (ok)
		return 0;
	return vfu_refuse(s, -EINVAL,
			  "index %u, %u of them from %u, flags 0x%x, %zu bytes, "
			  "%u fds",
			  set->index, set->count, set->start, set->flags, data,
			  nr_fds);
}

/* Is entry @i of those that are meant to be acted upon? */
static bool irqs_has(const struct vfu_irq_set *set,
		     const struct vfu_message *msg, uint32_t i)
{
	return set->flags & VFU_IRQ_DATA_NONE ||
	       msg->payload[sizeof(*set) + i];
}

static int irqs_msix(struct vfu_session *s, const struct vfu_irq_set *set,
		     const struct vfu_message *msg)
{
	struct pvio_msix *msix = &s->vfu->pci->msix;
	uint32_t i;
	int rc;

	if (!(set->flags & VFU_IRQ_ACTION_TRIGGER))
		return vfu_refuse(s, -EINVAL, "MSI-X is not masked so");
	if (set->count == 0) {
		msix_drop(s->vfu);
		msix_set_used(s->vfu, false);
		return VFU_DONE;
	}
	/* All of them, or none. */
	for (i = 0; i < msg->fds.nr; i++)
		if (!pvio_eventfd_is(msg->fds.fd[i]))
			return vfu_refuse(s, -EINVAL, "not an eventfd");
	if (set->flags & VFU_IRQ_DATA_EVENTFD)
		msix_set_used(s->vfu, true);
	for (i = 0; i < set->count; i++) {
		if (!(set->flags & VFU_IRQ_DATA_EVENTFD)) {
			if (irqs_has(set, msg, i))
				pvio_msix_fire(msix, set->start + i);
			continue;
		}
		rc = pvio_msix_set_fd(msix, set->start + i,
				      msg->fds.nr ? msg->fds.fd[i] : -1);
		if (rc < 0)
			return vfu_refuse(s, rc, "vector %u: %s",
					  set->start + i, strerror(-rc));
	}
	return VFU_DONE;
}

/* Our own duplicate of the message's fd, or -1 for none.  -errno (not -1). */
static int irqs_take_fd(struct vfu_session *s, const struct vfu_message *msg,
			int *fd)
{
	*fd = -1;
	if (msg->fds.nr == 0)
		return 0;
	*fd = pvio_eventfd_dup(msg->fds.fd[0]);
	return *fd < 0 ? vfu_refuse(s, *fd, "not an eventfd") : 0;
}

static int irqs_intx(struct vfu_session *s, const struct vfu_irq_set *set,
		     const struct vfu_message *msg)
{
	bool is_fd = set->flags & VFU_IRQ_DATA_EVENTFD, is_unmask;
	struct vfu *vfu = s->vfu;
	int fd, rc;

	if (is_fd && set->flags & VFU_IRQ_ACTION_MASK)
		return vfu_refuse(s, -ENOTSUP, "INTx is not masked so");
	if (is_fd) {
		rc = irqs_take_fd(s, msg, &fd);
		if (rc < 0)
			return rc;
		is_unmask = set->flags & VFU_IRQ_ACTION_UNMASK;
		if (intx_has_fd(vfu, fd, !is_unmask)) {
			close(fd);
			return vfu_refuse(s, -EINVAL,
					  "what INTx triggers would unmask it");
		}
		if (is_unmask)
			return intx_set_unmask(vfu, fd);
		/* Who wants the line has done with messages. */
		if (fd >= 0)
			vfu_irqs_review(vfu);
		intx_set_trigger(vfu, fd);
		return VFU_DONE;
	}
	if (set->count == 0) {
		intx_set_trigger(vfu, -1);
		return intx_set_unmask(vfu, -1);
	}
	if (!irqs_has(set, msg, 0))
		return VFU_DONE;
	if (set->flags & VFU_IRQ_ACTION_TRIGGER)
		intx_fire(vfu);
	else
		intx_set_masked(vfu, set->flags & VFU_IRQ_ACTION_MASK);
	return VFU_DONE;
}

/* Errors and requests to let go: only who asks for one hears of it. */
static int irqs_other(struct vfu_session *s, const struct vfu_irq_set *set,
		      const struct vfu_message *msg)
{
	int fd, rc;

	if (!(set->flags & VFU_IRQ_ACTION_TRIGGER))
		return vfu_refuse(s, -EINVAL, "index %u is not masked",
				  set->index);
	if (!(set->flags & VFU_IRQ_DATA_EVENTFD)) {
		if (set->count == 0)
			other_set(s->vfu, set->index, -1);
		else if (irqs_has(set, msg, 0))
			irq_signal(s->vfu,
				   &s->vfu->other_fd[set->index - VFU_IRQ_ERR],
				   set->index == VFU_IRQ_ERR ? "ERR" : "REQ");
		return VFU_DONE;
	}
	rc = irqs_take_fd(s, msg, &fd);
	if (rc == 0)
		other_set(s->vfu, set->index, fd);
	return rc;
}

int vfu_set_irqs(struct vfu_session *s, struct vfu_message *msg)
{
	struct vfu_irq_set set;
	int rc;

	memcpy(&set, msg->payload, sizeof(set));
	rc = irqs_check(s, &set, msg);
	if (rc < 0)
		return rc;
	switch (set.index) {
	case VFU_IRQ_INTX:
		return irqs_intx(s, &set, msg);
	case VFU_IRQ_MSIX:
		return irqs_msix(s, &set, msg);
	case VFU_IRQ_MSI:
		return VFU_DONE; /* all none of them */
	default:
		return irqs_other(s, &set, msg);
	}
}
