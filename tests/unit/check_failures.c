/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_failures.c - whichever allocation or system call fails, the caller
 * gets -errno, nothing is left behind, and the next try succeeds
 *
 * The linker gives us the calls (--wrap): the n-th of them fails, for each n
 * until the whole operation goes through.  What is left behind is seen in the
 * number of open descriptors here, and by the leak checker in sanitized builds.
 */
#include "core/config.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/worker.h"
#include "tests/check_main.h"
#include "transports/vhost-user/vhost-user.h"

#include <pvio/pvio.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* Calls until one fails; -1: none will. */
static int calls_left = -1;

static bool fails_now(void)
{
	return calls_left >= 0 && calls_left-- == 0;
}

#define WRAP(type, failure, error, name, params, args)                     \
	type __real_##name params;                                         \
	type __wrap_##name params;                                         \
	type __wrap_##name params                                          \
	{                                                                  \
		if (!fails_now())                                          \
			return __real_##name args;                         \
		errno = error;                                             \
		return failure;                                            \
	}

WRAP(void *, NULL, ENOMEM, malloc, (size_t size), (size))
WRAP(void *, NULL, ENOMEM, calloc, (size_t nr, size_t size), (nr, size))
WRAP(char *, NULL, ENOMEM, strdup, (const char *s), (s))
WRAP(char *, NULL, ENOMEM, strndup, (const char *s, size_t n), (s, n))
WRAP(int, -1, EMFILE, eventfd, (unsigned int n, int flags), (n, flags))
WRAP(void *, MAP_FAILED, ENOMEM, mmap,
     (void *p, size_t len, int prot, int flags, int fd, off_t offset),
     (p, len, prot, flags, fd, offset))
WRAP(FILE *, NULL, ENOMEM, open_memstream, (char **p, size_t *len), (p, len))

int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...)
{
	va_list ap;
	long arg;

	va_start(ap, command);
	arg = va_arg(ap, long);
	va_end(ap);
	/* What cannot be asked for its seals has none: no failure. */
	if (command == F_GET_SEALS || !fails_now())
		return __real_fcntl(fd, command, arg);
	errno = EMFILE;
	return -1;
}

static unsigned int open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int nr = 0;

	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		nr++;
	closedir(dir);
	return nr;
}

/* Let each call of @fn fail in turn; @fn returns 0 or -errno. */
static void each_call_fails_once(int (*fn)(void))
{
	unsigned int before = open_fds(), ms;
	int n, rc;

	for (n = 0; n < 1000; n++) {
		calls_left = n;
		rc = fn();
		if (calls_left >= 0) {
			/* Not reached any more. */
			calls_left = -1;
			ck_assert_int_eq(rc, 0);
			ck_assert_int_gt(n, 0);
			return;
		}
		calls_left = -1;
		if (rc != -ENOMEM && rc != -EMFILE)
			ck_abort_msg("failure of call %d gives %d", n, rc);
		/* What a peer sent is closed in the background. */
		for (ms = 0; ms < 20000 && open_fds() != before; ms++)
			poll(NULL, 0, 1);
		ck_assert_uint_eq(open_fds(), before);
	}
	ck_abort_msg("there is no end of calls");
}

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

static void teardown(void)
{
	calls_left = -1;
	pvio_log_set(NULL, NULL, PVIO_LOG_WARNING);
}

/* C08 */

static int make_worker(void)
{
	struct pvio_worker *worker = NULL;
	int rc = pvio_worker_create("test", &worker);

	/* No ck_assert here: it would be among those that fail. */
	if ((rc == 0) != (worker != NULL))
		rc = -EPROTO;
	pvio_worker_destroy(worker);
	return rc;
}

START_TEST(worker_is_made_or_not)
{
	each_call_fails_once(make_worker);
}
END_TEST

static int ram_fd;

static int make_map(void)
{
	struct pvio_mapping *m = NULL, *log = NULL;
	struct pvio_map *map = NULL;
	struct pvio_region r = { .gpa = 4096, .size = 4096 };
	static uint8_t bits[16];
	int rc;

	rc = pvio_mapping_create(ram_fd, 0, 8192, PROT_READ, &m);
	if (rc < 0)
		return rc;
	r.mapping = m;
	rc = pvio_mapping_wrap(bits, sizeof(bits), &log);
	if (rc == 0)
		rc = pvio_map_create(&r, 1, &map);
	if (rc == 0)
		rc = pvio_map_set_log(map, log, sizeof(bits));
	pvio_map_put(map);
	pvio_mapping_put(log);
	pvio_mapping_put(m);
	return rc;
}

START_TEST(map_is_made_or_not)
{
	ram_fd = memfd_create("ram", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(ram_fd, 8192), 0);
	each_call_fails_once(make_map);
	close(ram_fd);
}
END_TEST

static char config_path[] = "/tmp/check_failures.XXXXXX";

static int read_config(void)
{
	struct pvio_config_file *file = NULL;
	struct pvio_config *group;
	char *text = NULL;
	int rc;

	rc = pvio_config_open(config_path, &file);
	if (rc < 0)
		return file ? -EPROTO : rc;
	rc = pvio_config_group(pvio_config_root(file), "g", &group);
	if (rc == 0 && !pvio_config_element(group, "l", 0))
		rc = -ENOMEM;
	if (rc == 0) {
		text = pvio_config_text(group);
		rc = text ? 0 : -ENOMEM;
	}
	free(text);
	pvio_config_close(file);
	return rc;
}

START_TEST(configuration_is_read_or_not)
{
	static const char text[] = "g = { l = ( { x = 1; } ); };\n";
	int fd = mkstemp(config_path);

	ck_assert_int_eq(write(fd, text, strlen(text)), (int)strlen(text));
	close(fd);
	each_call_fails_once(read_config);
	unlink(config_path);
}
END_TEST

static struct pvio_worker *control;
static struct vu vu;
static bool is_gone;

static void front_end_gone(struct vu *gone)
{
	(void)gone;
	is_gone = true;
}

/* Its fd is taken, also on failure. */
static int serve_front_end(void)
{
	int fd[2], left, rc;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) < 0)
		return -EPROTO;
	rc = vu_session_create(&vu, fd[0]);
	left = calls_left;
	calls_left = -1;
	if (rc < 0 && vu.session)
		rc = -EPROTO;
	for (is_gone = rc < 0; !is_gone;) {
		vu_close(&vu);
		pvio_worker_wait(control, 0);
	}
	calls_left = left;
	close(fd[1]);
	return rc;
}

START_TEST(front_end_is_served_or_not)
{
	static const struct vu_ops ops = { .gone = front_end_gone };
	struct pvio_device *dev;

	ck_assert_int_eq(pvio_worker_create("control", &control), 0);
	ck_assert_int_eq(
		pvio_device_create("rng",
				   "model = \"rng\";"
				   "transport = { type = \"loopback\"; };",
				   control, &control, 1, &dev),
		0);
	ck_assert_int_eq(pvio_device_start(dev), 0);
	vu_init(&vu, &ops, dev);
	each_call_fails_once(serve_front_end);
	pvio_device_destroy(dev);
	pvio_worker_destroy(control);
}
END_TEST

CHECK_MAIN("failures", setup, teardown, worker_is_made_or_not,
	   map_is_made_or_not, configuration_is_read_or_not,
	   front_end_is_served_or_not)
