/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_inflight.c - requests survive the death of the process
 *
 * A child works on the ring under ptrace, one instruction at a time.  Whenever
 * the memory it shares with the guest and with its successor has changed, that
 * state is kept: it is what is left if the child is killed right there.  Then,
 * for every such state, a new queue recovers and serves what there is, and the
 * driver must find each request answered exactly once.  The recovery is killed
 * at every step in the same way.
 */
#include "core/inflight-impl.h"
#include "tests/check_main.h"
#include "tests/rig.h"

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE	   8
#define DESC_NUM   8
#define RING_BYTES 0x3000 /* descriptors, driver and device area */
#define MAX_STATES 4096
#define REQUESTS   7

static struct rig rig;
static struct pvio_mapping *region_mapping;
static uint8_t *region;
static size_t region_bytes;
static uint8_t *ring;

/* What a death leaves behind. */
struct state {
	uint8_t ring[RING_BYTES];
	uint8_t region[1024];
};
static struct state *states;
static unsigned int nr_states;

static void save(struct state *s)
{
	memcpy(s->ring, ring, RING_BYTES);
	memcpy(s->region, region, region_bytes);
}

static void restore(const struct state *s)
{
	memcpy(ring, s->ring, RING_BYTES);
	memcpy(region, s->region, region_bytes);
}

static bool is_as(const struct state *s)
{
	return memcmp(s->region, region, region_bytes) == 0 &&
	       memcmp(s->ring, ring, RING_BYTES) == 0;
}

static struct pvio_inflight *attach(void)
{
	struct pvio_inflight *inflight;

	ck_assert_int_eq(pvio_inflight_create(region_mapping, 0, rig.packed,
					      DESC_NUM, &inflight),
			 0);
	return inflight;
}

/* A new process: nothing is known but what is in shared memory. */
static int start(void)
{
	rig.setup.inflight = attach();
	rig.setup.recover_used = true;
	return rig_start(&rig);
}

static void stop(void)
{
	pvio_vq_stop(rig.vq);
	pvio_inflight_destroy(rig.setup.inflight);
	rig.setup.inflight = NULL;
}

static void begin(unsigned int flags)
{
	int fd = memfd_create("inflight", MFD_CLOEXEC);

	rig_init_idle(&rig, SIZE, flags);
	region_bytes = pvio_inflight_part_bytes(rig.packed, DESC_NUM);
	ck_assert_uint_le(region_bytes, sizeof(states[0].region));
	ck_assert_int_eq(ftruncate(fd, (off_t)region_bytes), 0);
	ck_assert_int_eq(pvio_mapping_create(fd, 0, region_bytes,
					     PROT_READ | PROT_WRITE,
					     &region_mapping),
			 0);
	close(fd);
	region = pvio_mapping_host(region_mapping);
	ring = guest_ring_raw_desc(rig.ring);
	states = calloc(MAX_STATES, sizeof(*states));
	nr_states = 0;
}

static void teardown(void)
{
	struct pvio_inflight *inflight = rig.setup.inflight;

	rig_fini(&rig);
	pvio_inflight_destroy(inflight);
	rig.setup.inflight = NULL;
	pvio_mapping_put(region_mapping);
	free(states);
}

/*
 * Run @work in a child, step by step, and keep every state of the shared
 * memory.  False when this place does not let us trace.
 */
static bool die_everywhere(void (*work)(void))
{
	pid_t child = fork();
	int status;

	ck_assert_int_ge(child, 0);
	if (child == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(77);
		raise(SIGSTOP);
		work();
		_exit(0);
	}
	nr_states = 0;
	save(&states[nr_states++]);
	for (;;) {
		ck_assert_int_eq(waitpid(child, &status, 0), child);
		if (WIFEXITED(status))
			break;
		ck_assert(WIFSTOPPED(status));
		ck_assert(WSTOPSIG(status) == SIGTRAP ||
			  WSTOPSIG(status) == SIGSTOP);
		if (!is_as(&states[nr_states - 1])) {
			ck_assert_uint_lt(nr_states, MAX_STATES);
			save(&states[nr_states++]);
		}
		ck_assert_int_eq((int)ptrace(PTRACE_SINGLESTEP, child, NULL,
					     NULL),
				 0);
	}
	if (WEXITSTATUS(status) == 77)
		return false;
	ck_assert_int_eq(WEXITSTATUS(status), 0);
	return true;
}

