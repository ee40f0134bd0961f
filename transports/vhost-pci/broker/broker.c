/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * broker.c - the host's side of a window: configuration, life, stats
 *
 * The order of life.  The window's memory is made, and the control area in it
 * cleared, before anybody sees it; then ports may be opened, and only then does
 * the carrier let the appliance's VMM come.  At the end B is let go first: a
 * session ends while the appliance can still say that it touches nothing of
 * B's any more.
 */
#include "broker.h"

#include "core/eventfd.h"
#include "core/json.h"

#include <endian.h>
#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#define BROKER_BEAT_MS        1000
#define BROKER_TIMEOUT_MS     10000
#define BROKER_REQUEST_MS     120000
#define BROKER_BOUNCE_BYTES   (64ULL << 20)
#define BROKER_MAX_BYTES      (1ULL << 46)
#define BROKER_SHARE_ALIGN    (64ULL << 10)
#define BROKER_DESCRIBE_BYTES 1024

static const struct carrier_ops *const carriers[] = {
	&carrier_ivshmem_ops,
	&carrier_vfio_user_ops,
};

static const struct broker_port_ops *const windows[] = {
	&broker_bounce_ops,
	&broker_relay_ops,
};

/* --- configuration -------------------------------------------------------- */

static int broker_read_carrier(struct broker *broker, struct pvio_config *cfg)
{
	const char *words[pvio_array_size(carriers) + 1] = { NULL };
	unsigned int i, choice = 0;

	for (i = 0; i < pvio_array_size(carriers); i++)
		words[i] = carriers[i]->name;
	if (pvio_config_choice_opt(cfg, "carrier", words, &choice) < 0)
		return -EINVAL;
	broker->carrier_ops = carriers[choice];
	return broker->carrier_ops->create(broker, cfg, &broker->carrier);
}

/* What a port of this window is: "bounce", where there is no other choice. */
static int broker_read_window(struct pvio_config *cfg,
			      const struct broker_port_ops **ops)
{
	const char *words[pvio_array_size(windows) + 1] = { NULL };
	unsigned int i, choice = 0;

	for (i = 0; i < pvio_array_size(windows); i++) {
		words[i] = windows[i]->window;
		if (strcmp(words[i], "bounce") == 0)
			choice = i;
	}
	if (pvio_config_choice_opt(cfg, "window", words, &choice) < 0)
		return -EINVAL;
	*ops = windows[choice];
	return 0;
}

static int broker_read_memory(struct broker *broker, struct pvio_config *cfg,
			      bool is_ram)
{
	const char *file = NULL;

	if (pvio_config_string_opt(cfg, "file", &file) < 0 ||
	    pvio_config_size_opt(cfg, "size", WINDOW_MIN_BYTES,
				 BROKER_MAX_BYTES, &broker->bytes) < 0 ||
	    pvio_config_uint_opt(cfg, "timeout_ms", 1, 3600000,
				 &broker->timeout_ms) < 0 ||
	    (!is_ram &&
	     pvio_config_uint_opt(cfg, "request_timeout_ms", 0, 3600000,
				  &broker->request_timeout_ms) < 0))
		return -EINVAL;
	if (broker->bytes & (broker->bytes - 1))
		return pvio_config_error(cfg, "size", "not a power of two");
	if (is_ram && !file)
		return pvio_config_error(cfg, "file",
					 "needed: the file that is the guest's "
					 "memory, its memory-backend-file");
	if (!is_ram && broker->bytes == 0)
		broker->bytes = BROKER_BOUNCE_BYTES;
	if (file)
		broker->file = strdup(file);
	return file && !broker->file ? -ENOMEM : 0;
}

