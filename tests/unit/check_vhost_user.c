/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_vhost_user.c - devices behind vhost-user, driven by our front-end
 */
#include "tests/check_main.h"
#include "tests/vhost-user-rig.h"

#include "guest/device-ops.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

static struct rig rig;

#define MEMORY_DISK                                                      \
	"model = \"block\"; queues = 4; backend = { type = \"memory\"; " \
	"size = \"1M\"; };"

static const uint64_t rings[] = {
	0,
	PVIO_BIT(VIRTIO_RING_F_EVENT_IDX) |
		PVIO_BIT(VIRTIO_RING_F_INDIRECT_DESC),
	PVIO_BIT(VIRTIO_F_RING_PACKED),
	PVIO_BIT(VIRTIO_F_RING_PACKED) | PVIO_BIT(VIRTIO_RING_F_EVENT_IDX) |
		PVIO_BIT(VIRTIO_RING_F_INDIRECT_DESC) |
		PVIO_BIT(VIRTIO_F_IN_ORDER),
};
#define NR_RINGS ((int)pvio_array_size(rings))

static void quiet(void *arg, enum pvio_log_level level, const char *message)
{
	(void)arg;
	(void)level;
	(void)message;
}

static void setup(void)
{
	pvio_log_set(quiet, NULL, PVIO_LOG_DEBUG);
}

/* --- a disk's driver ---------------------------------------------------------- */

struct disk_buffer {
	struct virtio_blk_outhdr header;
	uint8_t status;
	uint8_t data[16384] __attribute__((aligned(4096)));
};

static struct disk_buffer *disk_buffer(uint64_t *gpa)
{
	struct disk_buffer *b = guest_alloc(&rig.mem, sizeof(*b), 4096, gpa);

	ck_assert_ptr_nonnull(b);
	return b;
}

/* Segments of a request of @len bytes, 4096 each. */
static unsigned int disk_segments(struct disk_buffer *b, uint64_t gpa,
				  uint32_t type, uint64_t sector, uint32_t len,
				  struct guest_segment *seg)
{
	unsigned int n = 0;
	uint32_t done;

	b->header.type = htole32(type);
	b->header.sector = htole64(sector);
	b->status = 0xff;
	seg[n++] = (struct guest_segment){ gpa, sizeof(b->header) };
	for (done = 0; done < len; done += 4096)
		seg[n++] = (struct guest_segment){
			gpa + offsetof(struct disk_buffer, data) + done,
			(uint32_t)pvio_min(4096, len - done),
		};
	seg[n++] = (struct guest_segment){
		gpa + offsetof(struct disk_buffer, status), 1
	};
	return n;
}

static int disk_request(struct guest_device *gd, unsigned int q,
			struct disk_buffer *b, uint64_t gpa, uint32_t type,
			uint64_t sector, uint32_t len)
{
	struct guest_segment seg[8];
	unsigned int n = disk_segments(b, gpa, type, sector, len, seg);
	unsigned int readable = type == VIRTIO_BLK_T_OUT ? n - 1 : 1;

	ck_assert_int_ge(
		guest_device_transfer(gd, q, seg, readable, n - readable), 0);
	return b->status;
}

static void fill(uint8_t *p, size_t len, uint32_t seed)
{
	size_t i;

	for (i = 0; i < len; i++) {
		seed = seed * 1664525 + 1013904223;
		p[i] = (uint8_t)(seed >> 24);
	}
}

/* --- life ------------------------------------------------------------------------ */

START_TEST(device_serves_requests)
{
	struct guest_device *gd;
	int i;

	rig_init(&rig, "model = \"rng\";", "");
	rig_start(&rig);
	gd = rig_open(&rig);
	rig_bring_up(gd, rings[_i], 1, 16);
	for (i = 0; i < 100; i++)
		rig_expect_entropy(&rig, gd);
	guest_device_close(gd);
	rig_fini(&rig);
}
END_TEST

