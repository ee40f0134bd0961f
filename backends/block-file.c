/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * block-file.c - a disk in a file or block device: open, lock, size
 *
 * The content is the disk, byte for byte.  It is never looked at to find out
 * what it is: a guest can write anything there, the header of another image
 * format included.
 *
 * The lock.  An open-file-description lock on the whole file keeps two
 * processes from serving one image, and does a second thing: requests that the
 * kernel still executes for a process that was killed hold a reference on its
 * open file, so the lock is free only when the last of them is done.  Until
 * then a write of the dead process could land on top of a newer one of ours.
 * So open waits for the lock, up to "lock_wait_ms", before it says that the
 * image is in use.  (A classic POSIX lock goes away with the process and
 * protects from neither.)  A block device that is to be written is also opened
 * exclusively, which a mounted one refuses.
 */
#include "backends/block-file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_LOCK_WAIT_MS  2000
#define FILE_LOCK_RETRY_MS 5

static int file_error(const struct file *file, const char *what, int rc)
{
	pvio_log(PVIO_LOG_ERROR, "%s: %s %s: %s", file->device, what,
		 file->path, strerror(-rc));
	return rc;
}

/*
 * Open what is at the path if it is a file or block device.  Others are not
 * even opened: opening a pipe waits, opening a tape rewinds.
 */
static int file_open_path(struct file *file, int flags)
{
	struct stat before, after;
	int fd, rc;

	fd = open(file->path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	rc = fstat(fd, &before) < 0 ? -errno : 0;
	close(fd);
	if (rc < 0)
		return rc;
	if (!S_ISREG(before.st_mode) && !S_ISBLK(before.st_mode))
		return -ENOTBLK;
	file->is_device = S_ISBLK(before.st_mode);

	fd = open(file->path, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &after) < 0 || fcntl(fd, F_SETFL, flags & O_DIRECT) < 0)
		rc = -errno;
	else if (before.st_dev != after.st_dev || before.st_ino != after.st_ino)
		rc = -ESTALE;
	if (rc < 0) {
		close(fd);
		return rc;
	}
	return fd;
}

static int file_lock(int fd, bool read_only)
{
	struct flock lock = {
		.l_type = read_only ? F_RDLCK : F_WRLCK,
		.l_whence = SEEK_SET,
	};

	if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
		return 0;
	return errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
}

static void file_sleep_ms(unsigned int ms)
{
	struct timespec ts = { .tv_nsec = (long)ms * 1000000 };

	nanosleep(&ts, NULL);
}

/* Open, and lock if @lock, waiting as long as another has it. */
static int file_open_locked(struct file *file, bool read_only, bool lock,
			    unsigned int wait_ms)
{
	uint64_t deadline = pvio_now_ns() + wait_ms * 1000000ULL;
	int flags = read_only ? O_RDONLY : O_RDWR;
	struct stat st;
	int fd, rc;

	if (file->direct)
		flags |= O_DIRECT;
	if (lock && !read_only && stat(file->path, &st) == 0 &&
	    S_ISBLK(st.st_mode))
		flags |= O_EXCL;
	for (;;) {
		fd = file_open_path(file, flags);
		rc = fd < 0 ? fd : 0;
		if (rc == 0 && lock) {
			rc = file_lock(fd, read_only);
			if (rc < 0)
				close(fd);
		}
		if (rc == 0) {
			file->fd = fd;
			return 0;
		}
		if (rc != -EBUSY || pvio_now_ns() >= deadline)
			break;
		file_sleep_ms(FILE_LOCK_RETRY_MS);
	}
	if (rc == -EBUSY) {
		pvio_log(PVIO_LOG_ERROR,
			 "%s: %s: image is in use by another process",
			 file->device, file->path);
	} else if (rc == -ENOTBLK) {
		pvio_log(PVIO_LOG_ERROR,
			 "%s: %s: neither a file nor a block device",
			 file->device, file->path);
	} else if (rc == -EINVAL && file->direct) {
		pvio_log(PVIO_LOG_ERROR,
			 "%s: %s: its file system has no direct I/O",
			 file->device, file->path);
	} else {
		file_error(file, "open", rc);
	}
	return rc;
}

static int file_read_size(const struct file *file, uint64_t *bytes)
{
	struct stat st;

	if (file->is_device) {
		if (ioctl(file->fd, BLKGETSIZE64, bytes) < 0)
			return -errno;
	} else {
		if (fstat(file->fd, &st) < 0)
			return -errno;
		*bytes = (uint64_t)st.st_size;
	}
	*bytes -= *bytes % 512;
	return 0;
}

