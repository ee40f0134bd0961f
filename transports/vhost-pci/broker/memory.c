/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memory.c - the window's file
 *
 *	named	 B's memory is in it ("ram"), so it is there before us or after
 *		 us; we make it if it is missing and let it grow to the size
 *		 asked for, but never take a byte of it away
 *	unnamed	 ends with us, and nobody can shrink it
 */
#include "broker.h"

#include "core/memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static bool memory_is_size(uint64_t bytes)
{
	return bytes >= WINDOW_MIN_BYTES && (bytes & (bytes - 1)) == 0;
}

/* Make the file as long as asked; *bytes 0: see how long it is. */
static int memory_fit(int fd, uint64_t *bytes)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (*bytes == 0)
		*bytes = (uint64_t)st.st_size;
	if (!memory_is_size(*bytes) || (uint64_t)st.st_size > *bytes)
		return -EINVAL;
	if ((uint64_t)st.st_size < *bytes && ftruncate(fd, (off_t)*bytes) < 0)
		return -errno;
	return 0;
}

/* Takes @fd. */
static int memory_map(struct broker_memory *mem, int fd, uint64_t bytes)
{
	struct stat st;
	int rc;

	rc = fstat(fd, &st) < 0 ? -errno : 0;
	if (rc == 0)
		rc = pvio_mapping_create(fd, 0, bytes, PROT_READ | PROT_WRITE,
					 &mem->mapping);
	if (rc < 0) {
		close(fd);
		return rc;
	}
	mem->fd = fd;
	mem->host = pvio_mapping_host(mem->mapping);
	mem->bytes = bytes;
	mem->dev = st.st_dev;
	mem->ino = st.st_ino;
	return 0;
}

int broker_memory_adopt(struct broker_memory *mem, int fd, uint64_t bytes)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(fd, &st) < 0 ||
	    (uint64_t)st.st_size != bytes) {
		close(fd);
		return -EINVAL;
	}
	return memory_map(mem, fd, bytes);
}

int broker_memory_open(struct broker_memory *mem, const char *path,
		       uint64_t bytes)
{
	int fd, rc;

	if (!path && !memory_is_size(bytes))
		return -EINVAL;
	/* Not blocking: a FIFO at that path would wait for its other end. */
	fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600)
		  : pvio_memfd_create("pvio-window", bytes);
	if (fd < 0)
		return path ? -errno : fd;
	rc = path ? memory_fit(fd, &bytes) : 0;
	if (rc < 0) {
		close(fd);
		return rc;
	}
	return memory_map(mem, fd, bytes);
}

void broker_memory_close(struct broker_memory *mem)
{
	if (!mem->host)
		return;
	pvio_mapping_put(mem->mapping);
	close(mem->fd);
	*mem = (struct broker_memory){ .fd = -1 };
}