/* Serve in a way that takes every turn: batches, out of order, unpop. */
static void work_first(void)
{
	struct pvio_chain *c[REQUESTS];

	c[0] = pvio_vq_pop(rig.vq);
	c[1] = pvio_vq_pop(rig.vq);
	c[2] = pvio_vq_pop(rig.vq);
	pvio_vq_push(rig.vq, c[1], c[1]->writable);
	pvio_vq_flush(rig.vq);
	c[3] = pvio_vq_pop(rig.vq);
	c[4] = pvio_vq_pop(rig.vq);
	pvio_vq_unpop(rig.vq, c[4]);
	pvio_vq_push(rig.vq, c[2], c[2]->writable);
	/* Taken between stage and publish. */
	c[4] = pvio_vq_pop(rig.vq);
	pvio_vq_push(rig.vq, c[3], c[3]->writable);
	pvio_vq_flush(rig.vq);
	pvio_vq_push(rig.vq, c[4], c[4]->writable);
	pvio_vq_push(rig.vq, c[0], c[0]->writable);
	pvio_vq_flush(rig.vq);
}

static void serve_all(void)
{
	struct pvio_chain *c[REQUESTS];
	unsigned int n = 0;

	while (n < REQUESTS && (c[n] = pvio_vq_pop(rig.vq)))
		n++;
	while (n > 0) {
		n--;
		pvio_vq_push(rig.vq, c[n], c[n]->writable);
		if (n % 3 == 0)
			pvio_vq_flush(rig.vq);
	}
	pvio_vq_flush(rig.vq);
}

static void work_recover(void)
{
	if (start() < 0)
		_exit(1);
	serve_all();
}

static struct rig_chain request[REQUESTS];
static unsigned int nr_requests;

/* How often each request was answered, by what the driver can see. */
static unsigned int count_used(unsigned int used[REQUESTS])
{
	uint16_t idx = rig.used_idx;
	bool wrap = rig.used_wrap;
	unsigned int n = 0, i;
	uint32_t id, len;

	memset(used, 0, REQUESTS * sizeof(*used));
	/* A packed ring shows as used what was, in the same round, before. */
	while (n < nr_requests && rig_next_used(&rig, &id, &len)) {
		for (i = 0; i < nr_requests && request[i].id != id; i++)
			;
		ck_assert_uint_lt(i, nr_requests);
		used[i]++;
		n++;
	}
	rig.used_idx = idx;
	rig.used_wrap = wrap;
	return n;
}

/* From state @s on: recover, serve, and look at the answers. */
static void expect_recovery(const struct state *s)
{
	unsigned int before[REQUESTS], after[REQUESTS], i;
	struct pvio_chain *c;
	unsigned int last = 0;
	bool pending = true;

	restore(s);
	count_used(before);
	ck_assert_int_eq(start(), 0);
	while ((c = pvio_vq_pop(rig.vq))) {
		for (i = 0; i < nr_requests && request[i].id != c->id; i++)
			;
		ck_assert_uint_lt(i, nr_requests);
		/* What was answered is not served again. */
		ck_assert_uint_eq(before[i], 0);
		/* Requests were taken in the order of the ring. */
		ck_assert_uint_ge(i + 1, last + 1);
		ck_assert_int_ge(pending, c->recovered);
		pending = c->recovered;
		last = i;
		ck_assert_uint_eq(c->writable, 8 + i);
		pvio_vq_push(rig.vq, c, c->writable);
		before[i] = 1;
		pvio_vq_flush(rig.vq);
		/* The driver sees these answers, and no leftover of a batch
		 * that was never published. */
		count_used(after);
		ck_assert_mem_eq(after, before, sizeof(after));
	}
	ck_assert_uint_eq(count_used(after), nr_requests);
	for (i = 0; i < nr_requests; i++)
		ck_assert_uint_eq(after[i], 1);
	stop();
}

/* Let the ring run, so that what follows wraps; then make requests. */
static void prepare(unsigned int rounds)
{
	static const char *const shape[] = { "w8",    "r4 w9", "w10", "w11",
					     "r1 w12", "w13" };
	unsigned int i;

	ck_assert_int_eq(start(), 0);
	for (i = 0; i < rounds; i++) {
		struct rig_chain chain = rig_add(&rig, "w8");

		ck_assert_uint_eq(rig_serve(&rig), 1);
		rig_expect_used(&rig, chain.id, 8);
	}
	nr_requests = pvio_array_size(shape);
	for (i = 0; i < nr_requests; i++)
		request[i] = rig_add(&rig, shape[i]);
}

