/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * replay.c - run a fuzz target over its corpus, with any compiler
 *
 * "make check" runs one such program for each target, over CORPUS.  With
 * arguments it runs those files or directories instead: give it what
 * "make fuzz" found.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_BYTES (4 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned int nr_replayed;

static int replay_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *buf, *data;
	size_t size;

	if (!f) {
		perror(path);
		return -1;
	}
	buf = malloc(MAX_BYTES);
	if (!buf)
		exit(EXIT_FAILURE);
	size = fread(buf, 1, MAX_BYTES, f);
	fclose(f);
	/* Of its exact size, so that a sanitizer sees what reads past it. */
	data = malloc(size ? size : 1);
	if (!data)
		exit(EXIT_FAILURE);
	memcpy(data, buf, size);
	free(buf);
	if (getenv("REPLAY_VERBOSE"))
		fprintf(stderr, "%s\n", path);
	LLVMFuzzerTestOneInput(data, size);
	free(data);
	nr_replayed++;
	return 0;
}

static int replay(const char *path)
{
	struct dirent **entry;
	struct stat st;
	int i, nr, rc = 0;
	char *file;

	if (stat(path, &st) < 0) {
		perror(path);
		return -1;
	}
	if (!S_ISDIR(st.st_mode))
		return replay_file(path);
	nr = scandir(path, &entry, NULL, alphasort);
	for (i = 0; i < nr; i++) {
		if (entry[i]->d_name[0] != '.') {
			if (asprintf(&file, "%s/%s", path,
				     entry[i]->d_name) < 0)
				exit(EXIT_FAILURE);
			if (replay_file(file) < 0)
				rc = -1;
			free(file);
		}
		free(entry[i]);
	}
	if (nr >= 0)
		free(entry);
	return nr < 0 ? -1 : rc;
}

int main(int argc, char **argv)
{
	int i, rc = 0;

	LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
	for (i = 1; i < argc; i++)
		if (replay(argv[i]) < 0)
			rc = -1;
	if (argc < 2)
		rc = replay(CORPUS);
	printf("%u inputs replayed\n", nr_replayed);
	return rc < 0 || nr_replayed == 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
