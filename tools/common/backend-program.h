/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * backend-program.h - programs that are one vhost-user device
 *
 * pvio-block and pvio-net follow the conventions for vhost-user back-end
 * programs that QEMU documents: a management layer starts one for each device,
 * with --socket-path or --fd, and ends it with SIGTERM.  They differ in the
 * options that say what the device is; the rest is here.
 */
#ifndef PVIO_TOOLS_BACKEND_PROGRAM_H
#define PVIO_TOOLS_BACKEND_PROGRAM_H

#include <stddef.h>
#include <stdio.h>

struct option;

/* How the program's own options end up in the device's configuration. */
struct backend_program {
	const char *name;         /* "pvio-block" */
	const char *capabilities; /* what --print-capabilities prints */
	const char *usage;        /* of its own options */
	/* Its own options, ended by a zeroed one; .val from 256 on. */
	const struct option *options;
	/* One was given.  -EINVAL after a message on stderr. */
	int (*option)(void *arg, int val, const char *value);
	/*
	 * All were read: write the device's group, without transport, to
	 * @config.  -EINVAL after a message on stderr.
	 */
	int (*write)(void *arg, FILE *config);
	void *arg;
};

int backend_program_main(const struct backend_program *program, int argc,
			 char **argv);

/* @value as a string of the configuration's syntax. */
void backend_program_quote(FILE *config, const char *key, const char *value);
/* @value as a number of it.  -EINVAL after a message on stderr. */
int backend_program_number(FILE *config, const char *key, const char *value);

#endif