static void die_and_recover(unsigned int flags, unsigned int rounds)
{
	struct state *first;
	unsigned int n, i, j, total = 0;

	begin(flags);
	prepare(rounds);
	if (!die_everywhere(work_first)) {
		/* ./check counts and shows such lines. */
		fprintf(stderr, "SKIP: death at every step (ptrace is refused)\n");
		return;
	}
	/* Marks, counters, links, indices, entries: each is a step. */
	ck_assert_uint_gt(nr_states, 30);
	pvio_vq_abandon(rig.vq);
	stop();

	n = nr_states;
	first = calloc(n, sizeof(*first));
	memcpy(first, states, n * sizeof(*first));
	for (i = 0; i < n; i++)
		expect_recovery(&first[i]);
	/* And the recovery dies as well, everywhere. */
	for (i = rounds % 3; i < n; i += 53) {
		restore(&first[i]);
		ck_assert(die_everywhere(work_recover));
		for (j = 0; j < nr_states; j++)
			expect_recovery(&states[j]);
		total += nr_states;
	}
	ck_assert_uint_gt(total, 0);
	free(first);
}

START_TEST(split_request_is_answered_once_wherever_we_die)
{
	die_and_recover(0, (unsigned int)_i);
}
END_TEST

START_TEST(packed_request_is_answered_once_wherever_we_die)
{
	die_and_recover(GUEST_RING_PACKED, (unsigned int)_i * 3);
}
END_TEST

START_TEST(unpopped_recovered_chain_is_popped_again)
{
	struct pvio_chain *a, *b;
	uint16_t id[2];

	begin(_i ? GUEST_RING_PACKED : 0);
	prepare(3);
	a = pvio_vq_pop(rig.vq);
	b = pvio_vq_pop(rig.vq);
	id[0] = a->id;
	id[1] = b->id;
	pvio_vq_abandon(rig.vq);
	pvio_vq_push(rig.vq, a, 0);
	pvio_vq_push(rig.vq, b, 0);
	stop();

	ck_assert_int_eq(start(), 0);
	ck_assert(pvio_vq_has_available(rig.vq));
	a = pvio_vq_pop(rig.vq);
	ck_assert_uint_eq(a->id, id[0]);
	b = pvio_vq_pop(rig.vq);
	pvio_vq_unpop(rig.vq, b);
	pvio_vq_unpop(rig.vq, a);
	ck_assert_uint_eq(rig.vq->nr_in_flight, 0);
	ck_assert_uint_eq(pvio_vq_pop(rig.vq)->id, id[0]);
	ck_assert_uint_eq(pvio_vq_pop(rig.vq)->id, id[1]);
	ck_assert_uint_eq(pvio_vq_pop(rig.vq)->id, request[2].id);
	pvio_vq_abandon(rig.vq);
	rig.vq->nr_in_flight = 0;
}
END_TEST

/* In order, and a later one is done: they are answered, so that it can be. */
START_TEST(unpop_of_recovered_chains_lets_a_later_one_go)
{
	struct pvio_chain *a, *b, *c;
	uint64_t before;

	begin((_i ? GUEST_RING_PACKED : 0) | GUEST_RING_IN_ORDER);
	prepare(3);
	a = pvio_vq_pop(rig.vq);
	b = pvio_vq_pop(rig.vq);
	pvio_vq_abandon(rig.vq);
	pvio_vq_push(rig.vq, a, 0);
	pvio_vq_push(rig.vq, b, 0);
	stop();

	ck_assert_int_eq(start(), 0);
	a = pvio_vq_pop(rig.vq);
	b = pvio_vq_pop(rig.vq);
	c = pvio_vq_pop(rig.vq);
	before = rig.vq->stats.completions;
	pvio_vq_push(rig.vq, c, 0);
	ck_assert_uint_eq(rig.vq->nr_in_flight, 3);
	pvio_vq_unpop(rig.vq, b);
	pvio_vq_unpop(rig.vq, a);
	ck_assert_uint_eq(rig.vq->nr_in_flight, 0);
	pvio_vq_flush(rig.vq);
	ck_assert_uint_eq(rig.vq->stats.completions, before + 3);
}
END_TEST

