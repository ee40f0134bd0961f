/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_vhost_user.c - a device behind vhost-user, driven by our front-end
 */
#include "tests/check_main.h"
#include "tests/vhost-user-rig.h"

static struct rig rig;

static void setup(void)
{
	rig_init(&rig, "model = \"rng\";", "");
}

static void teardown(void)
{
	rig_fini(&rig);
}

static const struct {
	const char *name;
	uint64_t features;
} rings[] = {
	{ "split", 0 },
	{ "split, event index, indirect",
	  PVIO_BIT(VIRTIO_RING_F_EVENT_IDX) |
		  PVIO_BIT(VIRTIO_RING_F_INDIRECT_DESC) },
	{ "packed", PVIO_BIT(VIRTIO_F_RING_PACKED) },
	{ "packed, event index, indirect, in order",
	  PVIO_BIT(VIRTIO_F_RING_PACKED) | PVIO_BIT(VIRTIO_RING_F_EVENT_IDX) |
		  PVIO_BIT(VIRTIO_RING_F_INDIRECT_DESC) |
		  PVIO_BIT(VIRTIO_F_IN_ORDER) },
};

START_TEST(device_serves_requests)
{
	struct guest_device *gd;
	int i;

	rig_start(&rig);
	gd = rig_open(&rig);
	rig_bring_up(gd, rings[_i].features, 1, 16);
	for (i = 0; i < 100; i++)
		rig_expect_entropy(&rig, gd);
	guest_device_close(gd);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vhost_user");
	TCase *tcase = tcase_create("vhost_user");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tcase, CHECK_TIMEOUT_S);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, device_serves_requests, 0,
			    pvio_array_size(rings));
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
