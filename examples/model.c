/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * model.c - a device model of your own, as a module
 *
 * The device takes text in the readable part of a request and returns it in
 * capitals in the writable part.  Built into a shared object, it is found by
 * name like the models that come with pvio:
 *
 *	$ cc -DPVIO_MODULE -I/usr/include/pvio/plugin -fPIC -shared \
 *	     -o capitals.so model.c
 *	$ grep plugin_dir pvio.conf
 *	plugin_dir = "/usr/local/lib/pvio";
 *	...	{ model = "capitals"; transport = { ... }; }
 *
 * models/rng.c explains the parts; here is what it does not have: a key of its
 * own in the configuration, and a request that is read as well as written.
 */
#include "core/model.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#define CAPITALS_KICK_MAX_REQUESTS 16
#define CAPITALS_CHUNK_BYTES	   256

struct capitals {
	uint64_t max_bytes; /* the key "max_bytes": of an answer */
};

/* Answer @chain.  Returns the bytes written to its writable part. */
static uint32_t capitals_answer(const struct capitals *c,
				struct pvio_chain *chain)
{
	uint32_t len = (uint32_t)pvio_min(
		pvio_min(chain->readable, chain->writable), c->max_bytes);
	char chunk[CAPITALS_CHUNK_BYTES];
	uint32_t done = 0;

	while (done < len) {
		size_t n = pvio_min(len - done, sizeof(chunk));
		size_t i;

		/*
		 * The guest may rewrite its buffer at any time: fetch each byte
		 * once, and look only at our copy.
		 */
		pvio_chain_fetch(chain, done, chunk, n);
		for (i = 0; i < n; i++)
			chunk[i] = (char)toupper((unsigned char)chunk[i]);
		pvio_chain_put(chain, done, chunk, n);
		done += (uint32_t)n;
	}
	return len;
}

static enum pvio_kick capitals_kick(void *model, struct pvio_vq *vq)
{
	unsigned int budget = CAPITALS_KICK_MAX_REQUESTS;
	enum pvio_kick result = PVIO_KICK_AGAIN;

	while (budget-- > 0) {
		struct pvio_chain *chain = pvio_vq_pop(vq);

		if (!chain) {
			result = PVIO_KICK_DRAINED;
			break;
		}
		pvio_vq_push(vq, chain, capitals_answer(model, chain));
	}
	/* One notification for them all, at the end of the worker's turn. */
	pvio_vq_flush_soon(vq);
	return result;
}

static int capitals_create(struct pvio_device *dev, struct pvio_config *cfg,
			   void **model)
{
	struct capitals *c;
	int rc;

	(void)dev;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->max_bytes = 4096;
	/* A bad value is logged, with its line, by what reads it. */
	rc = pvio_config_uint_opt(cfg, "max_bytes", 1, 65536, &c->max_bytes);
	if (rc < 0) {
		free(c);
		return rc;
	}
	*model = c;
	return 0;
}

static void capitals_destroy(void *model)
{
	free(model);
}

static const struct pvio_model_ops capitals_ops = {
	.abi		= PVIO_PLUGIN_ABI,
	.name		= "capitals",
	.device_id	= 4095, /* none that virtio has given to anybody */
	.max_queues	= 1,
	.queue_size	= 64,
	.create		= capitals_create,
	.destroy	= capitals_destroy,
	.kick		= capitals_kick,
};

PVIO_PLUGIN(model, capitals, capitals_ops);
