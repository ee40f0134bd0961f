/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memory.h - the guest's memory, as the program that embeds pvio has it
 *
 * A struct pvio_memory lists ranges of guest-physical addresses and what is
 * behind each: memory of this process, or a file.  One list serves every
 * device of a guest.  Changing the list changes no device: to hand the list as
 * it is now to a device, call pvio_device_set_memory_list(), which finishes
 * what is in flight first.
 *
 *	pvio_memory_add(mem, 0, 1 << 30, ram);
 *	pvio_device_set_memory_list(disk, mem);
 *	pvio_device_set_memory_list(card, mem);
 *	...
 *	pvio_memory_remove(mem, gpa);          unplug: first the list,
 *	pvio_device_set_memory_list(disk, mem);  then each device,
 *	munmap(...);                             then it is yours again
 *
 * A list may be used from any thread, by one at a time.
 */
#ifndef PVIO_MEMORY_H
#define PVIO_MEMORY_H

#include <pvio/device.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct pvio_memory;

/* An empty list.  -ENOMEM.  pvio_memory_destroy() it. */
int pvio_memory_create(struct pvio_memory **mem);
/* Devices keep what they were given.  NULL is allowed. */
void pvio_memory_destroy(struct pvio_memory *mem);

/*
 * @size bytes at guest address @gpa are at @host in this process.  Borrowed
 * until the range is removed and every device has the list without it.
 * -EINVAL (wraps, empty), -EEXIST (overlaps another), -ENOSPC (512 ranges).
 */
int pvio_memory_add(struct pvio_memory *mem, uint64_t gpa, uint64_t size,
		    void *host);
/*
 * The same, @offset bytes into the file @fd (borrowed for the call: a
 * duplicate is mapped), which must reach to @offset + @size.  @read_only: the
 * device can't write there, and requests that would are given back with
 * length 0.  Errors as above, or what mmap says.
 */
int pvio_memory_add_fd(struct pvio_memory *mem, uint64_t gpa, uint64_t size,
		       int fd, uint64_t offset, int read_only);
/* Take the range that begins at @gpa off the list.  -ENOENT. */
int pvio_memory_remove(struct pvio_memory *mem, uint64_t gpa);

/*
 * Give @dev the ranges listed now.  Requests in flight are finished first;
 * when this returns the device touches nothing of what it had before and is
 * not listed any more.  A running queue whose ring is gone breaks: the device
 * asks its driver for a reset.  Any thread (pvio-pci(3), Threads).  -ENOMEM.
 */
int pvio_device_set_memory_list(struct pvio_device *dev,
				const struct pvio_memory *mem);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
