/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device-stats.c - a device's counters, as JSON
 *
 * Names are stable: programs read them.  Counters only grow, until the device
 * is created anew.
 *
 *	name, model, transport		strings
 *	state		"idle", "running", "needs-reset"
 *	status		the status register
 *	features	negotiated, 32 hex digits
 *	memory		{ regions, bytes }
 *	connection	what the transport knows of its peer, or absent
 *	queues[]	index, running, enabled, size,
 *			kicks, polls, requests, completions, in_flight,
 *			flushes, notifications, suppressed, bytes_in, bytes_out
 *	  faults	by class, see pvio_fault_names
 *	  latency	on request; by stage, see pvio_stage_names:
 *			count, mean_ns, p50_ns, p90_ns, p99_ns, max_ns, and
 *			buckets[], in which [b] counts 2^b to 2^(b+1) ns
 *
 * The percentiles are upper bounds of buckets.  The control thread reads the
 * counters while workers write them: each is whole, together they may be a
 * request apart.
 */
#include "device-internal.h"
#include "json.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>

#define STATS_DESCRIBE_BYTES 1024

static bool stats_add_count(struct json_object *object, const char *key,
			    const uint64_t *counter)
{
	return pvio_json_add_u64(object, key, pvio_load_once(counter));
}

/* --- latency ------------------------------------------------------------- */

static void histogram_copy(struct pvio_histogram *to,
			   const struct pvio_histogram *from)
{
	unsigned int i;

	to->count = 0;
	to->sum_ns = pvio_load_once(&from->sum_ns);
	/* Counted from the buckets, so that the percentiles add up. */
	for (i = 0; i < PVIO_HISTOGRAM_BUCKETS; i++) {
		to->bucket[i] = pvio_load_once(&from->bucket[i]);
		to->count += to->bucket[i];
	}
}

static struct json_object *stats_histogram(const struct pvio_histogram *from)
{
	struct json_object *object = json_object_new_object();
	struct json_object *buckets = json_object_new_array();
	struct pvio_histogram h;
	unsigned int i;
	bool ok;

	histogram_copy(&h, from);
	ok = object && buckets;
	for (i = 0; ok && i < PVIO_HISTOGRAM_BUCKETS; i++) {
		struct json_object *n = json_object_new_uint64(h.bucket[i]);

		ok = n && json_object_array_add(buckets, n) == 0;
		if (!ok)
			json_object_put(n);
	}
	ok = ok && pvio_json_add_u64(object, "count", h.count) &&
	     pvio_json_add_u64(object, "mean_ns",
			       h.count ? h.sum_ns / h.count : 0) &&
	     pvio_json_add_u64(object, "p50_ns",
			       pvio_histogram_percentile(&h, 50)) &&
	     pvio_json_add_u64(object, "p90_ns",
			       pvio_histogram_percentile(&h, 90)) &&
	     pvio_json_add_u64(object, "p99_ns",
			       pvio_histogram_percentile(&h, 99)) &&
	     pvio_json_add_u64(object, "max_ns",
			       pvio_histogram_percentile(&h, 100));
	if (!ok) {
		json_object_put(buckets);
		json_object_put(object);
		return NULL;
	}
	if (!pvio_json_add(object, "buckets", buckets)) {
		json_object_put(object);
		return NULL;
	}
	return object;
}

static struct json_object *stats_latency(const struct pvio_vq_stats *stats)
{
	struct json_object *object = json_object_new_object();
	unsigned int i;

	for (i = 0; object && i < PVIO_NR_STAGES; i++) {
		if (pvio_json_add(object, pvio_stage_names[i],
				  stats_histogram(&stats->stage[i])))
			continue;
		json_object_put(object);
		return NULL;
	}
	return object;
}

/* --- queues -------------------------------------------------------------- */

static struct json_object *stats_faults(const struct pvio_vq_stats *stats)
{
	struct json_object *object = json_object_new_object();
	unsigned int i;

	for (i = 0; object && i < PVIO_NR_FAULTS; i++) {
		if (stats_add_count(object, pvio_fault_names[i],
				    &stats->faults[i]))
			continue;
		json_object_put(object);
		return NULL;
	}
	return object;
}

