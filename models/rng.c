/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rng.c - the entropy device, and the template of a model
 *
 * The smallest useful device (virtio 1.4, 5.4): one queue, no configuration
 * space, no features of its own.  The driver puts buffers on the queue that
 * the device may write, and the device fills them with random bytes.
 *
 * A request on the wire is one chain:
 *
 *	+----------------------------------+
 *	| writable bytes, any number       |   filled from the front; how many
 *	+----------------------------------+   were, the used entry says
 *
 * How a model lives.  The core calls create() once, when the device is made
 * from its configuration.  Then guests come and go: whenever a driver has
 * started the queue and made buffers available, the core calls kick() on the
 * queue's worker.  Every chain that kick() pops it must give back, by push
 * when it is answered or by unpop if it cannot be served yet; here each is
 * answered at once, so no chain is ever in flight between two kicks and
 * there is nothing to stop, drain or reset.
 *
 * What a model may not do: block, trust what it reads from the guest, or look
 * at how the driver split the bytes into segments.
 */
#include "core/model.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

/*
 * A driver that asks for more at once gets less, which is its right to expect
 * (virtio 1.4, 5.4.6.1: "one or more bytes"), and the worker's other queues
 * are not kept waiting while we make it.
 */
#define RNG_REQUEST_MAX_BYTES 65536

/* The same for many requests at once: then it is the others' turn. */
#define RNG_KICK_MAX_REQUESTS 16

/*
 * Random bytes pass through a buffer of ours on their way to the guest.  256 is
 * what getrandom(2) delivers whole, without being interrupted by a signal.
 */
#define RNG_CHUNK_BYTES 256

struct rng {
	struct pvio_device *dev; /* borrowed, outlives us */
};

/*
 * Fill the front of @chain's writable bytes.  Returns how many were written:
 * that is what the driver may believe, so it never exceeds what we put there.
 */
static uint32_t rng_fill(struct pvio_chain *chain)
{
	uint32_t want = (uint32_t)pvio_min(chain->writable,
					   RNG_REQUEST_MAX_BYTES);
	uint32_t done = 0;
	uint8_t chunk[RNG_CHUNK_BYTES];

	while (done < want) {
		size_t len = pvio_min(want - done, sizeof(chunk));
		ssize_t n = getrandom(chunk, len, GRND_NONBLOCK);

		/* Early at boot the host may have none: answer with less. */
		if (n <= 0)
			break;
		pvio_chain_put(chain, done, chunk, (size_t)n);
		done += (uint32_t)n;
	}
	return done;
}

/*
 * There may be chains.  On the queue's worker; other queues wait for us, so do
 * a bounded amount of work and say why it ended.
 */
static enum pvio_kick rng_kick(void *model, struct pvio_vq *vq)
{
	unsigned int budget = RNG_KICK_MAX_REQUESTS;
	struct pvio_chain *chain;
	uint32_t written;

	(void)model;
	while (budget-- > 0) {
		chain = pvio_vq_pop(vq);
		if (!chain) {
			/* Publish what was pushed, when the turn ends. */
			pvio_vq_flush_soon(vq);
			return PVIO_KICK_DRAINED;
		}
		/* Stamps show in `pvioctl latency`; most are free. */
		pvio_vq_stamp(vq, chain, PVIO_STAGE_SUBMIT);
		written = rng_fill(chain);
		pvio_vq_stamp(vq, chain, PVIO_STAGE_COMPLETE);
		pvio_count(&vq->stats.bytes_out, written);

		/* From here on the chain is the ring's again. */
		pvio_vq_push(vq, chain, written);
	}
	pvio_vq_flush_soon(vq);
	return PVIO_KICK_AGAIN;
}

/*
 * Make the device.  A model with a backend would read its keys from @cfg here,
 * open it, and withhold the features it cannot serve; each step that fails
 * undoes those before it.
 */
static int rng_create(struct pvio_device *dev, struct pvio_config *cfg,
		      void **model)
{
	struct rng *rng;

	(void)cfg;
	rng = calloc(1, sizeof(*rng));
	if (!rng)
		return -ENOMEM;
	rng->dev = dev;
	*model = rng;
	return 0;
}

static void rng_destroy(void *model)
{
	free(model);
}

/* What the core knows of us.  What is not named here is not supported. */
static const struct pvio_model_ops rng_ops = {
	.abi		= PVIO_PLUGIN_ABI,
	.name		= "rng",
	.device_id	= VIRTIO_ID_RNG,
	.max_queues	= 1,
	.queue_size	= 64,
	.create		= rng_create,
	.destroy	= rng_destroy,
	.kick		= rng_kick,
};

PVIO_PLUGIN(model, rng, rng_ops);