START_TEST(front_ends_come_and_go)
{
	struct guest_device *gd;
	unsigned int fds;
	int i;

	rig_init(&rig, "model = \"rng\";", "");
	rig_start(&rig);
	fds = rig_count_fds();
	for (i = 0; i < 50; i++) {
		guest_alloc_reset(&rig.mem);
		gd = rig_open(&rig);
		rig_bring_up(gd, rings[i % NR_RINGS], 1, 16);
		rig_expect_entropy(&rig, gd);
		if (i % 2)
			guest_device_disconnect(gd);
		guest_device_close(gd);
	}
	rig_settle(&rig);
	ck_assert_uint_eq(rig_count_fds(), fds);
	rig_fini(&rig);
}
END_TEST

/* A driver's reset, and then another kind of ring on the same connection. */
START_TEST(driver_negotiates_anew)
{
	struct guest_vu_options no_status = { .no_status = true };
	struct guest_device *gd;
	int i;

	rig_init(&rig, "model = \"rng\";", "");
	rig_start(&rig);
	gd = rig_open_with(&rig, _i ? no_status
				    : (struct guest_vu_options){ .fd = -1 });
	for (i = 0; i < 3 * NR_RINGS; i++) {
		rig_bring_up(gd, rings[i % NR_RINGS], 1, 8 << i % 3);
		rig_expect_entropy(&rig, gd);
	}
	guest_device_close(gd);
	rig_fini(&rig);
}
END_TEST

START_TEST(stopped_device_starts_again)
{
	struct guest_device *gd;
	int i;

	rig_init(&rig, "model = \"rng\";", "");
	for (i = 0; i < 3; i++) {
		rig_start(&rig);
		gd = rig_open(&rig);
		rig_bring_up(gd, 0, 1, 16);
		rig_expect_entropy(&rig, gd);
		/* With the front-end connected. */
		pvio_device_stop(rig.dev);
		ck_assert_int_lt(access(rig.path, F_OK), 0);
		guest_device_close(gd);
	}
	rig_fini(&rig);
}
END_TEST

/* The ring goes on where GET_VRING_BASE said that it stands. */
START_TEST(ring_resumes_at_its_base)
{
	struct vu_vring_state state = { .index = 0 };
	struct guest_vu_reply reply;
	struct guest_device *gd;
	struct guest_vu *vu;
	int i, j;

	rig_init(&rig, "model = \"rng\";", "");
	rig_start(&rig);
	gd = rig_open(&rig);
	vu = guest_device_vu(gd);
	rig_bring_up(gd, rings[_i], 1, 8);
	for (i = 1; i < 20; i++) {
		for (j = 0; j < 5; j++)
			rig_expect_entropy(&rig, gd);
		ck_assert_int_eq(guest_vu_ask(vu, VU_GET_VRING_BASE, &state,
					      sizeof(state), &reply),
				 0);
		ck_assert(!pvio_device_vq_is_running(rig.dev, 0));
		if (!(rings[_i] & PVIO_BIT(VIRTIO_F_RING_PACKED)))
			ck_assert_uint_eq(reply.state.num, 5 * (unsigned)i);
		ck_assert_int_eq(guest_vu_tell_state(vu, VU_SET_VRING_BASE, 0,
						     reply.state.num),
				 0);
		ck_assert_int_eq(guest_vu_tell_fd(vu, VU_SET_VRING_KICK, 0,
						  gd->queue[0].kick_fd),
				 0);
	}
	guest_device_close(gd);
	rig_fini(&rig);
}
END_TEST

