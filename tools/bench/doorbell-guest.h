/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * doorbell-guest.h - the guest's loops, for C; its numbers, for assembler, too
 */
#ifndef PVIO_BENCH_DOORBELL_GUEST_H
#define PVIO_BENCH_DOORBELL_GUEST_H

/* Not one of the ports that KVM's interrupt controllers answer. */
#define DOORBELL_END_PORT 0x80

#ifndef __ASSEMBLER__
extern const char doorbell_guest[], doorbell_guest_end[];
extern const char doorbell_loop_none[], doorbell_loop_pio[];
extern const char doorbell_loop_mmio[], doorbell_loop_wrmsr[];
extern const char doorbell_loop_vmcall[], doorbell_loop_vmmcall[];
#endif

#endif
