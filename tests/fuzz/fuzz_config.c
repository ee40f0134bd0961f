/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_config.c - a configuration text: scanned, parsed, read and written
 *
 * What parses must come back from its own text unchanged, and reading keys of
 * any type from it must only ever give values or errors.
 */
#include "core/config.h"
#include "core/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void quiet(void *arg, enum pvio_log_level level, const char *message)
{
	(void)arg;
	(void)level;
	/* What reaches a sink is printable. */
	for (; *message; message++)
		if (*message < 0x20 || *message > 0x7e)
			abort();
}

static void read_group(struct pvio_config *cfg, unsigned int depth);

static void read_key(struct pvio_config *cfg, const char *key,
		     unsigned int depth)
{
	static const char *const words[] = { "file", "memory", NULL };
	struct pvio_config *group;
	uint64_t value = 0;
	const char *string;
	unsigned int word;
	uint8_t mac[6];
	bool flag;
	int i, nr;

	pvio_config_string_opt(cfg, key, &string);
	pvio_config_bool_opt(cfg, key, &flag);
	if (pvio_config_uint_opt(cfg, key, 1, 4096, &value) == 0 && value > 4096)
		abort();
	value = 0;
	if (pvio_config_size_opt(cfg, key, 0, 1 << 20, &value) == 0 &&
	    value > 1 << 20)
		abort();
	pvio_config_choice_opt(cfg, key, words, &word);
	pvio_config_mac_opt(cfg, key, mac);
	if (pvio_config_group_opt(cfg, key, &group) == 0 && group)
		read_group(group, depth + 1);
	nr = pvio_config_list(cfg, key);
	for (i = 0; i < nr; i++) {
		group = pvio_config_element(cfg, key, (unsigned int)i);
		if (!group)
			abort();
		read_group(group, depth + 1);
	}
	nr = pvio_config_string_list(cfg, key);
	for (i = 0; i < nr; i++)
		if (!pvio_config_string_element(cfg, key, (unsigned int)i))
			abort();
}

static void read_group(struct pvio_config *cfg, unsigned int depth)
{
	static const char *const keys[] = { "a", "b", "devices", "backend",
					    "size", "mac" };
	size_t i;

	/* The scan promises a depth of 16. */
	if (depth > 16)
		abort();
	for (i = 0; i < pvio_array_size(keys); i++)
		read_key(cfg, keys[i], depth);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pvio_config_file *file, *again;
	char *text, *first, *second;

	pvio_log_set(quiet, NULL, PVIO_LOG_DEBUG);
	text = malloc(size + 1);
	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	if (pvio_config_parse("fuzz", text, &file) < 0) {
		free(text);
		return 0;
	}
	first = pvio_config_text(pvio_config_root(file));
	if (!first || pvio_config_parse("again", first, &again) < 0)
		abort();
	second = pvio_config_text(pvio_config_root(again));
	if (!second || strcmp(first, second) != 0)
		abort();
	read_group(pvio_config_root(file), 0);
	pvio_config_finish(pvio_config_root(file));
	pvio_config_skip(pvio_config_root(file));
	if (pvio_config_finish(pvio_config_root(file)) < 0)
		abort();
	pvio_config_close(again);
	pvio_config_close(file);
	free(second);
	free(first);
	free(text);
	return 0;
}