START_TEST(queues_on_workers_of_their_own_serve)
{
	struct pvio_worker *workers[2];
	struct guest_vu_options options = { .fd = -1 };
	struct disk_buffer *b[4];
	struct guest_device *gd;
	uint64_t gpa[4];
	char config[256];
	unsigned int q;
	int i;

	rig_init(&rig, "model = \"rng\";", "");
	pvio_device_destroy(rig.dev);
	for (i = 0; i < 2; i++)
		ck_assert_int_eq(pvio_worker_create("queue", &workers[i]), 0);
	snprintf(config, sizeof(config),
		 MEMORY_DISK " transport = { type = \"vhost-user\"; "
			     "socket = \"%s\"; };",
		 rig.path);
	ck_assert_int_eq(pvio_device_create("vu0", config, rig.worker, workers,
					    2, &rig.dev),
			 0);
	rig_start(&rig);
	ck_assert_int_eq(pvio_worker_start(workers[0]), 0);
	ck_assert_int_eq(pvio_worker_start(workers[1]), 0);
	ck_assert_int_eq(pvio_worker_start(rig.worker), 0);
	options.in_band = _i;
	ck_assert_int_eq(guest_device_open_vhost_user_with(rig.path, &rig.mem,
							   &options, &gd),
			 0);
	ck_assert_uint_eq(guest_device_nr_queues(gd), 4);
	rig_bring_up(gd, 0, 4, 16);
	for (q = 0; q < 4; q++)
		b[q] = disk_buffer(&gpa[q]);
	for (i = 0; i < 100; i++)
		for (q = 0; q < 4; q++)
			ck_assert_int_eq(disk_request(gd, q, b[q], gpa[q],
						      VIRTIO_BLK_T_IN, 8 * q,
						      4096),
					 VIRTIO_BLK_S_OK);
	guest_device_close(gd);
	pvio_worker_stop(rig.worker);
	pvio_worker_stop(workers[0]);
	pvio_worker_stop(workers[1]);
	pvio_device_destroy(rig.dev);
	rig.dev = NULL;
	pvio_worker_destroy(workers[0]);
	pvio_worker_destroy(workers[1]);
	rig_fini(&rig);
}
END_TEST

START_TEST(in_band_notifications_take_the_place_of_eventfds)
{
	struct guest_vu_options options = { .in_band = true };
	struct guest_device *gd;
	int i;

	rig_init(&rig, "model = \"rng\";", "");
	rig_start(&rig);
	gd = rig_open_with(&rig, options);
	rig_bring_up(gd, rings[_i], 1, 16);
	for (i = 0; i < 100; i++)
		rig_expect_entropy(&rig, gd);
	guest_device_close(gd);
	rig_fini(&rig);
}
END_TEST

/* --- where front-ends come from ------------------------------------------------------ */

