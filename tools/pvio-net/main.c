/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * main.c - pvio-net: one network card, for one vhost-user front-end
 */
#include <errno.h>
#include <getopt.h>
#include <stddef.h>
#include <stdio.h>

#include "tools/common/backend-program.h"

enum net_option {
	OPT_TAP = 256,
	OPT_STREAM,
	OPT_DGRAM,
	OPT_LOCAL,
	OPT_ECHO,
	OPT_NULL,
	OPT_MAC,
	OPT_MTU,
	OPT_NUM_QUEUES,
	OPT_QUEUE_SIZE,
};

static const struct option net_options[] = {
	{ "tap", required_argument, NULL, OPT_TAP },
	{ "stream", required_argument, NULL, OPT_STREAM },
	{ "dgram", required_argument, NULL, OPT_DGRAM },
	{ "local", required_argument, NULL, OPT_LOCAL },
	{ "echo", no_argument, NULL, OPT_ECHO },
	{ "null", no_argument, NULL, OPT_NULL },
	{ "mac", required_argument, NULL, OPT_MAC },
	{ "mtu", required_argument, NULL, OPT_MTU },
	{ "num-queues", required_argument, NULL, OPT_NUM_QUEUES },
	{ "queue-size", required_argument, NULL, OPT_QUEUE_SIZE },
	{ 0 },
};

static const char net_usage[] =
	"      --tap=IFNAME         a tap interface\n"
	"      --stream=PATH        a stream socket, as passt has\n"
	"      --dgram=PATH         send each frame to this datagram socket\n"
	"      --local=PATH         and receive at this one\n"
	"      --echo               send every frame back\n"
	"      --null               lose every frame\n"
	"      --mac=MAC            address of the guest's interface\n"
	"      --mtu=BYTES          largest packet\n"
	"      --num-queues=N       pairs of queues\n"
	"      --queue-size=N       entries of the largest ring\n";

struct net {
	int type;          /* OPT_TAP ... OPT_NULL, 0: none yet */
	const char *value; /* its value, or NULL */
	const char *local, *mac, *mtu, *queues, *queue_size;
};

static int net_option(void *arg, int val, const char *value)
{
	struct net *n = arg;

	switch (val) {
	case OPT_TAP:
	case OPT_STREAM:
	case OPT_DGRAM:
	case OPT_ECHO:
	case OPT_NULL:
		if (n->type) {
			fputs("pvio-net: --tap, --stream, --dgram, --echo and "
			      "--null exclude each other\n",
			      stderr);
			return -EINVAL;
		}
		n->type = val;
		n->value = value;
		break;
	case OPT_LOCAL:
		n->local = value;
		break;
	case OPT_MAC:
		n->mac = value;
		break;
	case OPT_MTU:
		n->mtu = value;
		break;
	case OPT_NUM_QUEUES:
		n->queues = value;
		break;
	case OPT_QUEUE_SIZE:
		n->queue_size = value;
		break;
	}
	return 0;
}

static int net_write_backend(const struct net *n, FILE *config)
{
	if (n->local && n->type != OPT_DGRAM) {
		fputs("pvio-net: --local is for --dgram\n", stderr);
		return -EINVAL;
	}
	fputs("backend = { ", config);
	switch (n->type) {
	case OPT_TAP:
		backend_program_quote(config, "type", "tap");
		backend_program_quote(config, "ifname", n->value);
		break;
	case OPT_STREAM:
		backend_program_quote(config, "type", "stream");
		backend_program_quote(config, "path", n->value);
		break;
	case OPT_DGRAM:
		if (!n->local) {
			fputs("pvio-net: --dgram needs --local\n", stderr);
			return -EINVAL;
		}
		backend_program_quote(config, "type", "dgram");
		backend_program_quote(config, "remote", n->value);
		backend_program_quote(config, "local", n->local);
		break;
	case OPT_ECHO:
		backend_program_quote(config, "type", "echo");
		break;
	case OPT_NULL:
		backend_program_quote(config, "type", "null");
		break;
	default:
		fputs("pvio-net: give one of --tap, --stream, --dgram, --echo "
		      "and --null\n",
		      stderr);
		return -EINVAL;
	}
	fputs("}; ", config);
	return 0;
}

static int net_write(void *arg, FILE *config)
{
	const struct net *n = arg;
	int rc = 0;

	backend_program_quote(config, "model", "net");
	if (n->mac)
		backend_program_quote(config, "mac", n->mac);
	if (n->mtu)
		rc = backend_program_number(config, "mtu", n->mtu);
	if (rc == 0 && n->queues)
		rc = backend_program_number(config, "queues", n->queues);
	if (rc == 0 && n->queue_size)
		rc = backend_program_number(config, "queue_size",
					    n->queue_size);
	return rc < 0 ? rc : net_write_backend(n, config);
}

int main(int argc, char **argv)
{
	struct net net = { 0 };
	const struct backend_program program = {
		.name = "pvio-net",
		.capabilities = "{\"type\": \"net\", \"features\": []}",
		.usage = net_usage,
		.options = net_options,
		.option = net_option,
		.write = net_write,
		.arg = &net,
	};

	return backend_program_main(&program, argc, argv);
}
