// SPDX-License-Identifier: BSD-3-Clause
/*
 * cards.c - pvio's devices in a VMM: none yet, they come with the library's
 * PCI function
 */
#include "tinyvmm.h"

static bool are_mmio;

void cards_create(struct vm *vm, const struct cards_options *options)
{
	(void)vm;
	are_mmio = options->is_mmio;
}

void cards_destroy(void)
{
}

void cards_add(struct vm *vm, const char *model, const char *what)
{
	(void)vm;
	die("%s %s: there are no devices yet", model, what);
}

void cards_start(void)
{
}

unsigned int cards_count(void)
{
	return 0;
}

bool cards_are_mmio(void)
{
	return are_mmio;
}

void cards_print_stats(void)
{
}
