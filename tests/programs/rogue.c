/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rogue.c - a model that turns against the daemon that loaded it
 *
 * What a guest could do that has taken over its process: write to the link to
 * the supervisor, which it finds among the descriptors, whatever it likes.
 */
#include "core/model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void rogue_say(int fd, const char *what, bool endless)
{
	do {
		if (send(fd, what, strlen(what), MSG_NOSIGNAL) < 0)
			return;
	} while (endless);
}

static void rogue_act(const char *says)
{
	int fd, listens;
	socklen_t len;

	if (strcmp(says, "abort") == 0)
		abort();
	for (fd = 3; fd < 1024; fd++) {
		len = sizeof(listens);
		if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) <
			    0 ||
		    listens)
			continue;
		if (strcmp(says, "nonsense") == 0)
			rogue_say(fd, "{\"ready\": true, \"id\": \"\xff\n",
				  false);
		else if (strcmp(says, "endless") == 0)
			rogue_say(fd, "{{{{{{{{{{{{{{{{{{{{{{{{", true);
		else
			rogue_say(fd,
				  "{\"id\": 1, \"result\": []}\n"
				  "{\"id\": -7, \"error\": 3}\n",
				  false);
	}
}

static int rogue_create(struct pvio_device *dev, struct pvio_config *cfg,
			void **model)
{
	const char *says;

	if (pvio_config_string(cfg, "says", &says) < 0)
		return -EINVAL;
	pvio_device_set_queues(dev, 1);
	*model = dev;
	if (!pvio_config_is_trial(cfg))
		rogue_act(says);
	return 0;
}

static void rogue_destroy(void *model)
{
	(void)model;
}

static enum pvio_kick rogue_kick(void *model, struct pvio_vq *vq)
{
	(void)model;
	(void)vq;
	return PVIO_KICK_WAIT;
}

static void rogue_nothing(void *model)
{
	(void)model;
}

static void rogue_features(void *model, const struct pvio_features *f)
{
	(void)model;
	(void)f;
}

static const struct pvio_model_ops rogue_ops = {
	.abi = PVIO_PLUGIN_ABI,
	.name = "rogue",
	.device_id = 4,
	.max_queues = 1,
	.queue_size = 64,
	.create = rogue_create,
	.destroy = rogue_destroy,
	.set_features = rogue_features,
	.reset = rogue_nothing,
	.kick = rogue_kick,
};
PVIO_PLUGIN(model, rogue, rogue_ops);