static int broker_read_port(struct broker *broker, struct pvio_config *cfg,
			    const struct broker_port_ops *ops)
{
	struct broker_port *port = &broker->port[broker->nr_ports];
	const char *name;
	int rc;

	if (pvio_config_string(cfg, "name", &name) < 0)
		return -EINVAL;
	if (broker_find_port(broker, name))
		return pvio_config_error(cfg, "name", "\"%s\" is taken", name);
	*port = (struct broker_port){
		.broker = broker,
		.index = broker->nr_ports,
		.name = strdup(name),
		.ops = ops,
	};
	if (!port->name)
		return -ENOMEM;
	pvio_list_init(&port->queue);
	pvio_job_init(&port->job, broker_port_run);
	rc = ops->create(port, cfg);
	if (rc < 0) {
		free(port->name);
		return rc;
	}
	broker->nr_ports++;
	return 0;
}

static int broker_read_ports(struct broker *broker, struct pvio_config *cfg,
			     const struct broker_port_ops *ops)
{
	int i, rc = 0, nr = pvio_config_list(cfg, "ports");

	if (nr < 0)
		return nr;
	if (nr == 0 || nr > WINDOW_MAX_PORTS)
		return pvio_config_error(cfg, "ports",
					 "%d of them: there are 1 to %d", nr,
					 WINDOW_MAX_PORTS);
	for (i = 0; i < nr && rc == 0; i++) {
		struct pvio_config *port = pvio_config_element(cfg, "ports",
							       (unsigned int)i);

		rc = port ? broker_read_port(broker, port, ops) : -EINVAL;
	}
	return rc;
}

static int broker_read_config(struct broker *broker, struct pvio_config *cfg)
{
	const struct broker_port_ops *ops;
	const char *name;
	int rc;

	/* Whoever has several windows tells them apart by it. */
	if (pvio_config_string_opt(cfg, "name", &name) < 0)
		return -EINVAL;
	rc = broker_read_window(cfg, &ops);
	if (rc == 0)
		rc = broker_read_memory(broker, cfg,
					strcmp(ops->window, "ram") == 0);
	if (rc == 0)
		rc = broker_read_carrier(broker, cfg);
	if (rc == 0)
		rc = broker_read_ports(broker, cfg, ops);
	return rc == 0 ? pvio_config_finish(cfg) : rc;
}

/* --- creation ------------------------------------------------------------- */

static void broker_free(struct broker *broker)
{
	unsigned int i;

	for (i = 0; i < broker->nr_ports; i++) {
		pvio_job_cancel(&broker->port[i].job);
		broker->port[i].ops->destroy(&broker->port[i]);
		free(broker->port[i].name);
	}
	if (broker->carrier)
		broker->carrier_ops->destroy(broker->carrier);
	free(broker->file);
	free(broker->workers);
	free(broker->name);
	free(broker);
}

static void broker_run_look(struct pvio_job *job)
{
	broker_look(pvio_container_of(job, struct broker, look_job));
}

static void broker_run_tell(struct pvio_job *job);
static void broker_run_stop(struct pvio_job *job);

int broker_create(const char *name, struct pvio_config *cfg,
		  struct pvio_worker *control,
		  struct pvio_worker *const workers[], unsigned int nr_workers,
		  struct broker **broker)
{
	struct broker *b;
	int rc = -ENOMEM;

	b = calloc(1, sizeof(*b));
	if (!b)
		return -ENOMEM;
	b->control = control;
	b->nr_workers = nr_workers;
	b->timeout_ms = BROKER_TIMEOUT_MS;
	b->request_timeout_ms = BROKER_REQUEST_MS;
	b->memory.fd = b->control_fd = b->interrupt_fd = -1;
	pvio_job_init(&b->look_job, broker_run_look);
	pvio_job_init(&b->tell_job, broker_run_tell);
	pvio_job_init(&b->stop_job, broker_run_stop);
	b->name = strdup(name);
	b->workers = calloc(nr_workers, sizeof(*b->workers));
	if (b->name && b->workers) {
		memcpy(b->workers, workers, nr_workers * sizeof(*workers));
		rc = broker_read_config(b, cfg);
	}
	if (rc < 0) {
		broker_free(b);
		return rc;
	}
	*broker = b;
	return 0;
}

struct broker_port *broker_find_port(struct broker *broker, const char *name)
{
	unsigned int i;

