/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * host.c - the host's side of a benchmark, in this process
 */
#include "host.h"

#include "core/util.h"

#include <errno.h>
#include <pvio/pvio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool bench_parse_ways(const char *text, struct bench_ways *ways)
{
	char *copy, *word, *rest;
	bool ok = true;
	unsigned int i;

	ways->nr = 0;
	if (strcmp(text, "all") == 0) {
		for (i = 0; i < GUEST_NR_WAYS; i++)
			ways->way[ways->nr++] = (enum guest_way)i;
		return true;
	}
	rest = copy = strdup(text);
	if (!copy)
		return false;
	while (ok && (word = strsep(&rest, ",")) != NULL) {
		enum guest_way way = guest_way_find(word);

		ok = way < GUEST_NR_WAYS && ways->nr < GUEST_NR_WAYS;
		if (ok)
			ways->way[ways->nr++] = way;
	}
	free(copy);
	return ok;
}

const char *bench_way_names(void)
{
	static char text[256];
	size_t len = 0;
	unsigned int i;

	for (i = 0; i < GUEST_NR_WAYS && len < sizeof(text); i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s",
					i ? ", " : "",
					guest_way_name((enum guest_way)i));
	return text;
}

int bench_host_init(struct bench_host *host, enum guest_way way,
		    unsigned int nr)
{
	char name[32];
	unsigned int i;
	int rc;

	memset(host, 0, sizeof(*host));
	host->way = way;
	rc = pvio_worker_create("control", &host->control);
	for (i = 0; i < nr && rc == 0; i++) {
		snprintf(name, sizeof(name), "worker%u", i);
		rc = pvio_worker_create(name, &host->worker[i]);
		if (rc == 0)
			host->nr_workers++;
	}
	return rc;
}

int bench_host_start(struct bench_host *host)
{
	unsigned int i;
	int rc = 0;

	for (i = 0; i < host->nr_workers && rc == 0; i++)
		rc = pvio_worker_start(host->worker[i]);
	host->has_threads = true;
	return rc;
}

/* Devices are created and destroyed while the control worker has no thread. */
static void host_hold(struct bench_host *host)
{
	if (host->way != GUEST_WAY_LOOPBACK)
		pvio_worker_stop(host->control);
}

static int host_resume(struct bench_host *host)
{
	return host->way == GUEST_WAY_LOOPBACK
		       ? 0
		       : pvio_worker_start(host->control);
}

static int host_create(struct bench_host *host, const char *name,
		       const char *config, struct bench_device *device)
{
	char transport[256], *text;
	int rc;

	guest_way_transport(host->way, device->dir, transport,
			    sizeof(transport));
	if (asprintf(&text, "%s %s", config, transport) < 0)
		return -ENOMEM;
	rc = pvio_device_create(name, text, host->control, host->worker,
				host->nr_workers, &device->dev);
	free(text);
	return rc < 0 ? rc : pvio_device_start(device->dev);
}

int bench_host_add(struct bench_host *host, const char *name,
		   const char *config, unsigned int queues_per_unit,
		   struct guest_memory *mem, struct bench_device *device)
{
	struct guest_way_setup setup = {
		.dir = device->dir,
		.mem = mem,
		.queues_per_unit = queues_per_unit,
	};
	int rc, resumed;

	memset(device, 0, sizeof(*device));
	strcpy(device->dir, "/tmp/pvio-bench-XXXXXX");
	if (!mkdtemp(device->dir)) {
		device->dir[0] = '\0';
		return -errno;
	}
	host_hold(host);
	rc = host_create(host, name, config, device);
	resumed = host_resume(host);
	if (rc == 0)
		rc = resumed;
	if (rc < 0)
		return rc;
	setup.dev = device->dev;
	return guest_way_open(host->way, &setup, &device->gd);
}

void bench_host_remove(struct bench_host *host, struct bench_device *device)
{
	guest_device_close(device->gd);
	if (device->dev) {
		host_hold(host);
		pvio_device_destroy(device->dev);
		(void)host_resume(host);
	}
	if (device->dir[0])
		rmdir(device->dir);
	memset(device, 0, sizeof(*device));
}

void bench_host_fini(struct bench_host *host)
{
	unsigned int i;

	for (i = 0; i < host->nr_workers; i++)
		pvio_worker_destroy(host->worker[i]);
	pvio_worker_destroy(host->control);
	memset(host, 0, sizeof(*host));
}
