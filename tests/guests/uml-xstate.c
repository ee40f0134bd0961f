// SPDX-License-Identifier: BSD-3-Clause
/*
 * uml-xstate.c - lets User-mode Linux 6.1 run on CPUs with AMX
 *
 * linux.uml saves and restores 2.6 KiB of a process's extended registers, and
 * Linux refuses to restore (EFAULT) anything but all of them, which with AMX
 * are 11 KiB: init dies with "ptrace set fp regs failed, errno = 14".  Loaded
 * into linux.uml by LD_PRELOAD, this puts what UML has on top of what the
 * process has already.  UML has one kernel thread and small stacks, hence the
 * static buffer.
 */
#include "build-config.h"

#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static char state[65536];

long ptrace(enum __ptrace_request request, ...)
{
	struct iovec whole = { state, sizeof(state) };
	const struct iovec *part;
	unsigned long peeked;
	va_list args;
	pid_t pid;
	void *addr, *data;
	long rc;

	va_start(args, request);
	pid = va_arg(args, pid_t);
	addr = va_arg(args, void *);
	data = va_arg(args, void *);
	va_end(args);

	/* The system call stores a peeked word where glibc returns it. */
	if (request == PTRACE_PEEKTEXT || request == PTRACE_PEEKDATA ||
	    request == PTRACE_PEEKUSER) {
		rc = syscall(SYS_ptrace, request, pid, addr, &peeked);
		if (rc < 0)
			return rc;
		errno = 0;
		return (long)peeked;
	}
	rc = syscall(SYS_ptrace, request, pid, addr, data);
	if (rc == 0 || errno != EFAULT || request != PTRACE_SETREGSET ||
	    addr != (void *)(long)NT_X86_XSTATE)
		return rc;
	part = data;
	if (syscall(SYS_ptrace, PTRACE_GETREGSET, pid, addr, &whole) ||
	    part->iov_len > whole.iov_len) {
		errno = EFAULT;
		return -1;
	}
	memcpy(state, part->iov_base, part->iov_len);
	return syscall(SYS_ptrace, request, pid, addr, &whole);
}
