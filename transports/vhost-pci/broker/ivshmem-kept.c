/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ivshmem-kept.c - a client that outlives the process it is served by
 *
 * QEMU connects once.  So the connection and what was sent over it are kept for
 * the process that takes our place (keep.c), and it goes on there:
 *
 *	client      the connection
 *	state       a memory file with a struct ivshmem_kept
 *	vector-N    what was sent as vector N
 *
 * The vectors that it finds belong to nobody.  They are relayed to when there are
 * none left to lend, but for vector 0, which is always the control slot's.  The
 * peers are dropped, as whom they notified is gone, too; no number of theirs is
 * used again.
 *
 * We may end between a send and the note of it.  With a peer that does not
 * matter: one that stays reaches nobody, and one that never came is not missed.
 * Of a vector it means that the number of the next is not known: so there is none.
 * Before the first, which control has at once, there is nothing to go on with.
 */
#include "ivshmem.h"

#include "core/barrier.h"
#include "core/memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct ivshmem_kept {
	uint32_t nr_begun;   /* vectors that it perhaps was sent */
	uint32_t nr_vectors; /* that it was sent */
	uint32_t next_peer;
	uint8_t is_peer[IVSHMEM_NOBODY]; /* which are there */
};

/* --- for the process that takes our place --------------------------------- */

void ivshmem_keep_nothing(struct carrier *c)
{
	unsigned int i;

	(void)broker_keep(c->broker, -1, "client");
	(void)broker_keep(c->broker, -1, "state");
	for (i = 0; i < c->next_vector; i++)
		(void)broker_keep(c->broker, -1, "vector-%u", i);
	if (c->kept)
		munmap(c->kept, sizeof(*c->kept));
	c->kept = NULL;
}

/* Half of it is worse than nothing. */
static void ivshmem_keep_failed(struct carrier *c, int rc)
{
	pvio_log_limited(&c->broker->log_limit, PVIO_LOG_WARNING,
			 "%s: ivshmem: the client will not outlive us: %s",
			 c->broker->name, strerror(-rc));
	ivshmem_keep_nothing(c);
}

static int ivshmem_map_state(struct carrier *c, int fd)
{
	struct stat st;
	void *at;

	if (fstat(fd, &st) < 0 || st.st_size != sizeof(*c->kept))
		return -EINVAL;
	at = mmap(NULL, sizeof(*c->kept), PROT_READ | PROT_WRITE, MAP_SHARED,
		  fd, 0);
	if (at == MAP_FAILED)
		return -errno;
	c->kept = at;
	return 0;
}

void ivshmem_keep_begin(struct carrier *c)
{
	int fd, rc;

	if (!c->broker->store)
		return;
	fd = pvio_memfd_create("pvio-client", sizeof(*c->kept));
	rc = fd < 0 ? fd : ivshmem_map_state(c, fd);
	if (rc == 0)
		rc = broker_keep(c->broker, fd, "state");
	if (rc == 0)
		rc = broker_keep(c->broker, c->stream.fd, "client");
	if (rc < 0)
		ivshmem_keep_failed(c, rc);
	if (fd >= 0)
		close(fd);
}

void ivshmem_keep_vector(struct carrier *c, unsigned int n, int fd)
{
	int rc;

	if (!c->kept)
		return;
	rc = broker_keep(c->broker, fd, "vector-%u", n);
	if (rc < 0)
		ivshmem_keep_failed(c, rc);
	else
		pvio_store_once(&c->kept->nr_begun, n + 1);
}

void ivshmem_keep_peer(struct carrier *c, uint32_t n, bool is_there)
{
	if (!c->kept || n >= IVSHMEM_NOBODY)
		return;
	pvio_store_once(&c->kept->next_peer, c->next_peer);
	pvio_store_once(&c->kept->is_peer[n], is_there);
}

void ivshmem_keep_sent(struct carrier *c)
{
	if (c->kept)
		pvio_store_once(&c->kept->nr_vectors, c->kept->nr_begun);
}

/* --- of the process before us --------------------------------------------- */

