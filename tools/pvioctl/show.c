/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * show.c - answers of the daemon, for people
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <json-c/json.h>

#include "show.h"
#include "tools/pviod/link.h"

static struct json_object *show_get(struct json_object *object, const char *key)
{
	struct json_object *value = NULL;

	json_object_object_get_ex(object, key, &value);
	return value;
}

static const char *show_text(struct json_object *object, const char *key)
{
	const char *text = link_string(object, key);

	return text ? text : "";
}

static uint64_t show_u64(struct json_object *object, const char *key)
{
	return json_object_get_uint64(show_get(object, key));
}

static size_t show_length(struct json_object *array)
{
	return json_object_is_type(array, json_type_array)
		       ? json_object_array_length(array)
		       : 0;
}

void show_list(const char *device, struct json_object *result)
{
	struct json_object *unit, *devices, *dev;
	size_t i, d;

	(void)device;
	printf("%-12s %-12s %-6s %-8s %-10s %-8s %8s %s\n", "PROCESS", "DEVICE",
	       "MODEL", "BACKEND", "STATE", "RESTARTS", "PID", "SOCKET");
	for (i = 0; i < show_length(result); i++) {
		unit = json_object_array_get_idx(result, i);
		devices = show_get(unit, "devices");
		for (d = 0; d < show_length(devices); d++) {
			dev = json_object_array_get_idx(devices, d);
			printf("%-12s %-12s %-6s %-8s %-10s %-8" PRIu64
			       " %8" PRIu64 " %s\n",
			       show_text(unit, "name"), show_text(dev, "name"),
			       show_text(dev, "model"),
			       show_text(dev, "backend"),
			       show_text(unit, "state"),
			       show_u64(unit, "restarts"),
			       show_u64(unit, "pid"), show_text(dev, "socket"));
		}
	}
}

static void show_head(const char *device, struct json_object *result)
{
	printf("%s: %s over %s, %s\n", device ? device : "",
	       show_text(result, "model"), show_text(result, "transport"),
	       show_text(result, "state"));
}

/* What was refused of the guest's, where there was any. */
static void show_faults(struct json_object *faults)
{
	bool is_first = true;

	if (!json_object_is_type(faults, json_type_object))
		return;
	json_object_object_foreach(faults, name, count)
	{
		uint64_t n = json_object_get_uint64(count);

		if (n == 0)
			continue;
		printf("%s %s %" PRIu64, is_first ? "      refused:" : ",",
		       name, n);
		is_first = false;
	}
	if (!is_first)
		printf("\n");
}

/* The numbers of @object, on one line behind @title. */
static void show_numbers(const char *title, struct json_object *object)
{
	const char *between = " ";

	printf("%11s", title);
	json_object_object_foreach(object, name, value)
	{
		if (!json_object_is_type(value, json_type_int))
			continue;
		printf("%s%s %" PRId64, between, name,
		       json_object_get_int64(value));
		between = ", ";
	}
	printf("\n");
}

static bool show_is_true(struct json_object *object, const char *key)
{
	return json_object_get_boolean(show_get(object, key));
}

/* A port of a window: false: it is a device. */
static bool show_port(const char *device, struct json_object *result)
{
	const char *window = link_string(result, "window");

	if (!window)
		return false;
	printf("%s: port of a %s window over %s, %s; the appliance is %s\n",
	       device ? device : "", window, show_text(result, "carrier"),
	       show_is_true(result, "open") ? "open" : "closed",
	       show_is_true(result, "distrusted")  ? "not trusted"
	       : show_is_true(result, "appliance") ? "there"
						   : "not there");
	show_numbers("port:", result);
	json_object_object_foreach(result, name, value)
	{
		char title[32];

		if (!json_object_is_type(value, json_type_object))
			continue;
		snprintf(title, sizeof(title), "%s:", name);
		show_numbers(title, value);
	}
	return true;
}

void show_stats(const char *device, struct json_object *result)
{
	static const struct {
		const char *key, *title;
		int width;
	} columns[] = {
		{ "size", "SIZE", 6 },
		{ "requests", "REQUESTS", 12 },
		{ "in_flight", "INFLIGHT", 9 },
		{ "kicks", "KICKS", 11 },
		{ "polls", "POLLS", 11 },
		{ "flushes", "BATCHES", 11 },
		{ "notifications", "NOTIFIED", 11 },
		{ "suppressed", "SUPPRESSED", 11 },
		{ "bytes_in", "FROM GUEST", 15 },
		{ "bytes_out", "TO GUEST", 15 },
	};
	const size_t nr = sizeof(columns) / sizeof(columns[0]);
	struct json_object *queues = show_get(result, "queues"), *queue;
	size_t i, c;

	if (show_port(device, result))
		return;
	show_head(device, result);
	printf("%5s", "QUEUE");
	for (c = 0; c < nr; c++)
		printf("%*s", columns[c].width, columns[c].title);
	printf("\n");
	for (i = 0; i < show_length(queues); i++) {
		queue = json_object_array_get_idx(queues, i);
		printf("%5" PRIu64, show_u64(queue, "index"));
		for (c = 0; c < nr; c++)
			printf("%*" PRIu64, columns[c].width,
			       show_u64(queue, columns[c].key));
		printf("\n");
		show_faults(show_get(queue, "faults"));
	}
}

/* Nanoseconds, in four columns or so. */
static void show_ns(uint64_t ns)
{
	if (ns < 10000)
		printf("%8" PRIu64 "ns", ns);
	else if (ns < 10000000)
		printf("%8" PRIu64 "us", ns / 1000);
	else
		printf("%8" PRIu64 "ms", ns / 1000000);
}

static void show_queue_latency(struct json_object *queue)
{
	static const char *const keys[] = { "mean_ns", "p50_ns", "p90_ns",
					    "p99_ns", "max_ns" };
	struct json_object *latency = show_get(queue, "latency");
	size_t i;

	if (!json_object_is_type(latency, json_type_object))
		return;
	json_object_object_foreach(latency, stage, histogram)
	{
		if (show_u64(histogram, "count") == 0)
			continue;
		printf("%5" PRIu64 "  %-9s%10" PRIu64, show_u64(queue, "index"),
		       stage, show_u64(histogram, "count"));
		for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
			show_ns(show_u64(histogram, keys[i]));
		printf("\n");
	}
}

void show_latency(const char *device, struct json_object *result)
{
	struct json_object *queues = show_get(result, "queues");
	size_t i;

	if (show_port(device, result))
		return;
	show_head(device, result);
	printf("%5s  %-9s%10s%10s%10s%10s%10s%10s\n", "QUEUE", "STAGE",
	       "SAMPLES", "MEAN", "HALF <", "90% <", "99% <", "ALL <");
	for (i = 0; i < show_length(queues); i++)
		show_queue_latency(json_object_array_get_idx(queues, i));
}

void show_answer(const char *device, struct json_object *result)
{
	const char *text = json_object_is_type(result, json_type_string)
				   ? json_object_get_string(result)
				   : "";

	printf("%s: %s\n", device ? device : "", *text ? text : "done");
}