/* A ring that has run before it got a region (SPDK issue 3766). */
START_TEST(fresh_region_takes_the_used_index_from_the_ring)
{
	struct pvio_chain *chain;
	struct rig_chain id;
	uint32_t used_id, len;
	unsigned int i;

	begin(_i ? GUEST_RING_PACKED : 0);
	prepare(5);
	memset(region, 0, region_bytes);
	serve_all();
	for (i = 0; i < nr_requests; i++)
		ck_assert(rig_next_used(&rig, &used_id, &len));
	pvio_vq_get_position(rig.vq, &rig.setup.position);
	stop();
	memset(region, 0, region_bytes);
	ck_assert_int_eq(start(), 0);
	id = rig_add(&rig, "w8");
	chain = pvio_vq_pop(rig.vq);
	ck_assert_ptr_nonnull(chain);
	pvio_vq_abandon(rig.vq);
	pvio_vq_push(rig.vq, chain, 0);
	stop();
	ck_assert_int_eq(start(), 0);
	chain = pvio_vq_pop(rig.vq);
	ck_assert_ptr_nonnull(chain);
	ck_assert_uint_eq(chain->id, id.id);
	ck_assert(chain->recovered);
	pvio_vq_push(rig.vq, chain, 8);
	pvio_vq_flush(rig.vq);
	rig_expect_used(&rig, id.id, 8);
}
END_TEST

START_TEST(region_that_is_too_small_or_askew_is_refused)
{
	struct pvio_inflight *inflight;

	begin(0);
	ck_assert_int_eq(pvio_inflight_create(region_mapping, 0, false, 64,
					      &inflight),
			 -EINVAL);
	ck_assert_int_eq(pvio_inflight_create(region_mapping, 4, false, 4,
					      &inflight),
			 -EINVAL);
	ck_assert_int_eq(pvio_inflight_create(region_mapping, UINT64_MAX - 7,
					      false, 8, &inflight),
			 -EINVAL);
	ck_assert_int_eq(pvio_inflight_create(region_mapping, 0, false, 0,
					      &inflight),
			 -EINVAL);
	/* Of the other kind, or for a smaller queue */
	ck_assert_int_eq(pvio_inflight_create(region_mapping, 0, false, 4,
					      &rig.setup.inflight),
			 0);
	ck_assert_int_eq(rig_start(&rig), -EPROTO);
	ck_assert_int_eq(rig.vq->state, PVIO_VQ_BROKEN);
}
END_TEST

/* --- U35: a region that contradicts itself ------------------------------- */

static void split_version(struct inflight_split *s)
{
	s->version = 2;
}
static void split_desc_num(struct inflight_split *s)
{
	s->desc_num = 7;
}
static void split_used_far(struct inflight_split *s)
{
	s->used_idx = (uint16_t)(s->used_idx - SIZE - 1);
}
static void split_list_head(struct inflight_split *s)
{
	s->used_idx--;
	s->last_batch_head = SIZE;
}
static void split_list_loop(struct inflight_split *s)
{
	s->used_idx = (uint16_t)(s->used_idx - 3);
	s->last_batch_head = 1;
	s->desc[1].next = 2;
	s->desc[2].next = 1;
}
static void split_list_next(struct inflight_split *s)
{
	s->used_idx = (uint16_t)(s->used_idx - 2);
	s->last_batch_head = 1;
	s->desc[1].next = 0xffff;
}
static void split_mark(struct inflight_split *s)
{
	s->desc[3].inflight = 2;
}
static void split_same_counter(struct inflight_split *s)
{
	s->desc[3].inflight = s->desc[4].inflight = 1;
	s->desc[3].counter = s->desc[4].counter = 7;
}
static void split_huge_counter(struct inflight_split *s)
{
	s->desc[3].inflight = 1;
	s->desc[3].counter = UINT64_MAX;
}

static void (*const split_damage[])(struct inflight_split *) = {
	split_version,	 split_desc_num,     split_used_far,
	split_list_head, split_list_loop,    split_list_next,
	split_mark,	 split_same_counter, split_huge_counter,
};