	for (i = 0; i < broker->nr_ports; i++)
		if (strcmp(broker->port[i].name, name) == 0)
			return &broker->port[i];
	return NULL;
}

/* --- the control area ----------------------------------------------------- */

static bool broker_is_ram(const struct broker *broker)
{
	return strcmp(broker->port[0].ops->window, "ram") == 0;
}

/*
 * Clear it, but for this: a guest that lives on over our death has requests
 * noted in the in-flight areas, and gives them to us again.
 */
static void broker_clear(struct broker *broker)
{
	struct window_header *h = broker->header;
	bool is_ours = broker_is_ram(broker) &&
		       le64toh(pvio_load_once(&h->magic)) == WINDOW_MAGIC &&
		       le32toh(pvio_load_once(&h->version)) == WINDOW_VERSION &&
		       le64toh(pvio_load_once(&h->bytes)) ==
			       broker->memory.bytes;
	unsigned int i;

	pvio_store_once(&h->magic, 0);
	memset(h, 0, WINDOW_PORT_BYTES);
	for (i = 0; i < WINDOW_MAX_PORTS; i++)
		memset(broker->memory.host +
			       window_port_offset(broker->memory.bytes, i),
		       0,
		       is_ours && i < broker->nr_ports ? WINDOW_INFLIGHT_OFFSET
						       : WINDOW_PORT_BYTES);
}

static void broker_share(struct broker *broker)
{
	uint64_t room = window_control_offset(broker->memory.bytes);
	uint64_t share = room / broker->nr_ports / BROKER_SHARE_ALIGN *
			 BROKER_SHARE_ALIGN;
	unsigned int i;

	for (i = 0; i < broker->nr_ports; i++) {
		broker->port[i].share_offset = i * share;
		broker->port[i].share_bytes = share;
	}
}

static int broker_lay_out(struct broker *broker)
{
	uint64_t bytes = broker->memory.bytes;
	struct window_header *h;
	uint32_t numbers[1 + WINDOW_MAX_PORTS];
	unsigned int i;

	/* Nobody shall take this life for the one before. */
	if (getrandom(numbers, sizeof(numbers), 0) != sizeof(numbers))
		return -EIO;
	h = (void *)(broker->memory.host + window_control_offset(bytes));
	broker->header = h;
	broker_clear(broker);
	if (!broker_is_ram(broker))
		broker_share(broker);
	for (i = 0; i < broker->nr_ports; i++) {
		struct broker_port *port = &broker->port[i];

		port->window = (void *)(broker->memory.host +
					window_port_offset(bytes, i));
		port->last_session = numbers[1 + i];
		broker_port_init(port);
	}
	h->version = htole32(WINDOW_VERSION);
	h->nr_ports = htole32(broker->nr_ports);
	h->bytes = htole64(bytes);
	h->epoch = htole32(numbers[0] ? numbers[0] : 1);
	/* Barrier X: all of it is there before it is said to be. */
	pvio_store_release(&h->magic, htole64(WINDOW_MAGIC));
	return 0;
}

/* --- events --------------------------------------------------------------- */

/* Whose VMM makes it block has lost it: that appliance looks once a second. */
static void broker_run_tell(struct pvio_job *job)
{
	struct broker *broker = pvio_container_of(job, struct broker, tell_job);
	int rc;

	if (!broker->is_connected || broker->interrupt_fd < 0)
		return;
	rc = pvio_eventfd_signal(broker->interrupt_fd);
	if (rc < 0)
		pvio_log_limited(&broker->log_limit, PVIO_LOG_WARNING,
				 "%s: interrupting the appliance: %s",
				 broker->name,
				 rc == -EINTR ? "its eventfd blocks: let go"
					      : strerror(-rc));
	if (rc == -EINTR) {
		close(broker->interrupt_fd);
		broker->interrupt_fd = -1;
	}
}

static void broker_on_doorbell(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	broker_doorbell(arg);
}

static void broker_on_retry(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	broker_retry(arg);
}

static void broker_on_beat(evutil_socket_t fd, short what, void *arg)
{
	struct broker *broker = arg;

	(void)fd;
	(void)what;
	pvio_store_once(&broker->header->beat, htole32(++broker->beat));
	broker_look(broker);
}

