/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime.h - what a freestanding guest has instead of a C library
 *
 * The host may emulate each of our instructions at some microseconds, so what
 * is here is short rather than fast.
 */
#ifndef PVIO_BAREMETAL_RUNTIME_H
#define PVIO_BAREMETAL_RUNTIME_H

#include "arch.h"
#include "boot.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BARE_PAGE_BYTES 4096u

/* Memory from the end of the program to the end of RAM, given out once. */
void bare_memory_init(const struct boot_info *boot);
/* Zeroed.  Ends the guest when there is no more. */
void *bare_alloc(size_t bytes, size_t align);

/* To the console: %s, %u (unsigned int), %lx (uint64_t), nothing else. */
__attribute__((format(printf, 1, 2))) void bare_print(const char *format, ...);
/* The verdict: "not ok" and why, and the end with status 1. */
__attribute__((format(printf, 1, 2), noreturn)) void bare_fail(
	const char *format, ...);
__attribute__((noreturn)) void bare_exit(uint8_t status);

/* The text after "@key=" in the command line, or NULL; ends at a blank. */
const char *bare_option(const struct boot_info *boot, const char *key);
/* Is that what @value says?  False for NULL. */
bool bare_option_is(const char *value, const char *word);
/* The number that @key says, or @otherwise. */
uint64_t bare_option_number(const struct boot_info *boot, const char *key,
			    uint64_t otherwise);
/* The number in @text, decimal or 0x..., K and M understood; *end is after it
 * (NULL: of no interest). */
uint64_t bare_number(const char *text, const char **end);

/* What compilers take for granted. */
void *memcpy(void *to, const void *from, size_t n);
void *memset(void *to, int byte, size_t n);
int memcmp(const void *a, const void *b, size_t n);

#endif
