/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vectors.h - how the CPU's interrupt vectors are used, for C and assembler
 */
#ifndef PVIO_BAREMETAL_VECTORS_H
#define PVIO_BAREMETAL_VECTORS_H

#define VECTOR_EXCEPTIONS 32
#define VECTOR_LINES      32 /* one an input of the I/O APIC ... */
#define VECTOR_MESSAGES   (VECTOR_LINES + 24)
#define VECTOR_COUNT      (VECTOR_MESSAGES + 16)

/* Exceptions that push an error code, a bit each. */
#define VECTOR_ERROR_CODES 0x60227d00

#define VECTOR_ENTRY_BYTES 16

#endif