static int listen_at(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(addr.sun_path, path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	return fd;
}

static int accept_one(int listen_fd)
{
	uint64_t end = pvio_now_ns() + 10000000000ULL;
	int fd;

	fcntl(listen_fd, F_SETFL, O_NONBLOCK);
	while ((fd = accept4(listen_fd, NULL, NULL,
			     SOCK_NONBLOCK | SOCK_CLOEXEC)) < 0) {
		ck_assert(pvio_now_ns() < end);
		pvio_worker_step(rig.worker);
	}
	return fd;
}

START_TEST(client_connects_and_reconnects)
{
	struct guest_vu_options options = { .step = NULL };
	struct guest_device *gd;
	int listen_fd, i;

	rig_init(&rig, "model = \"rng\";",
		 "mode = \"client\"; reconnect_ms = 5;");
	rig_start(&rig);
	/* Nobody there yet. */
	rig_settle(&rig);
	listen_fd = listen_at(rig.path);
	for (i = 0; i < 3; i++) {
		guest_alloc_reset(&rig.mem);
		options.step = rig.worker;
		options.fd = accept_one(listen_fd);
		ck_assert_int_eq(guest_device_open_vhost_user_with(
					 NULL, &rig.mem, &options, &gd),
				 0);
		rig_bring_up(gd, 0, 1, 16);
		rig_expect_entropy(&rig, gd);
		guest_device_close(gd);
	}
	close(listen_fd);
	rig_settle(&rig);
	unlink(rig.path);
	rig_fini(&rig);
}
END_TEST

START_TEST(inherited_socket_is_served)
{
	struct guest_vu_options options = { .fd = -1 };
	struct guest_device *gd;
	char transport[32];
	int pair[2];

	rig_init(&rig, "model = \"rng\";", "");
	pvio_device_destroy(rig.dev);
	if (_i == 0) {
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
		fcntl(pair[1], F_SETFL, O_NONBLOCK);
		options.fd = pair[1];
	} else {
		pair[0] = listen_at(rig.path);
	}
	snprintf(transport, sizeof(transport), "fd = %d;", pair[0]);
	rig_device(&rig, "model = \"rng\";", transport);
	rig_start(&rig);
	options.step = rig.worker;
	ck_assert_int_eq(guest_device_open_vhost_user_with(
				 _i ? rig.path : NULL, &rig.mem, &options, &gd),
			 0);
	rig_bring_up(gd, 0, 1, 16);
	rig_expect_entropy(&rig, gd);
	guest_device_close(gd);
	unlink(rig.path);
	rig_fini(&rig);
}
END_TEST

START_TEST(impossible_sockets_are_refused)
{
	char config[512], path[160];
	struct pvio_device *dev;
	int fd;

	rig_init(&rig, "model = \"rng\";", "");
	memset(path, 'x', sizeof(path));
	path[0] = '/';
	path[108] = '\0';
	snprintf(config, sizeof(config),
		 "model = \"rng\"; transport = { type = \"vhost-user\"; "
		 "socket = \"%s\"; };",
		 path);
	ck_assert_int_eq(pvio_device_create("v", config, rig.worker,
					    &rig.worker, 1, &dev),
			 -EINVAL);
	fd = open("/dev/null", O_RDWR);
	snprintf(config, sizeof(config),
		 "model = \"rng\"; transport = { type = \"vhost-user\"; "
		 "fd = %d; };",
		 fd);
	ck_assert_int_eq(pvio_device_create("v", config, rig.worker,
					    &rig.worker, 1, &dev),
			 -EINVAL);
	close(fd);
	/* Somebody listens there: he keeps it. */
	fd = listen_at(rig.path);
	ck_assert_int_eq(pvio_device_start(rig.dev), -EADDRINUSE);
	ck_assert_int_eq(access(rig.path, F_OK), 0);
	/* Nobody does any more: the file is stale. */
	close(fd);
	ck_assert_int_eq(pvio_device_start(rig.dev), 0);
	rig_fini(&rig);
}
END_TEST

/* --- configuration, queues ------------------------------------------------------------- */

START_TEST(change_of_configuration_is_told)
{
	struct guest_device *gd;
	uint64_t capacity;
	char answer[64];

	rig_init(&rig,
		 "model = \"block\"; backend = { type = \"memory\"; "
		 "size = \"1M\"; };",
		 "");
	rig_start(&rig);
	gd = rig_open(&rig);
	rig_bring_up(gd, 0, 1, 16);
	ck_assert_uint_eq(guest_device_config_changes(gd), 0);
	ck_assert_int_eq(pvio_device_command(rig.dev, "resize", "512K", answer,
					     sizeof(answer)),
			 0);
	rig_settle(&rig);
	ck_assert_uint_eq(guest_device_config_changes(gd), 1);
	ck_assert_int_eq(guest_device_read_config(gd, 0, &capacity, 8), 0);
	ck_assert_uint_eq(le64toh(capacity), 1024);
	guest_device_close(gd);
	rig_fini(&rig);
}
END_TEST

/* GET_QUEUE_NUM of a network card counts pairs, without the control queue. */
START_TEST(queue_pairs_are_counted_as_the_front_end_does)
{
	struct guest_device *gd;

	rig_init(&rig,
		 "model = \"net\"; queues = 3; backend = { type = \"null\"; };",
		 "");
	rig_start(&rig);
	gd = rig_open(&rig);
	ck_assert_uint_eq(guest_device_nr_queues(gd), 3);
	guest_device_close(gd);
	rig_fini(&rig);
}
END_TEST

/* --- memory ------------------------------------------------------------------------------ */

/* DIMMs come and go while a disk is being written and read. */
START_TEST(memory_changes_under_requests_in_flight)
{
	struct guest_region extra = { .gpa = 1ull << 40, .size = 1 << 20 };
	struct vu_memory_single single = { .padding = 0 };
	struct disk_buffer *b[8];
	struct guest_segment seg[8][8];
	struct guest_device *gd;
	struct guest_ring *ring;
	struct guest_vu *vu;
	uint64_t gpa[8];
	unsigned int i, n, round;

	rig_init(&rig, MEMORY_DISK, "");
	rig_start(&rig);
	gd = rig_open(&rig);
	vu = guest_device_vu(gd);
	rig_bring_up(gd, rings[_i], 1, 64);
	ring = guest_device_ring(gd, 0);
	extra.fd = memfd_create("pvio-dimm", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(extra.fd, 1 << 20), 0);
	extra.host = (uint8_t *)(uintptr_t)(1ull << 46);
	guest_vu_region(&extra, &single.region);
	for (i = 0; i < 8; i++)
		b[i] = disk_buffer(&gpa[i]);

	for (round = 0; round < 200; round++) {
		for (i = 0; i < 8; i++) {
			n = disk_segments(b[i], gpa[i], VIRTIO_BLK_T_OUT, i * 8,
					  4096, seg[i]);
			fill(b[i]->data, 4096, round * 8 + i);
			ck_assert_int_eq(
				guest_ring_add(ring, seg[i], n - 1, 1, b[i]),
				0);
		}
		if (guest_ring_publish(ring))
			guest_device_kick(gd, 0);
		ck_assert_int_eq(
			guest_vu_tell(
				vu, round % 2 ? VU_REM_MEM_REG : VU_ADD_MEM_REG,
				&single, sizeof(single), &extra.fd, 1),
			0);
		for (i = 0; i < 8;) {
			uint32_t len;

			if (guest_ring_reap(ring, &len))
				i++;
			else
				guest_device_wait(gd, 0, 1);
			ck_assert(!guest_device_is_broken(gd));
		}
	}
	for (i = 0; i < 8; i++) {
		uint8_t want[4096];

		ck_assert_int_eq(disk_request(gd, 0, b[i], gpa[i],
					      VIRTIO_BLK_T_IN, i * 8, 4096),
				 VIRTIO_BLK_S_OK);
		fill(want, sizeof(want), 199 * 8 + i);
		ck_assert_mem_eq(b[i]->data, want, sizeof(want));
	}
	close(extra.fd);
	guest_device_close(gd);
	rig_fini(&rig);
}
END_TEST

/* --- dirty log ------------------------------------------------------------------------------ */

static bool is_dirty(const uint8_t *log, uint64_t gpa)
{
	return log[gpa / 4096 / 8] >> (gpa / 4096 % 8) & 1;
}

/*
 * Migration: logging is switched on while rings run.  From then on every page
 * that differs afterwards is marked, and pages of requests that only read the
 * guest's memory are not.
 */
START_TEST(every_page_written_is_in_the_dirty_log)
{
	const uint64_t ours = PVIO_BIT(VIRTIO_F_VERSION_1) |
			      PVIO_BIT(VU_F_PROTOCOL_FEATURES);
	struct vu_log wire = { .size = (RIG_HIGH_GPA + RIG_RAM_BYTES) / 32768 };
	struct guest_region *ram;
	struct vu_vring_addr addr = { .index = 0 };
	struct disk_buffer *b, *only_read;
	struct guest_device *gd;
	const struct guest_ring *ring;
	uint64_t gpa, read_gpa, page;
	uint8_t *log, *before;
	struct guest_vu *vu;
	int fd;

	rig_init(&rig, MEMORY_DISK, "");
	rig_start(&rig);
	gd = rig_open(&rig);
	vu = guest_device_vu(gd);
	ram = &rig.mem.region[0];
	rig_bring_up(gd, rings[_i], 1, 16);
	b = disk_buffer(&gpa);
	only_read = disk_buffer(&read_gpa);
	fill(only_read->data, 16384, 5);
	ck_assert_int_eq(disk_request(gd, 0, only_read, read_gpa,
				      VIRTIO_BLK_T_OUT, 0, 16384),
			 0);

	fd = memfd_create("pvio-log", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(fd, (off_t)wire.size), 0);
	log = mmap(NULL, wire.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(log, MAP_FAILED);
	ck_assert_int_eq(
		guest_vu_tell(vu, VU_SET_LOG_BASE, &wire, sizeof(wire), &fd, 1),
		0);
	ck_assert_int_eq(
		guest_vu_tell_u64(vu, VU_SET_FEATURES,
				  rings[_i] | ours | PVIO_BIT(VU_F_LOG_ALL)),
		0);
	ring = guest_device_ring(gd, 0);
	addr.flags = VU_VRING_F_LOG;
	addr.desc = (uintptr_t)guest_host(&rig.mem, guest_ring_desc(ring));
	addr.avail = (uintptr_t)guest_host(&rig.mem, guest_ring_driver(ring));
	addr.used = (uintptr_t)guest_host(&rig.mem, guest_ring_device(ring));
	addr.log = guest_ring_device(ring);
	ck_assert_int_eq(guest_vu_tell(vu, VU_SET_VRING_ADDR, &addr,
				       sizeof(addr), NULL, 0),
			 0);

	before = malloc(ram->size);
	memcpy(before, ram->host, ram->size);
	memset(log, 0, wire.size);
	ck_assert_int_eq(disk_request(gd, 0, b, gpa, VIRTIO_BLK_T_IN, 0, 16384),
			 0);
	ck_assert_int_eq(disk_request(gd, 0, only_read, read_gpa,
				      VIRTIO_BLK_T_OUT, 0, 16384),
			 0);
	/* What the driver wrote itself is not the device's to log. */
	memcpy(before + (gpa - ram->gpa), &b->header, sizeof(b->header));
	for (page = 0; page < ram->size; page += 4096) {
		uint64_t at = ram->gpa + page;
		uint64_t data = gpa + offsetof(struct disk_buffer, data);
		uint64_t source = read_gpa + offsetof(struct disk_buffer, data);

		if (at >= data && at < data + 16384)
			ck_assert_msg(is_dirty(log, at), "data page %llx",
				      (unsigned long long)at);
		if (at >= source && at < source + 16384)
			ck_assert_msg(!is_dirty(log, at), "read page %llx",
				      (unsigned long long)at);
	}
	ck_assert(is_dirty(log, gpa)); /* status byte */
	ck_assert(is_dirty(log, read_gpa));
	ck_assert(is_dirty(log, rings[_i] & PVIO_BIT(VIRTIO_F_RING_PACKED)
					? guest_ring_desc(ring)
					: guest_ring_device(ring)));

	/* And off again. */
	ck_assert_int_eq(
		guest_vu_tell_u64(vu, VU_SET_FEATURES, rings[_i] | ours), 0);
	memset(log, 0, wire.size);
	ck_assert_int_eq(disk_request(gd, 0, b, gpa, VIRTIO_BLK_T_IN, 0, 16384),
			 0);
	for (page = 0; page < wire.size; page++)
		ck_assert_uint_eq(log[page], 0);
	free(before);
	munmap(log, wire.size);
	close(fd);
	guest_device_close(gd);
	rig_fini(&rig);
}
END_TEST

/* --- kill -9 ----------------------------------------------------------------------------------- */

/* A process that serves a disk at rig.path until it is killed. */
static pid_t serve_file(const char *image)
{
	struct pvio_worker *worker;
	struct pvio_device *dev;
	char config[512];
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid > 0)
		return pid;
	snprintf(config, sizeof(config),
		 "model = \"block\"; backend = { type = \"file\"; path = "
		 "\"%s\"; lock_wait_ms = 10000; }; transport = { type = "
		 "\"vhost-user\"; socket = \"%s\"; };",
		 image, rig.path);
	if (pvio_worker_create("child", &worker) < 0 ||
	    pvio_device_create("disk", config, worker, &worker, 1, &dev) < 0 ||
	    pvio_device_start(dev) < 0)
		_exit(1);
	pvio_worker_run(worker);
	_exit(0);
}

static int connect_within(struct guest_device *gd, const char *path)
{
	uint64_t end = pvio_now_ns() + 20000000000ULL;
	int rc;

	do {
		rc = guest_device_reconnect(gd, path);
		if (rc < 0)
			poll(NULL, 0, 1);
	} while (rc < 0 && pvio_now_ns() < end);
	return rc;
}

#define KILL_DEPTH  16
#define KILL_ROUNDS 12

/*
 * Writes are made as fast as they are done, and the process that does them is
 * killed again and again: none is lost, and none is done in a wrong order.
 */
START_TEST(requests_in_flight_survive_a_kill)
{
	struct guest_vu_options options = { .fd = -1 };
	struct disk_buffer *b[KILL_DEPTH];
	struct guest_segment seg[KILL_DEPTH][8];
	uint32_t seed[KILL_DEPTH] = { 0 }, seeds = 1, len;
	struct guest_device *gd = NULL;
	uint64_t gpa[KILL_DEPTH], next_kill;
	struct guest_ring *ring;
	unsigned int i, n, kills = 0;
	char image[128];
	uint8_t want[4096];
	pid_t pid;
	int fd;

	rig_init(&rig, "model = \"rng\";", "");
	pvio_device_destroy(rig.dev);
	rig.dev = NULL;
	snprintf(image, sizeof(image), "%s/image", rig.dir);
	fd = open(image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_eq(ftruncate(fd, 1 << 20), 0);
	pid = serve_file(image);
	for (i = 0; i < 10000 && guest_device_open_vhost_user_with(
					 rig.path, &rig.mem, &options, &gd) < 0;
	     i++)
		poll(NULL, 0, 1);
	ck_assert_ptr_nonnull(gd);
	rig_bring_up(gd, rings[_i], 1, 64);
	ring = guest_device_ring(gd, 0);
	for (i = 0; i < KILL_DEPTH; i++)
		b[i] = disk_buffer(&gpa[i]);

	next_kill = pvio_now_ns() + 3000000;
	while (kills < KILL_ROUNDS || guest_ring_outstanding(ring) > 0) {
		struct disk_buffer *done = guest_ring_reap(ring, &len);

		if (done) {
			ck_assert_uint_eq(done->status, VIRTIO_BLK_S_OK);
			done->header.sector = UINT64_MAX; /* idle */
		}
		for (i = 0; i < KILL_DEPTH && kills < KILL_ROUNDS; i++) {
			if (seed[i] && b[i]->header.sector != UINT64_MAX)
				continue;
			seed[i] = seeds++;
			fill(b[i]->data, 4096, seed[i]);
			n = disk_segments(b[i], gpa[i], VIRTIO_BLK_T_OUT, i * 8,
					  4096, seg[i]);
			ck_assert_int_eq(
				guest_ring_add(ring, seg[i], n - 1, 1, b[i]),
				0);
		}
		if (guest_ring_publish(ring))
			guest_device_kick(gd, 0);
		if (kills < KILL_ROUNDS && pvio_now_ns() > next_kill) {
			kill(pid, SIGKILL);
			waitpid(pid, NULL, 0);
			kills++;
			pid = serve_file(image);
			ck_assert_int_eq(connect_within(gd, rig.path), 0);
			next_kill = pvio_now_ns() + 500000 * (1 + kills % 7);
		}
		if (!done)
			guest_device_wait(gd, 0, 1);
	}
	for (i = 0; i < KILL_DEPTH; i++) {
		fill(want, sizeof(want), seed[i]);
		ck_assert_int_eq(pread(fd, b[i]->data, 4096, i * 4096), 4096);
		ck_assert_mem_eq(b[i]->data, want, sizeof(want));
	}
	guest_device_close(gd);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(fd);
	unlink(image);
	unlink(rig.path);
	snprintf(image, sizeof(image), "%s.lock", rig.path);
	unlink(image);
	rig_fini(&rig);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vhost_user");
	TCase *tcase = tcase_create("vhost_user");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tcase, CHECK_TIMEOUT_S);
	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_loop_test(tcase, device_serves_requests, 0, NR_RINGS);
	tcase_add_test(tcase, front_ends_come_and_go);
	tcase_add_loop_test(tcase, driver_negotiates_anew, 0, 2);
	tcase_add_test(tcase, stopped_device_starts_again);
	tcase_add_loop_test(tcase, ring_resumes_at_its_base, 0, NR_RINGS);
	tcase_add_loop_test(tcase, queues_on_workers_of_their_own_serve, 0, 2);
	tcase_add_loop_test(tcase,
			    in_band_notifications_take_the_place_of_eventfds, 0,
			    NR_RINGS);
	tcase_add_test(tcase, client_connects_and_reconnects);
	tcase_add_loop_test(tcase, inherited_socket_is_served, 0, 2);
	tcase_add_test(tcase, impossible_sockets_are_refused);
	tcase_add_test(tcase, change_of_configuration_is_told);
	tcase_add_test(tcase, queue_pairs_are_counted_as_the_front_end_does);
	tcase_add_loop_test(tcase, memory_changes_under_requests_in_flight, 0,
			    NR_RINGS);
	tcase_add_loop_test(tcase, every_page_written_is_in_the_dirty_log, 0,
			    NR_RINGS);
	tcase_add_loop_test(tcase, requests_in_flight_survive_a_kill, 0,
			    NR_RINGS);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
