/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * block-faulty.h - a rig with the disk of tests/plugins/block-faulty.c
 *
 * Included by the one source of a test program, which calls load_faulty() as
 * an unchecked fixture.
 */
#ifndef PVIO_TESTS_FAULTY_RIG_H
#define PVIO_TESTS_FAULTY_RIG_H

#include "tests/block-rig.h"
#include "tests/plugins/block-faulty.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

static struct faulty *faulty;
static faulty_release_fn *faulty_release;

static void load_faulty(void)
{
	void *module;

	if (faulty)
		return;
	ck_assert_int_eq(pvio_plugins_load(PVIO_TEST_PLUGIN_DIR), 0);
	module = dlopen(PVIO_TEST_PLUGIN_DIR "/block-faulty.so",
			RTLD_NOW | RTLD_LOCAL);
	ck_assert_ptr_nonnull(module);
	faulty = dlsym(module, "faulty");
	*(void **)&faulty_release = dlsym(module, "faulty_release");
	ck_assert(faulty && faulty_release);
}

/* A device with @keys on it, over loopback, without the features of @refuse. */
static void open_faulty(struct block_rig *rig, const char *keys,
			uint64_t refuse)
{
	char config[256];

	memset(faulty, 0, sizeof(*faulty));
	faulty->bytes = FAULTY_BYTES;
	snprintf(config, sizeof(config), "%s backend = { type = \"faulty\"; };",
		 keys);
	rig_open(rig, BLOCK_LOOPBACK_SPLIT, config, refuse);
}

#endif
