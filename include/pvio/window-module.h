/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * window-module.h - what the Linux module pvio_window has for user space
 *
 * The module drives PCI functions that show a window on another virtual
 * machine's memory: ivshmem-doorbell's, and pvio's own.  Each has a device node,
 * /dev/pvio-window-ADDRESS, which one process can have open at a time.
 *
 *	mmap, from 0		    the window: BAR 2, cacheable
 *	mmap, at ..._REGISTERS	    one page of registers, not cacheable; the
 *				    doorbell is a 32-bit register at ..._DOORBELL
 *	ioctl ..._GET_INFO	    how much of it there is
 *	ioctl ..._BIND		    an eventfd that an interrupt signals
 *	poll			    POLLHUP: the function has gone
 *
 * Mappings are shared ones.  When the function has gone, they have zeroes, and
 * every ioctl is ENODEV.
 */
#ifndef PVIO_WINDOW_MODULE_H
#define PVIO_WINDOW_MODULE_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define PVIO_WINDOW_NODE "/dev/pvio-window-" /* and then 0000:00:04.0 */

#define PVIO_WINDOW_REGISTERS (1ULL << 40) /* an offset to mmap from */
#define PVIO_WINDOW_DOORBELL  0x0c

struct pvio_window_info {
	__u64 bytes;   /* of the window */
	__u32 vectors; /* interrupts, from 0 */
	__u32 padding; /* 0 */
};

/*
 * From now on interrupt @vector signals @eventfd, in the place of another one
 * if there is; -1: nothing.  One that came while nothing was bound may be lost.
 */
struct pvio_window_bind {
	__u32 vector;
	__s32 eventfd;
};

#define PVIO_WINDOW_IOCTL    'W'
#define PVIO_WINDOW_GET_INFO _IOR(PVIO_WINDOW_IOCTL, 0xb0, struct pvio_window_info)
#define PVIO_WINDOW_BIND     _IOW(PVIO_WINDOW_IOCTL, 0xb1, struct pvio_window_bind)

#endif