static void packed_version(struct inflight_packed *p)
{
	p->version = 0x101;
}
static void packed_desc_num(struct inflight_packed *p)
{
	p->desc_num = 9;
}
static void packed_used(struct inflight_packed *p)
{
	p->used_idx = SIZE;
}
static void packed_old_used(struct inflight_packed *p)
{
	p->old_used_idx = 0xffff;
}
static void packed_wrap(struct inflight_packed *p)
{
	p->used_wrap = 2;
}
static void packed_old_wrap(struct inflight_packed *p)
{
	p->old_used_wrap = 0xff;
}
static void packed_free_loop(struct inflight_packed *p)
{
	p->desc[p->old_free_head].next = p->old_free_head;
}
static void packed_free_far(struct inflight_packed *p)
{
	p->desc[p->old_free_head].next = DESC_NUM + 1;
}
static void packed_free_head(struct inflight_packed *p)
{
	p->free_head = p->old_free_head = 0xffff;
}
static void packed_leak(struct inflight_packed *p)
{
	p->free_head = p->old_free_head = p->desc[p->old_free_head].next;
}
static unsigned int packed_marked(const struct inflight_packed *p)
{
	unsigned int i;

	for (i = 0; i < DESC_NUM && !p->desc[i].inflight; i++)
		;
	return i;
}
static void packed_mark(struct inflight_packed *p)
{
	p->desc[packed_marked(p)].inflight = 3;
}
static void packed_num_zero(struct inflight_packed *p)
{
	p->desc[packed_marked(p)].num = 0;
}
static void packed_num_big(struct inflight_packed *p)
{
	p->desc[packed_marked(p)].num = 0xffff;
}
static void packed_last(struct inflight_packed *p)
{
	p->desc[packed_marked(p)].last = p->old_free_head;
}
static void packed_huge_counter(struct inflight_packed *p)
{
	p->desc[packed_marked(p)].counter = UINT64_MAX;
}

static void (*const packed_damage[])(struct inflight_packed *) = {
	packed_version,	  packed_desc_num,  packed_used,      packed_old_used,
	packed_wrap,	  packed_old_wrap,  packed_free_loop, packed_free_far,
	packed_free_head, packed_leak,	    packed_mark,      packed_num_zero,
	packed_num_big,	  packed_last,	    packed_huge_counter,
};

/* After damage: a queue that is broken, and does nothing to the ring. */
static void expect_broken(void)
{
	struct state before;

	save(&before);
	ck_assert_int_eq(start(), -EPROTO);
	ck_assert_int_eq(rig.vq->state, PVIO_VQ_BROKEN);
	ck_assert_ptr_null(pvio_vq_pop(rig.vq));
	ck_assert_mem_eq(before.ring, ring, RING_BYTES);
	stop();
}

/* U35: every contradiction breaks the queue, and none is guessed about */
START_TEST(damaged_split_region_breaks_the_queue)
{
	begin(0);
	prepare(4);
	serve_all();
	stop();
	split_damage[_i]((struct inflight_split *)region);
	expect_broken();
}
END_TEST

START_TEST(damaged_packed_region_breaks_the_queue)
{
	struct pvio_chain *chain;

	begin(GUEST_RING_PACKED);
	prepare(4);
	pvio_vq_pop(rig.vq);
	chain = pvio_vq_pop(rig.vq); /* of two descriptors */
	ck_assert_uint_eq(chain->nr_desc, 2);
	pvio_vq_abandon(rig.vq);
	rig.vq->nr_in_flight = 0;
	stop();
	packed_damage[_i]((struct inflight_packed *)region);
	expect_broken();
}
END_TEST

/* U36: what the front-end does to the region while we run is not read */
START_TEST(region_is_not_read_after_recovery)
{
	unsigned int used[REQUESTS], i;

	begin(_i ? GUEST_RING_PACKED : 0);
	prepare(4);
	memset(region, 0xff, region_bytes);
	serve_all();
	ck_assert_uint_eq(count_used(used), nr_requests);
	for (i = 0; i < nr_requests; i++)
		ck_assert_uint_eq(used[i], 1);
	ck_assert_int_eq(rig.vq->state, PVIO_VQ_RUNNING);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("inflight");
	TCase *tcase = tcase_create("inflight");

	tcase_set_timeout(tcase, 600);
	tcase_add_checked_fixture(tcase, NULL, teardown);
	tcase_add_loop_test(tcase,
			    split_request_is_answered_once_wherever_we_die, 0,
			    2);
	tcase_add_loop_test(tcase,
			    packed_request_is_answered_once_wherever_we_die, 0,
			    3);
	tcase_add_loop_test(
		tcase, unpop_of_recovered_chains_lets_a_later_one_go, 0, 2);
	tcase_add_loop_test(tcase, unpopped_recovered_chain_is_popped_again, 0,
			    2);
	tcase_add_loop_test(tcase,
			    fresh_region_takes_the_used_index_from_the_ring, 0,
			    2);
	tcase_add_test(tcase, region_that_is_too_small_or_askew_is_refused);
	tcase_add_loop_test(tcase, damaged_split_region_breaks_the_queue, 0,
			    pvio_array_size(split_damage));
	tcase_add_loop_test(tcase, damaged_packed_region_breaks_the_queue, 0,
			    pvio_array_size(packed_damage));
	tcase_add_loop_test(tcase, region_is_not_read_after_recovery, 0, 2);
	suite_add_tcase(suite, tcase);
	return check_suite(suite);
}
