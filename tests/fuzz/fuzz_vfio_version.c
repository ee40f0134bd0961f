/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_vfio_version.c - the first message of a vfio-user client
 *
 * The input is the payload of VERSION: two numbers of 16 bits and the JSON.  A
 * live server takes it, agrees or hangs up; if it agrees it serves, and its
 * answer is JSON of ours.
 */
#include "tests/fuzz/fuzz_socket.h"

#include "guest/vfio-user.h"

#include <errno.h>

static struct pvio_device *dev;
static char path[64];

static void fuzz_remove_socket(void)
{
	pvio_device_destroy(dev);
	pvio_worker_destroy(worker);
}

static void fuzz_open(void)
{
	char config[256];

	snprintf(path, sizeof(path), "/tmp/pvio-fuzz-%d.sock", (int)getpid());
	snprintf(config, sizeof(config),
		 "model = \"rng\"; transport = { type = \"vfio-user\"; "
		 "socket = \"%s\"; };",
		 path);
	fuzz_open_worker();
	dev = fuzz_open_device("fuzz", config);
	atexit(fuzz_remove_socket);
}

/* It has agreed: with what?  And does it serve? */
static void fuzz_expect_agreed(struct guest_vfu *vfu,
			       const struct guest_vfu_reply *reply)
{
	static const char begin[] = "{\"capabilities\":{";
	const char *json = (const char *)reply->bytes + 4;
	struct vfu_device_info info;

	fuzz_require(reply->size > sizeof(reply->version) &&
			     reply->size < 256 &&
			     reply->bytes[reply->size - 1] == '\0' &&
			     strlen(json) == reply->size - 5 &&
			     strncmp(json, begin, sizeof(begin) - 1) == 0,
		     "the answer is not JSON");
	fuzz_require(reply->version.major == 0 && reply->version.minor == 0,
		     "the answer is another version");
	fuzz_require(guest_vfu_device_info(vfu, &info) == 0,
		     "agreed, and does not serve");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct guest_vfu_reply reply;
	struct guest_vfu vfu;
	int lowest, rc;

	if (!worker)
		fuzz_open();
	if (size > 60000)
		return 0;
	lowest = fuzz_lowest_fd();
	fuzz_require(guest_vfu_connect(&vfu, path, worker) == 0, "connect");
	rc = guest_vfu_ask(&vfu, VFU_VERSION, data, size, NULL, 0, &reply);
	if (rc == 0)
		fuzz_expect_agreed(&vfu, &reply);
	else
		fuzz_require(rc == -EINVAL || rc == -EPIPE, "another error");
	guest_vfu_close(&vfu);
	while (pvio_worker_step(worker))
		;
	fuzz_require(fuzz_lowest_fd() == lowest, "a descriptor was leaked");
	return 0;
}
