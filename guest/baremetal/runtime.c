/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime.c - memory, console and the way out
 *
 * The allocator never frees: the guest sets its rings up once.  It has the
 * names of the C library's, too, since guest/ring.c is built for both.
 */
#include "runtime.h"

#include <stdarg.h>
#include <stdlib.h>

static uint8_t *memory_next, *memory_end;
extern uint8_t _end[];

void bare_memory_init(const struct boot_info *boot)
{
	memory_next = _end;
	/* Up to the hole below 4 GiB is plenty. */
	memory_end = (uint8_t *)(boot->memory_bytes < 0x80000000u
					 ? boot->memory_bytes
					 : 0x80000000u);
}

void *bare_alloc(size_t bytes, size_t align)
{
	uintptr_t at = ((uintptr_t)memory_next + align - 1) & ~(align - 1);

	if (bytes > (uintptr_t)memory_end - at)
		bare_fail("no memory for %lx bytes", (uint64_t)bytes);
	memory_next = (uint8_t *)at + bytes;
	return (void *)at;
}

void *aligned_alloc(size_t align, size_t bytes)
{
	return bare_alloc(bytes, align);
}

void *calloc(size_t n, size_t bytes)
{
	return bare_alloc(n * bytes, 16);
}

void free(void *mem)
{
	(void)mem;
}

void *memcpy(void *to, const void *from, size_t n)
{
	bare_copy(to, from, n);
	return to;
}

void *memset(void *to, int byte, size_t n)
{
	bare_fill(to, byte, n);
	return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const uint8_t *x = a, *y = b;

	for (; n > 0; n--, x++, y++) {
		if (*x != *y)
			return *x - *y;
	}
	return 0;
}

/* --- console -------------------------------------------------------------- */

static void print_text(const char *text)
{
	while (*text)
		bare_console(*text++);
}

static void print_number(uint64_t n, unsigned int base)
{
	char digits[21], *at = digits + sizeof(digits);

	*--at = '\0';
	do {
		*--at = "0123456789abcdef"[n % base];
		n /= base;
	} while (n);
	print_text(at);
}

static void print_list(const char *format, va_list list)
{
	for (; *format; format++) {
		if (*format != '%') {
			bare_console(*format);
			continue;
		}
		switch (*++format) {
		case 's':
			print_text(va_arg(list, const char *));
			break;
		case 'u':
			print_number(va_arg(list, unsigned int), 10);
			break;
		case 'l': /* %lx */
			format++;
			print_text("0x");
			print_number(va_arg(list, uint64_t), 16);
			break;
		}
	}
}

void bare_print(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	print_list(format, list);
	va_end(list);
}

void bare_fail(const char *format, ...)
{
	va_list list;

	bare_print("not ok ");
	va_start(list, format);
	print_list(format, list);
	va_end(list);
	bare_print("\n");
	bare_exit(1);
}

void bare_exit(uint8_t status)
{
	bare_end(status);
	__builtin_unreachable();
}

/* --- command line --------------------------------------------------------- */

static bool is_end(char c)
{
	return c == '\0' || c == ' ' || c == '\t' || c == '\n';
}

const char *bare_option(const struct boot_info *boot, const char *key)
{
	const char *at = (const char *)(uintptr_t)boot->cmdline;

	while (at && *at) {
		const char *k = key;

		while (*k && *at == *k)
			at++, k++;
		if (*k == '\0' && *at == '=')
			return at + 1;
		while (!is_end(*at))
			at++;
		while (*at && is_end(*at))
			at++;
	}
	return NULL;
}

bool bare_option_is(const char *value, const char *word)
{
	if (!value)
		return false;
	while (*word && *value == *word)
		value++, word++;
	return *word == '\0' && is_end(*value);
}

static unsigned int number_digit(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned int)(c - '0');
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? (unsigned int)(c - 'a') + 10 : 16;
}

uint64_t bare_number(const char *text, const char **end)
{
	unsigned int base = 10;
	uint64_t n = 0;

	if (text[0] == '0' && (text[1] | 0x20) == 'x') {
		base = 16;
		text += 2;
	}
	for (; number_digit(*text) < base; text++)
		n = n * base + number_digit(*text);
	if (*text == 'K' || *text == 'M')
		n <<= *text++ == 'K' ? 10 : 20;
	if (end)
		*end = text;
	return n;
}

uint64_t bare_option_number(const struct boot_info *boot, const char *key,
			    uint64_t otherwise)
{
	const char *text = bare_option(boot, key);

	return text ? bare_number(text, NULL) : otherwise;
}
