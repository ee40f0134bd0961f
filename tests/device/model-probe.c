/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * model-probe.c - see probe.h
 */
#include "probe.h"

#include <errno.h>
#include <string.h>

static void probe_enter(void)
{
	probe_count(&probe.in_callback);
}

static void probe_leave(void)
{
	__atomic_fetch_sub(&probe.in_callback, 1, __ATOMIC_SEQ_CST);
}

static enum pvio_kick probe_kick(void *model, struct pvio_vq *vq)
{
	struct probe_queue *q = &probe.queue[vq->index];
	enum pvio_kick report = pvio_load_once(&probe.report);
	struct pvio_chain *chain;

	(void)model;
	probe_enter();
	probe_count(&q->kicks);
	while ((chain = pvio_vq_pop(vq)) != NULL) {
		if (pvio_load_once(&probe.hold))
			probe_keep(q, chain);
		else
			probe_answer(vq, chain);
	}
	probe_leave();
	return report;
}

static enum pvio_kick probe_discard(void *model, struct pvio_vq *vq)
{
	struct pvio_chain *chain;

	(void)model;
	while ((chain = pvio_vq_pop(vq)) != NULL) {
		probe_count(&probe.queue[vq->index].discards);
		pvio_vq_push(vq, chain, 0);
	}
	pvio_vq_flush_soon(vq);
	return PVIO_KICK_DRAINED;
}

static int probe_start_queue(void *model, struct pvio_vq *vq)
{
	(void)model;
	if (pvio_load_once(&probe.start_error))
		return pvio_load_once(&probe.start_error);
	probe_count(&probe.queue[vq->index].starts);
	return 0;
}

static void probe_stop_queue(void *model, struct pvio_vq *vq)
{
	(void)model;
	probe_count(&probe.queue[vq->index].stops);
}

static void probe_idle_queue(void *model, struct pvio_vq *vq)
{
	(void)model;
	probe_count(&probe.queue[vq->index].idles);
}

static int probe_check_features(void *model, const struct pvio_features *f)
{
	(void)model;
	if (pvio_feature_has(f, PROBE_F_NEEDS_BASE) &&
	    !pvio_feature_has(f, PROBE_F_BASE))
		return -EINVAL;
	return 0;
}

static void probe_set_features(void *model, const struct pvio_features *f)
{
	(void)model;
	probe.features = *f;
}

static void probe_reset(void *model)
{
	(void)model;
	probe.resets++;
	probe.config.writable = 0;
}

static void probe_read_config(void *model, void *config)
{
	struct probe_config le = {
		.changes = htole32(probe.config.changes),
		.writable = htole32(probe.config.writable),
	};

	(void)model;
	memcpy(config, &le, sizeof(le));
}

static int probe_write_config(void *model, size_t offset, const void *data,
			      size_t len)
{
	uint32_t le;

	(void)model;
	if (offset != offsetof(struct probe_config, writable) ||
	    len != sizeof(le))
		return -EINVAL;
	memcpy(&le, data, sizeof(le));
	probe.config.writable = le32toh(le);
	return 0;
}

static int probe_run_poke(void *model, const char *argument, char *answer,
			  size_t size)
{
	(void)argument;
	probe.config.changes++;
	pvio_device_config_changed(model);
	if (size > 0)
		answer[0] = '\0';
	return 0;
}

static const struct pvio_command probe_commands[] = {
	{ "poke", probe_run_poke },
	{ NULL, NULL },
};

static int probe_create(struct pvio_device *dev, struct pvio_config *cfg,
			void **model)
{
	(void)cfg;
	if (probe.create_error)
		return probe.create_error;
	*model = dev;
	return 0;
}

static void probe_destroy(void *model)
{
	(void)model;
	probe.destroys++;
}

static const struct pvio_model_ops probe_ops = {
	.abi		= PVIO_PLUGIN_ABI,
	.name		= "probe",
	.device_id	= 4242,
	.features	= { PVIO_BIT(PROBE_F_BASE) |
			    PVIO_BIT(PROBE_F_NEEDS_BASE),
			    PVIO_BIT(PROBE_F_HIGH - 64) },
	.max_queues	= PROBE_QUEUES,
	.queue_size	= PROBE_QUEUE_SIZE,
	.config_size	= sizeof(struct probe_config),
	.create		= probe_create,
	.destroy	= probe_destroy,
	.check_features	= probe_check_features,
	.set_features	= probe_set_features,
	.reset		= probe_reset,
	.start_queue	= probe_start_queue,
	.stop_queue	= probe_stop_queue,
	.idle_queue	= probe_idle_queue,
	.kick		= probe_kick,
	.discard	= probe_discard,
	.read_config	= probe_read_config,
	.write_config	= probe_write_config,
	.commands	= probe_commands,
};

PVIO_PLUGIN(model, probe, probe_ops);