/*
 * The doorbell is not read, but watched for edges: the appliance's VMM has the
 * open file too, and could make a read wait.
 */
static int broker_watch(struct broker *broker)
{
	uint64_t ms = pvio_min(BROKER_BEAT_MS, broker->timeout_ms / 4 + 1);
	const struct timeval beat = {
		.tv_sec = (time_t)(ms / 1000),
		.tv_usec = (suseconds_t)(ms % 1000 * 1000),
	};
	struct event_base *base = pvio_worker_base(broker->control);

	broker->control_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	broker->interrupt_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (broker->control_fd < 0 || broker->interrupt_fd < 0)
		return -errno;
	broker->control_event = event_new(base, broker->control_fd,
					  EV_READ | EV_PERSIST | EV_ET,
					  broker_on_doorbell, broker);
	broker->retry_event = evtimer_new(base, broker_on_retry, broker);
	broker->beat_event = event_new(base, -1, EV_PERSIST, broker_on_beat,
				       broker);
	if (!broker->control_event || !broker->retry_event ||
	    !broker->beat_event || event_add(broker->control_event, NULL) < 0 ||
	    event_add(broker->beat_event, &beat) < 0)
		return -ENOMEM;
	return 0;
}

static void broker_unwatch(struct broker *broker)
{
	pvio_job_cancel(&broker->look_job);
	pvio_job_cancel(&broker->tell_job);
	if (broker->control_event)
		event_free(broker->control_event);
	if (broker->retry_event)
		event_free(broker->retry_event);
	if (broker->beat_event)
		event_free(broker->beat_event);
	broker->control_event = broker->retry_event = NULL;
	broker->beat_event = NULL;
	if (broker->control_fd >= 0)
		close(broker->control_fd);
	if (broker->interrupt_fd >= 0)
		close(broker->interrupt_fd);
	broker->control_fd = broker->interrupt_fd = -1;
}

/* --- start and stop ------------------------------------------------------- */

static void broker_stopped(struct broker *broker)
{
	pvio_done_fn *done = broker->stop_done;

	broker_unwatch(broker);
	/* What it says stays, for the next: see broker_clear(). */
	broker->header = NULL;
	broker_memory_close(&broker->memory);
	done(broker->stop_arg, 0);
}

static void broker_carrier_stopped(void *arg, int rc)
{
	struct broker *broker = arg;

	(void)rc;
	broker->is_carrier_started = false;
	broker_stopped(broker);
}

static void broker_run_stop(struct pvio_job *job)
{
	struct broker *broker = pvio_container_of(job, struct broker, stop_job);

	if (broker->is_carrier_started)
		broker->carrier_ops->stop(broker->carrier,
					  broker_carrier_stopped, broker);
	else
		broker_stopped(broker);
}

/*
 * Not from here: the port may have been closed by who looks at the control area,
 * or as the appliance left, and whoever called goes on with that.
 */
static void broker_port_stopped(void *arg, int rc)
{
	struct broker *broker = arg;

	(void)rc;
	if (--broker->nr_stopping == 0)
		pvio_worker_schedule(broker->control, &broker->stop_job);
}

static void broker_stop(void *arg, pvio_done_fn *done, void *done_arg)
{
	struct broker *broker = arg;
	unsigned int i, nr = broker->nr_started;

	broker->stop_done = done;
	broker->stop_arg = done_arg;
	/* One for this loop. */
	broker->nr_stopping = nr + 1;
	broker->nr_started = 0;
	for (i = 0; i < nr; i++)
		broker->port[i].ops->stop(&broker->port[i], broker_port_stopped,
					  broker);
	broker_port_stopped(broker, 0);
}

static void broker_is_stopped(void *arg, int rc)
{
	bool *is_done = arg;

	(void)rc;
	*is_done = true;
}

