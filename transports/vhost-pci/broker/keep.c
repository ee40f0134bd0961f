/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * keep.c - descriptors for the process that takes our place
 *
 *	memory		  the window's, where no file has it
 *	file-DEV-INO	  which file it is, where one has
 *	client, and more  the carrier's
 *
 * What another process has left is of use with the memory it was left with
 * only: the appliance's VMM has that in its BAR.
 */
#include "broker.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define KEEP_TAG_BYTES 32

int broker_keep(struct broker *broker, int fd, const char *fmt, ...)
{
	const struct pvio_window_store *store = broker->store;
	char tag[KEEP_TAG_BYTES];
	va_list args;

	if (!store)
		return -ENOENT;
	va_start(args, fmt);
	vsnprintf(tag, sizeof(tag), fmt, args);
	va_end(args);
	return store->put(store->arg, tag, fd);
}

int broker_kept(struct broker *broker, const char *fmt, ...)
{
	const struct pvio_window_store *store = broker->store;
	char tag[KEEP_TAG_BYTES];
	va_list args;

	if (!store)
		return -ENOENT;
	va_start(args, fmt);
	vsnprintf(tag, sizeof(tag), fmt, args);
	va_end(args);
	return store->take(store->arg, tag);
}

/* The file itself may be of a kind that nobody else wants to have open. */
static void keep_file(struct broker *broker)
{
	const struct broker_memory *mem = &broker->memory;
	int fd;

	fd = broker_kept(broker, "file-%" PRIx64 "-%" PRIx64, mem->dev,
			 mem->ino);
	broker->is_kept = fd >= 0;
	if (fd < 0)
		fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0)
		return;
	(void)broker_keep(broker, fd, "file-%" PRIx64 "-%" PRIx64, mem->dev,
			  mem->ino);
	close(fd);
}

int broker_open_memory(struct broker *broker)
{
	int fd = -ENOENT, rc;

	if (!broker->file)
		fd = broker_kept(broker, "memory");
	if (fd >= 0 &&
	    broker_memory_adopt(&broker->memory, fd, broker->bytes) == 0) {
		broker->is_kept = true;
		return 0;
	}
	rc = broker_memory_open(&broker->memory, broker->file, broker->bytes);
	if (rc < 0 || !broker->store)
		return rc;
	if (broker->file)
		keep_file(broker);
	else
		(void)broker_keep(broker, broker->memory.fd, "memory");
	return 0;
}