/* Is @n a block size that the model can tell a guest? */
static bool file_is_block_size(uint64_t n)
{
	return n >= 512 && n <= 65536 && !(n & (n - 1));
}

/* What direct I/O wants of offsets and buffers. */
static void file_read_alignment(struct file *file)
{
	uint32_t offset_align = 0, memory_align = 0;
#ifdef STATX_DIOALIGN
	struct statx stx;

	if (statx(file->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) == 0 &&
	    (stx.stx_mask & STATX_DIOALIGN)) {
		offset_align = stx.stx_dio_offset_align;
		memory_align = stx.stx_dio_mem_align;
	}
#endif
	if (offset_align < 512)
		offset_align = file->info.block_bytes;
	if (file_is_block_size(offset_align) &&
	    offset_align > file->info.block_bytes)
		file->info.block_bytes = offset_align;
	file->memory_align = memory_align;
	if (memory_align == 0 || memory_align & (memory_align - 1))
		file->memory_align = file->info.block_bytes;
}

static int file_read_info(struct file *file, bool read_only)
{
	struct pvio_block_info *info = &file->info;
	struct stat st;
	int logical = 0;
	unsigned int physical = 0;
	int rc;

	rc = file_read_size(file, &info->bytes);
	if (rc < 0)
		return file_error(file, "size of", rc);
	info->block_bytes = 512;
	if (fstat(file->fd, &st) == 0 && file_is_block_size(st.st_blksize))
		info->physical_bytes = (uint32_t)st.st_blksize;
	if (file->is_device) {
		if (ioctl(file->fd, BLKSSZGET, &logical) == 0 && logical > 0 &&
		    file_is_block_size(logical) && file->direct)
			info->block_bytes = (uint32_t)logical;
		if (ioctl(file->fd, BLKPBSZGET, &physical) == 0 &&
		    file_is_block_size(physical))
			info->physical_bytes = physical;
	}
	if (file->direct)
		file_read_alignment(file);
	info->read_only = read_only;
	info->can_discard = !read_only;
	info->can_write_zeroes = !read_only;
	info->discard_align = info->physical_bytes;
	info->volatile_cache = true;
	return 0;
}

static void file_close(void *backend)
{
	struct file *file = backend;

	if (file->fd >= 0)
		close(file->fd);
	free(file->path);
	free(file->device);
	free(file);
}

static int file_open(const char *device, struct pvio_config *cfg,
		     bool want_read_only, struct pvio_block_info *info,
		     void **backend)
{
	uint64_t wait_ms = FILE_LOCK_WAIT_MS;
	struct file *file;
	const char *path;
	bool direct = false, lock = true;
	int rc;

	if (pvio_config_string(cfg, "path", &path) < 0 ||
	    pvio_config_bool_opt(cfg, "direct", &direct) < 0 ||
	    pvio_config_bool_opt(cfg, "lock", &lock) < 0 ||
	    pvio_config_uint_opt(cfg, "lock_wait_ms", 0, 60000, &wait_ms) < 0)
		return -EINVAL;
	rc = pvio_uring_check(device);
	if (rc < 0)
		return rc;

	file = calloc(1, sizeof(*file));
	if (!file)
		return -ENOMEM;
	file->fd = -1;
	file->direct = direct;
	file->device = strdup(device);
	file->path = strdup(path);
	if (!file->device || !file->path) {
		rc = -ENOMEM;
		goto close_file;
	}
	lock = lock && !pvio_config_is_trial(cfg);
	rc = file_open_locked(file, want_read_only, lock,
			      (unsigned int)wait_ms);
	if (rc < 0)
		goto close_file;
	rc = file_read_info(file, want_read_only);
	if (rc < 0)
		goto close_file;
	*info = file->info;
	*backend = file;
	return 0;

close_file:
	file_close(file);
	return rc;
}

static int file_refresh(void *backend, struct pvio_block_info *info)
{
	struct file *file = backend;

	return file_read_size(file, &info->bytes);
}

static const struct pvio_block_backend_ops file_ops = {
	.abi = PVIO_PLUGIN_ABI,
	.name = "file",
	.open = file_open,
	.close = file_close,
	.refresh = file_refresh,
	.start_queue = pvio_uring_start_queue,
	.stop_queue = pvio_uring_stop_queue,
	.submit = pvio_uring_submit,
	.flush = pvio_uring_flush,
};
PVIO_PLUGIN(block_backend, file, file_ops);