/* Also one that was started half, or not at all. */
static void broker_stop_and_wait(struct broker *broker)
{
	bool is_done = false;

	if (!pvio_worker_is_mine(broker->control)) {
		(void)pvio_control_call(broker->control, broker_stop, broker);
		return;
	}
	broker_stop(broker, broker_is_stopped, &is_done);
	while (!is_done)
		pvio_worker_wait(broker->control, -1);
}

static void broker_begin(void *arg, pvio_done_fn *done, void *done_arg)
{
	struct broker *broker = arg;
	const char *file = broker->file ? broker->file : "(memory)";
	int rc;

	rc = broker_open_memory(broker);
	if (rc < 0)
		pvio_log(PVIO_LOG_ERROR, "%s: %s: %s", broker->name, file,
			 rc == -EINVAL
				 ? "a window is a regular file of a power "
				   "of two of bytes, 4M or more, and as "
				   "long as its \"size\" says"
				 : strerror(-rc));
	if (rc == 0)
		rc = broker_lay_out(broker);
	if (rc == 0)
		rc = broker_watch(broker);
	while (rc == 0 && broker->nr_started < broker->nr_ports) {
		struct broker_port *port = &broker->port[broker->nr_started];

		rc = port->ops->start(port);
		if (rc == 0)
			broker->nr_started++;
	}
	if (rc == 0)
		rc = broker->carrier_ops->start(broker->carrier);
	broker->is_carrier_started = rc == 0;
	done(done_arg, rc);
}

int broker_start(struct broker *broker)
{
	int rc = pvio_control_call(broker->control, broker_begin, broker);

	if (rc < 0)
		broker_stop_and_wait(broker);
	return rc;
}

void broker_destroy(struct broker *broker)
{
	if (!broker)
		return;
	broker_stop_and_wait(broker);
	broker_free(broker);
}

/* --- stats ---------------------------------------------------------------- */

static bool stats_add_port(struct json_object *object, struct broker_port *port)
{
	const struct broker *broker = port->broker;
	char connection[BROKER_DESCRIBE_BYTES] = "";
	char carrier[BROKER_DESCRIBE_BYTES] = "";

	port->ops->describe(port, connection, sizeof(connection));
	broker->carrier_ops->describe(broker->carrier, carrier,
				      sizeof(carrier));
	return pvio_json_add_string(object, "name", port->name) &&
	       pvio_json_add_string(object, "window", port->ops->window) &&
	       pvio_json_add_string(object, "carrier",
				    broker->carrier_ops->name) &&
	       pvio_json_add_bool(object, "appliance",
				  broker_is_served(broker)) &&
	       pvio_json_add_bool(object, "distrusted",
				  broker->is_distrusted) &&
	       pvio_json_add_bool(object, "open", port->is_open) &&
	       pvio_json_add_bool(object, "served", port->is_served) &&
	       pvio_json_add_u64(object, "appliances", broker->appliances) &&
	       pvio_json_add_u64(object, "distrusts", broker->distrusts) &&
	       pvio_json_add_u64(object, "storms", broker->storms) &&
	       pvio_json_add_u64(object, "sessions", port->sessions) &&
	       pvio_json_add_u64(object, "frames_in", port->frames_in) &&
	       pvio_json_add_u64(object, "frames_out", port->frames_out) &&
	       pvio_json_add_u64(object, "waiting", port->nr_queued) &&
	       pvio_json_add_members(object, "connection", connection) &&
	       pvio_json_add_members(object, "signals", carrier);
}

struct stats_call {
	struct broker_port *port;
	char *text; /* or NULL */
};

static void stats_begin(void *arg, pvio_done_fn *done, void *done_arg)
{
	struct json_object *object = json_object_new_object();
	struct stats_call *call = arg;

	if (object && stats_add_port(object, call->port))
		call->text = pvio_json_text(object);
	else
		json_object_put(object);
	done(done_arg, call->text ? 0 : -ENOMEM);
}

int broker_port_stats(struct broker_port *port, char **json)
{
	struct stats_call call = { .port = port };
	int rc = pvio_control_call(port->broker->control, stats_begin, &call);

	if (rc == 0)
		*json = call.text;
	return rc;
}
