/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * block-options.c - what pvio-bench block is told
 */
#include "block.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const blk_rw_names[] = { "read", "write", "randread", "randwrite",
				     NULL };

static void blk_usage(FILE *f)
{
	fputs("usage: pvio-bench block (--socket PATH | --config TEXT) "
	      "[OPTION...]\n"
	      "  --socket PATH    a vhost-user-blk socket\n"
	      "  --config TEXT    a device in this process: 'model = \"block\"; "
	      "backend = { ... };'\n"
	      "  --transport NAME,...  in turn: how the device of --config is "
	      "reached\n"
	      "                   (loopback; all); for --socket vhost-user or "
	      "vfio-user\n"
	      "  --cpus A,B       the driver's CPU, the device's\n"
	      "  --rw MODE        read, write, randread (default), randwrite\n"
	      "  --bs BYTES       request size (4k)\n"
	      "  --depth N,...    requests outstanding per queue (1,32)\n"
	      "  --queues N       queues, each with a thread (1)\n"
	      "  --workers N      worker threads of --config (1)\n"
	      "  --seconds N      for each depth (2), or\n"
	      "  --ms N           milliseconds\n"
	      "  --repeat N       rounds of all depths (3)\n"
	      "  --span BYTES     use only so much of the disk\n"
	      "  --wait MODE      irq (default) or poll\n"
	      "  --packed         packed rings\n"
	      "  --verify         write first, and check what is read\n"
	      "  --label TEXT     what to call the rows\n"
	      "  --json           print JSON\n",
	      f);
}

static bool blk_parse_bytes(const char *text, uint64_t *bytes)
{
	unsigned long long n;
	char *end;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno || end == text || n == 0)
		return false;
	if (*end == 'k' || *end == 'K')
		n <<= 10, end++;
	else if (*end == 'm' || *end == 'M')
		n <<= 20, end++;
	else if (*end == 'g' || *end == 'G')
		n <<= 30, end++;
	*bytes = n;
	return *end == '\0';
}

static bool blk_parse_depths(char *text, struct blk_options *o)
{
	unsigned long depth;
	char *word, *rest = text;

	o->nr_depths = 0;
	while ((word = strsep(&rest, ",")) != NULL) {
		if (o->nr_depths == BLK_MAX_DEPTHS ||
		    !bench_parse_uint(word, BLK_MAX_DEPTH, &depth))
			return false;
		o->depth[o->nr_depths++] = (unsigned int)depth;
	}
	return true;
}

static bool blk_parse_rw(const char *text, enum blk_rw *rw)
{
	unsigned int i;

	for (i = 0; blk_rw_names[i]; i++)
		if (strcmp(text, blk_rw_names[i]) == 0) {
			*rw = i;
			return true;
		}
	return false;
}

bool blk_parse(int argc, char **argv, struct blk_options *o)
{
	static const struct option options[] = {
		{ "socket", required_argument, NULL, 's' },
		{ "config", required_argument, NULL, 'c' },
		{ "transport", required_argument, NULL, 'T' },
		{ "cpus", required_argument, NULL, 'C' },
		{ "rw", required_argument, NULL, 'r' },
		{ "bs", required_argument, NULL, 'b' },
		{ "depth", required_argument, NULL, 'd' },
		{ "queues", required_argument, NULL, 'q' },
		{ "jobs", required_argument, NULL, 'q' },
		{ "workers", required_argument, NULL, 'W' },
		{ "seconds", required_argument, NULL, 't' },
		{ "ms", required_argument, NULL, 'm' },
		{ "repeat", required_argument, NULL, 'n' },
		{ "span", required_argument, NULL, 'S' },
		{ "wait", required_argument, NULL, 'w' },
		{ "label", required_argument, NULL, 'l' },
		{ "packed", no_argument, NULL, 'p' },
		{ "verify", no_argument, NULL, 'v' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	const char *transport = NULL;
	bool ok = true;
	uint64_t bytes;
	int c;

	while (ok && (c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 's':
			o->socket = optarg;
			break;
		case 'c':
			o->config = optarg;
			break;
		case 'T':
			transport = optarg;
			ok = bench_parse_ways(optarg, &o->ways);
			break;
		case 'C':
			ok = o->has_cpus = bench_parse_cpus(optarg, o->cpu);
			break;
		case 'r':
			ok = blk_parse_rw(optarg, &o->rw);
			break;
		case 'b':
			ok = blk_parse_bytes(optarg, &bytes) &&
			     bytes <= 1 << 20;
			o->bytes = bytes;
			break;
		case 'd':
			ok = blk_parse_depths(optarg, o);
			break;
		case 'q':
			ok = bench_parse_uint(optarg, BLK_MAX_JOBS, &o->jobs);
			break;
		case 'W':
			ok = bench_parse_uint(optarg, BLK_MAX_JOBS,
					      &o->workers);
			break;
		case 't':
			ok = bench_parse_uint(optarg, 3600, &o->ms);
			o->ms *= 1000;
			break;
		case 'm':
			ok = bench_parse_uint(optarg, 3600000, &o->ms);
			break;
		case 'n':
			ok = bench_parse_uint(optarg, 1000, &o->repeat);
			break;
		case 'S':
			ok = blk_parse_bytes(optarg, &o->span);
			break;
		case 'w':
			o->poll = strcmp(optarg, "poll") == 0;
			ok = o->poll || strcmp(optarg, "irq") == 0;
			break;
		case 'l':
			o->label = optarg;
			break;
		case 'p':
			o->packed = true;
			break;
		case 'v':
			o->verify = true;
			break;
		case 'j':
			o->json = true;
			break;
		case 'h':
			blk_usage(stdout);
			exit(EXIT_SUCCESS);
		default:
			ok = false;
			break;
		}
		if (!ok && optarg)
			fprintf(stderr, "pvio-bench block: not good: %s\n",
				optarg);
	}
	if (ok && o->socket && transport) {
		o->is_vfio_user = strcmp(transport, "vfio-user") == 0;
		ok = o->is_vfio_user || strcmp(transport, "vhost-user") == 0;
	}
	ok = ok && optind == argc && !o->socket != !o->config;
	if (!ok)
		blk_usage(stderr);
	return ok;
}