bool ivshmem_is_hung_up(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

int ivshmem_take_spare(struct carrier *c, unsigned int vector)
{
	int fd = c->spare_fd[vector];

	c->spare_fd[vector] = -1;
	c->nr_spares--;
	return fd;
}

void ivshmem_kick_spare(struct carrier *c, struct ivshmem_kick *k)
{
	unsigned int i;

	for (i = 0; i < IVSHMEM_MAX_VECTORS && c->nr_spares > 0; i++) {
		if (c->spare_fd[i] < 0)
			continue;
		k->vector = i;
		k->lent_fd = ivshmem_take_spare(c, i);
		return;
	}
}

/* Map what it has left.  -EINVAL: it is not whole. */
static int ivshmem_take_state(struct carrier *c)
{
	int fd = broker_kept(c->broker, "state"), rc = -EINVAL;
	int seals = fd < 0 ? 0 : fcntl(fd, F_GET_SEALS);

	/* It is to have the length that it has now. */
	if (seals > 0 && (seals & F_SEAL_SHRINK))
		rc = ivshmem_map_state(c, fd);
	if (fd >= 0)
		close(fd);
	if (rc == 0 &&
	    (c->kept->nr_vectors == 0 || c->kept->nr_vectors > c->nr_vectors ||
	     c->kept->next_peer >= IVSHMEM_LAST_LENT))
		rc = -EINVAL;
	return rc;
}

static int ivshmem_take_vectors(struct carrier *c)
{
	int fd;

	while (c->next_vector < c->kept->nr_vectors) {
		fd = broker_kept(c->broker, "vector-%u", c->next_vector);
		if (fd < 0)
			return -EINVAL;
		c->spare_fd[c->next_vector++] = fd;
		c->nr_spares++;
	}
	if (c->kept->nr_begun == c->kept->nr_vectors)
		return 0;
	pvio_log(PVIO_LOG_WARNING,
		 "%s: ivshmem: no vector is lent any more: interrupts are "
		 "relayed until the appliance begins anew",
		 c->broker->name);
	c->next_vector = (unsigned int)c->nr_vectors;
	return 0;
}

static void ivshmem_go_on(struct carrier *c)
{
	struct ivshmem_kick *control = &c->kicks[CARRIER_SLOT_CONTROL];
	uint32_t i;

	control->lent_fd = ivshmem_take_spare(c, 0);
	control->vector = 0;
	c->next_peer = pvio_max(c->kept->next_peer, c->next_peer);
	for (i = 0; i < c->next_peer; i++) {
		if (!c->kept->is_peer[i])
			continue;
		ivshmem_keep_peer(c, i, false);
		ivshmem_send(c, i, -1);
	}
	broker_appliance_came(c->broker);
}

void ivshmem_resume(struct carrier *c)
{
	int fd = broker_kept(c->broker, "client"), rc;
	unsigned int i;
	bool is_gone;

	if (fd < 0)
		return;
	is_gone = ivshmem_is_hung_up(fd);
	rc = is_gone || !c->broker->is_kept ? -EINVAL : ivshmem_take_state(c);
	if (rc == 0)
		rc = ivshmem_take_vectors(c);
	if (rc == 0) {
		rc = ivshmem_attach(c, fd);
		if (rc < 0)
			return;
		pvio_log(PVIO_LOG_INFO,
			 "%s: ivshmem: client goes on, process %lld",
			 c->broker->name, (long long)c->cred.pid);
		ivshmem_go_on(c);
		return;
	}
	if (!is_gone)
		pvio_log(
			PVIO_LOG_WARNING,
			"%s: ivshmem: the client of the process before is "
			"lost: the appliance, or its device, has to begin anew",
			c->broker->name);
	pvio_socket_close(c->endpoint.closer, fd);
	ivshmem_keep_nothing(c);
	c->next_vector = 0;
	for (i = 0; c->nr_spares > 0; i++)
		if (c->spare_fd[i] >= 0)
			close(ivshmem_take_spare(c, i));
}