static bool stats_add_counters(struct json_object *object,
			       const struct pvio_vq_stats *s)
{
	uint64_t requests = pvio_load_once(&s->requests);
	uint64_t completions = pvio_load_once(&s->completions);

	return stats_add_count(object, "kicks", &s->kicks) &&
	       stats_add_count(object, "polls", &s->polls) &&
	       pvio_json_add_u64(object, "requests", requests) &&
	       pvio_json_add_u64(object, "completions", completions) &&
	       pvio_json_add_u64(object, "in_flight",
				 requests > completions ? requests - completions
							: 0) &&
	       stats_add_count(object, "flushes", &s->flushes) &&
	       stats_add_count(object, "notifications", &s->notifications) &&
	       stats_add_count(object, "suppressed", &s->suppressed) &&
	       stats_add_count(object, "bytes_in", &s->bytes_in) &&
	       stats_add_count(object, "bytes_out", &s->bytes_out);
}

static struct json_object *stats_queue(const struct pvio_device *dev,
				       unsigned int index, bool with_latency)
{
	const struct pvio_vq_control *ctl = &dev->controls[index];
	const struct pvio_vq *vq = &dev->vqs[index];
	struct json_object *object = json_object_new_object();

	if (object && pvio_json_add_u64(object, "index", index) &&
	    pvio_json_add_bool(object, "running", ctl->is_running) &&
	    pvio_json_add_bool(object, "enabled",
			       pvio_load_once(&vq->enabled)) &&
	    pvio_json_add_u64(object, "size",
			      ctl->is_running ? ctl->setup.size : 0) &&
	    stats_add_counters(object, &vq->stats) &&
	    pvio_json_add(object, "faults", stats_faults(&vq->stats)) &&
	    (!with_latency ||
	     pvio_json_add(object, "latency", stats_latency(&vq->stats))))
		return object;
	json_object_put(object);
	return NULL;
}

static struct json_object *stats_queues(const struct pvio_device *dev,
					bool with_latency)
{
	struct json_object *array = json_object_new_array();
	unsigned int i;

	for (i = 0; array && i < dev->nr_queues; i++) {
		struct json_object *queue = stats_queue(dev, i, with_latency);

		if (queue && json_object_array_add(array, queue) == 0)
			continue;
		json_object_put(queue);
		json_object_put(array);
		return NULL;
	}
	return array;
}

/* --- device -------------------------------------------------------------- */

static const char *stats_state(const struct pvio_device *dev)
{
	if (dev->status & VIRTIO_CONFIG_S_NEEDS_RESET)
		return "needs-reset";
	return pvio_device_any_running(dev) ? "running" : "idle";
}

static struct json_object *stats_memory(const struct pvio_map *map)
{
	struct json_object *object = json_object_new_object();
	uint64_t bytes = 0;
	unsigned int i;

	for (i = 0; i < map->nr; i++)
		bytes += map->region[i].size;
	if (object && pvio_json_add_u64(object, "regions", map->nr) &&
	    pvio_json_add_u64(object, "bytes", bytes))
		return object;
	json_object_put(object);
	return NULL;
}

/* The transport's members, if it has any to say and they are JSON. */
static bool stats_add_device(struct json_object *object,
			     const struct pvio_device *dev)
{
	char features[33], connection[STATS_DESCRIBE_BYTES] = "";

	snprintf(features, sizeof(features), "%016" PRIx64 "%016" PRIx64,
		 dev->features.word[1], dev->features.word[0]);
	if (!pvio_json_add_string(object, "name", dev->name) ||
	    !pvio_json_add_string(object, "model", dev->model_ops->name) ||
	    !pvio_json_add_string(object, "transport",
				  dev->transport_ops->name) ||
	    !pvio_json_add_string(object, "state", stats_state(dev)) ||
	    !pvio_json_add_u64(object, "status", dev->status) ||
	    !pvio_json_add_string(object, "features", features) ||
	    !pvio_json_add(object, "memory", stats_memory(dev->map)))
		return false;
	if (dev->transport_ops->describe)
		dev->transport_ops->describe(dev->transport, connection,
					     sizeof(connection));
	return pvio_json_add_members(object, "connection", connection);
}

struct stats_call {
	struct pvio_device *dev;
	bool with_latency;
	char *text; /* or NULL */
};

static void stats_begin(void *arg, pvio_done_fn *done, void *done_arg)
{
	struct json_object *object = json_object_new_object();
	struct stats_call *call = arg;

	if (object && stats_add_device(object, call->dev) &&
	    pvio_json_add(object, "queues",
			  stats_queues(call->dev, call->with_latency)))
		call->text = pvio_json_text(object);
	else
		json_object_put(object);
	done(done_arg, call->text ? 0 : -ENOMEM);
}

int pvio_device_stats(struct pvio_device *dev, bool with_latency, char **json)
{
	struct stats_call call = { .dev = dev, .with_latency = with_latency };
	int rc = pvio_device_call(dev, stats_begin, &call);

	if (rc == 0)
		*json = call.text;
	return rc;
}
