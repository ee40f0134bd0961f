/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_net_tap.c - the tap backend on a real tap, in a network namespace
 *
 * The outside is a packet socket on the same interface: what it gets and sends
 * carries a virtio-net header, too, so what the kernel made of offloads can be
 * seen.  Needs /dev/net/tun and the right to make a namespace.
 */
#include "tests/net-rig.h"

#include "backends/net.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define TAP "type = \"tap\"; ifname = \"tap0\"; create = true;"

static struct rig rig;
static int outside = -1; /* packet socket */
static uint8_t frame[70000], got[70000];

static const struct guest_net_options all = {
	.features = { RIG_ALL_NET, 0 },
	.pairs = 1,
	.queue_size = 256,
	.rx_bytes = 2048,
	.rx_buffers = 256,
};

/* A network of our own, without the chatter of IPv6. */
static bool enter_namespace(void)
{
	static const char *const quiet =
		"/proc/sys/net/ipv6/conf/default/disable_ipv6";
	int fd;

	if (unshare(CLONE_NEWNET) < 0)
		return false;
	fd = open(quiet, O_WRONLY);
	if (fd >= 0) {
		/* Where that is not allowed, tests may see router traffic. */
		if (write(fd, "1", 1) < 0)
			fprintf(stderr, "IPv6 stays on\n");
		close(fd);
	}
	return true;
}

static void set_up(bool up)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct ifreq ifr = { .ifr_name = "tap0" };

	ck_assert_int_eq(ioctl(fd, SIOCGIFFLAGS, &ifr), 0);
	ifr.ifr_flags &= ~IFF_UP;
	if (up)
		ifr.ifr_flags |= IFF_UP;
	ck_assert_int_eq(ioctl(fd, SIOCSIFFLAGS, &ifr), 0);
	close(fd);
}

static void open_outside(void)
{
	struct sockaddr_ll addr = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)if_nametoindex("tap0"),
	};
	int one = 1;

	outside = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
	ck_assert_int_ge(outside, 0);
	ck_assert_int_eq(setsockopt(outside, SOL_PACKET, PACKET_VNET_HDR, &one,
				    sizeof(one)),
			 0);
	ck_assert_int_eq(setsockopt(outside, SOL_PACKET, PACKET_IGNORE_OUTGOING,
				    &one, sizeof(one)),
			 0);
	ck_assert_int_eq(bind(outside, (struct sockaddr *)&addr, sizeof(addr)),
			 0);
}

static void up(const struct guest_net_options *o, const char *keys)
{
	rig_up(&rig, "net0", TAP, keys, o);
	set_up(true);
	open_outside();
}

static void setup(void)
{
	ck_assert(enter_namespace());
	rig_setup();
}

static void teardown(void)
{
	if (outside >= 0)
		close(outside);
	outside = -1;
	if (rig.dev)
		rig_down(&rig);
	rig_teardown();
}

/* What the outside receives next; *hdr is its header. */
static size_t outside_get(struct virtio_net_hdr *hdr)
{
	static uint8_t buf[sizeof(*hdr) + sizeof(got)];
	struct pollfd pfd = { outside, POLLIN, 0 };
	ssize_t n;

	rig_step();
	ck_assert_int_eq(poll(&pfd, 1, RIG_TIMEOUT_MS), 1);
	n = read(outside, buf, sizeof(buf));
	if (n < 0 && errno == ENETDOWN) /* said once, after it was down */
		n = read(outside, buf, sizeof(buf));
	ck_assert_int_gt(n, (int)sizeof(*hdr));
	memcpy(hdr, buf, sizeof(*hdr));
	memcpy(got, buf + sizeof(*hdr), (size_t)n - sizeof(*hdr));
	return (size_t)n - sizeof(*hdr);
}

static void outside_put(const struct virtio_net_hdr *hdr, size_t bytes)
{
	static const struct virtio_net_hdr none;
	struct iovec iov[2] = {
		{ (void *)(hdr ? hdr : &none), sizeof(none) },
		{ frame, bytes },
	};

	ck_assert_int_eq(writev(outside, iov, 2),
			 (ssize_t)(sizeof(none) + bytes));
}

static size_t guest_get(struct virtio_net_hdr_mrg_rxbuf *hdr)
{
	int64_t n = guest_net_receive(rig.net, 0, hdr, got, sizeof(got),
				      RIG_TIMEOUT_MS);

	ck_assert_int_ge(n, 0);
	return (size_t)n;
}

static void put16(uint8_t *p, size_t value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

/* A TCP segment of @bytes in all, its checksum open; its header in @hdr. */
static void tcp_frame(struct virtio_net_hdr *hdr, size_t bytes, uint16_t mss)
{
	static const uint8_t head[54] = {
		2,  0,    0, 0, 0,  1, 2, 0,    0,    0,    0,    2,    8,
		0,  0x45, 0, 0, 0,  0, 1, 0x40, 0,    64,   6,    0,    0,
		10, 0,    0, 1, 10, 0, 0, 2,    0x12, 0x34, 0x56, 0x78, 0,
		0,  0,    1, 0, 0,  0, 1, 0x50, 0x18, 0xff, 0xff,
	};
	uint32_t sum = 0;
	unsigned int i;

	rig_frame(frame, bytes, 3);
	memcpy(frame, head, sizeof(head));
	put16(frame + 16, bytes - 14);
	for (i = 14; i < 34; i += 2)
		sum += (uint32_t)(frame[i] << 8 | frame[i + 1]);
	sum = (sum & 0xffff) + (sum >> 16);
	put16(frame + 24, (uint16_t) ~((sum & 0xffff) + (sum >> 16)));
	/* The pseudo-header's sum, for the checksum to be completed. */
	sum = 6 + (uint32_t)(bytes - 34);
	for (i = 26; i < 34; i += 2)
		sum += (uint32_t)(frame[i] << 8 | frame[i + 1]);
	sum = (sum & 0xffff) + (sum >> 16);
	put16(frame + 50, (sum & 0xffff) + (sum >> 16));
	*hdr = (struct virtio_net_hdr){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = mss ? VIRTIO_NET_HDR_GSO_TCPV4 : 0,
		.hdr_len = htole16(54),
		.gso_size = htole16(mss),
		.csum_start = htole16(34),
		.csum_offset = htole16(16),
	};
}

START_TEST(frames_cross_the_tap_both_ways)
{
	static const size_t sizes[] = { 60, 64, 1000, 1514 };
	struct virtio_net_hdr_mrg_rxbuf mrg;
	struct virtio_net_hdr hdr;
	size_t i;

	up(&all, "");
	for (i = 0; i < pvio_array_size(sizes); i++) {
		rig_frame(frame, sizes[i], (unsigned int)i);
		rig_send(&rig, 0, frame, sizes[i]);
		ck_assert_uint_eq(outside_get(&hdr), sizes[i]);
		ck_assert_mem_eq(got, frame, sizes[i]);
		outside_put(NULL, sizes[i]);
		ck_assert_uint_eq(guest_get(&mrg), sizes[i]);
		ck_assert_mem_eq(got, frame, sizes[i]);
	}
}
END_TEST

START_TEST(guest_without_offloads_or_merging_is_served)
{
	struct guest_net_options o = all;
	struct virtio_net_hdr_mrg_rxbuf mrg;
	struct virtio_net_hdr hdr;

	o.features[0] = RIG_PLAIN;
	o.rx_bytes = 12 + 1518;
	up(&o, "");
	rig_frame(frame, 1514, 1);
	rig_send(&rig, 0, frame, 1514);
	ck_assert_uint_eq(outside_get(&hdr), 1514);
	outside_put(NULL, 1514);
	ck_assert_uint_eq(guest_get(&mrg), 1514);
	ck_assert_mem_eq(got, frame, 1514);
}
END_TEST

START_TEST(open_checksum_and_uncut_tcp_leave_through_the_tap)
{
	struct virtio_net_hdr_mrg_rxbuf mrg = { .num_buffers = 0 };
	struct virtio_net_hdr hdr;

	up(&all, "");
	tcp_frame(&mrg.hdr, 20000, 1400);
	ck_assert_int_eq(guest_net_send(rig.net, 0, &mrg, frame, 20000), 0);
	ck_assert_uint_eq(outside_get(&hdr), 20000);
	ck_assert_uint_eq(hdr.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	ck_assert_uint_eq(hdr.gso_size, 1400);
	ck_assert_uint_eq(hdr.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	ck_assert_uint_eq(hdr.csum_start, 34);
	ck_assert_mem_eq(got, frame, 20000);
}
END_TEST

START_TEST(uncut_tcp_reaches_a_guest_that_takes_it)
{
	struct virtio_net_hdr_mrg_rxbuf mrg;
	struct virtio_net_hdr hdr;

	up(&all, "");
	tcp_frame(&hdr, 20000, 1400);
	outside_put(&hdr, 20000);
	ck_assert_uint_eq(guest_get(&mrg), 20000);
	ck_assert_uint_eq(mrg.hdr.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	ck_assert_uint_eq(le16toh(mrg.hdr.gso_size), 1400);
	ck_assert_uint_eq(mrg.hdr.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	ck_assert_uint_eq(le16toh(mrg.num_buffers), 10);
	ck_assert_mem_eq(got, frame, 20000);
}
END_TEST

/* N16: the kernel cuts, because it was told what the guest accepted. */
START_TEST(guest_without_segmentation_gets_segments)
{
	struct guest_net_options o = all;
	struct virtio_net_hdr_mrg_rxbuf mrg;
	struct virtio_net_hdr hdr;
	size_t left = 5000 - 54, n;

	o.features[0] = RIG_PLAIN | PVIO_BIT(VIRTIO_NET_F_MRG_RXBUF);
	up(&o, "");
	tcp_frame(&hdr, 5000, 1400);
	outside_put(&hdr, 5000);
	while (left > 0) {
		n = guest_get(&mrg);
		ck_assert_uint_eq(mrg.hdr.gso_type, 0);
		ck_assert_uint_eq(mrg.hdr.flags, 0);
		ck_assert_uint_eq(n - 54, pvio_min(left, 1400));
		left -= n - 54;
	}
}
END_TEST

/* N16: changed while the device runs */
START_TEST(guest_that_switches_offloads_off_gets_segments)
{
	struct virtio_net_hdr_mrg_rxbuf mrg;
	struct virtio_net_hdr hdr;
	uint64_t off = 0;

	up(&all, "");
	ck_assert_int_eq(guest_net_command(rig.net,
					   VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0,
					   &off, 8),
			 VIRTIO_NET_OK);
	tcp_frame(&hdr, 2854, 1400);
	outside_put(&hdr, 2854);
	ck_assert_uint_eq(guest_get(&mrg), 1454);
	ck_assert_uint_eq(guest_get(&mrg), 1454);
	ck_assert_uint_eq(mrg.hdr.flags, 0);
}
END_TEST

/* N15 */
START_TEST(interface_that_is_down_loses_frames_and_nothing_else)
{
	struct virtio_net_hdr hdr;

	up(&all, "");
	set_up(false);
	rig_frame(frame, 100, 1);
	rig_send(&rig, 0, frame, 100);
	ck_assert_uint_eq(rig_faults(&rig, 1, PVIO_FAULT_DROP), 1);
	set_up(true);
	rig_send(&rig, 0, frame, 100);
	ck_assert_uint_eq(outside_get(&hdr), 100);
}
END_TEST

/* Like `ip link del tap0`. */
static void delete_tap(void)
{
	struct {
		struct nlmsghdr nlh;
		struct ifinfomsg ifi;
	} msg = {
		.nlh = { .nlmsg_len = sizeof(msg),
			 .nlmsg_type = RTM_DELLINK,
			 .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK },
		.ifi = { .ifi_index = (int)if_nametoindex("tap0") },
	};
	struct {
		struct nlmsghdr nlh;
		struct nlmsgerr err;
	} answer;
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);

	ck_assert_int_eq(send(fd, &msg, sizeof(msg), 0), sizeof(msg));
	ck_assert_int_ge(recv(fd, &answer, sizeof(answer), 0), 0);
	ck_assert_int_eq(answer.err.error, 0);
	close(fd);
}

/* N15 */
START_TEST(interface_that_is_deleted_takes_the_link_down)
{
	uint16_t status = 0xffff;

	up(&all, "");
	delete_tap();
	rig_frame(frame, 100, 1);
	rig_send(&rig, 0, frame, 100);
	rig_step();
	ck_assert_int_eq(guest_device_read_config(
				 rig.gd,
				 offsetof(struct virtio_net_config, status),
				 &status, 2),
			 0);
	ck_assert_uint_eq(le16toh(status), 0);
	/* The worker lives and rests; the queue still takes frames. */
	rig_expect_rest();
	rig_send(&rig, 0, frame, 100);
	ck_assert(!guest_device_is_broken(rig.gd));
}
END_TEST

/* N18 */
START_TEST(guest_without_buffers_leaves_frames_in_the_kernel)
{
	struct guest_net_options o = all;
	struct virtio_net_hdr_mrg_rxbuf mrg;
	unsigned int i;

	o.rx_buffers = 0;
	up(&o, "");
	for (i = 0; i < 10; i++) {
		rig_frame(frame, 100, i);
		outside_put(NULL, 100);
	}
	rig_expect_rest();
	ck_assert_int_eq(guest_net_post(rig.net, 0, 200), 0);
	for (i = 0; i < 10; i++) {
		rig_frame(frame, 100, i);
		ck_assert_uint_eq(guest_get(&mrg), 100);
		ck_assert_mem_eq(got, frame, 100);
	}
}
END_TEST

/* A ring too small for the largest frame: what fits is delivered. */
START_TEST(small_ring_receives_what_fits)
{
	struct guest_net_options o = all;
	struct virtio_net_hdr_mrg_rxbuf mrg;
	struct virtio_net_hdr hdr;

	o.queue_size = o.rx_buffers = 8;
	up(&o, "");
	rig_frame(frame, 1000, 1);
	outside_put(NULL, 1000);
	ck_assert_uint_eq(guest_get(&mrg), 1000);
	tcp_frame(&hdr, 30000, 1400);
	outside_put(&hdr, 30000);
	rig_expect_none(&rig, 0);
	ck_assert_uint_eq(rig_faults(&rig, 0, PVIO_FAULT_DROP), 1);
	rig_frame(frame, 1000, 2);
	outside_put(NULL, 1000);
	ck_assert_uint_eq(guest_get(&mrg), 1000);
}
END_TEST

START_TEST(pairs_have_queues_of_their_own)
{
	struct guest_net_options o = all;
	struct virtio_net_hdr_mrg_rxbuf mrg;
	struct virtio_net_hdr hdr;
	uint16_t pairs = htole16(2);
	unsigned int i, j, seen = 0;

	o.pairs = 2;
	up(&o, "queues = 2;");
	/* One pair in use: whatever the flow, it comes there. */
	for (i = 0; i < 64; i++) {
		tcp_frame(&hdr, 100, 0);
		put16(frame + 34, i * 1000 + 1);
		outside_put(&hdr, 100);
		ck_assert_uint_eq(guest_get(&mrg), 100);
	}
	ck_assert_int_eq(
		guest_net_command(rig.net, VIRTIO_NET_CTRL_MQ, 0, &pairs, 2),
		VIRTIO_NET_OK);
	for (i = 0; i < 2; i++) {
		rig_frame(frame, 200, i);
		rig_send(&rig, i, frame, 200);
		ck_assert_uint_eq(outside_get(&hdr), 200);
		ck_assert_mem_eq(got, frame, 200);
	}
	/* Two: flows spread, none is lost. */
	for (i = 0; i < 64; i++) {
		tcp_frame(&hdr, 100, 0);
		put16(frame + 34, i * 1000 + 1);
		outside_put(&hdr, 100);
	}
	rig_step();
	for (i = 0; i < 2; i++) {
		for (j = 0; guest_net_receive(rig.net, i, &mrg, got,
					      sizeof(got), 0) == 100;
		     j++)
			seen++;
		ck_assert_uint_gt(j, 0);
	}
	ck_assert_uint_eq(seen, 64);
}
END_TEST

START_TEST(wrong_tap_configurations_are_refused)
{
	ck_assert_int_eq(rig_create(&rig, "net0", "type = \"tap\";", ""),
			 -EINVAL);
	ck_assert_int_eq(rig_create(&rig, "net0",
				    "type = \"tap\"; ifname = \"tap9\";", ""),
			 -EINVAL);
	ck_assert_int_eq(rig_create(&rig, "net0",
				    "type = \"tap\"; ifname = \"a-name-much-"
				    "too-long\"; create = true;",
				    ""),
			 -EINVAL);
	ck_assert_int_eq(rig_create(&rig, "net0",
				    "type = \"tap\"; fds = \"5,6\";",
				    "queues = 2;"),
			 -EINVAL);
	/* A descriptor that is no tap. */
	ck_assert_int_lt(
		rig_create(&rig, "net0", "type = \"tap\"; fds = \"0\";", ""),
		0);
}
END_TEST

#define TESTS                                                                  \
	frames_cross_the_tap_both_ways,                                        \
		guest_without_offloads_or_merging_is_served,                   \
		open_checksum_and_uncut_tcp_leave_through_the_tap,             \
		uncut_tcp_reaches_a_guest_that_takes_it,                       \
		guest_without_segmentation_gets_segments,                      \
		guest_that_switches_offloads_off_gets_segments,                \
		interface_that_is_down_loses_frames_and_nothing_else,          \
		interface_that_is_deleted_takes_the_link_down,                 \
		guest_without_buffers_leaves_frames_in_the_kernel,             \
		small_ring_receives_what_fits, pairs_have_queues_of_their_own, \
		wrong_tap_configurations_are_refused

int main(void)
{
	const TTest *const tests[] = { TESTS };

	if (access("/dev/net/tun", R_OK | W_OK) < 0 || !enter_namespace()) {
		fprintf(stderr, "SKIP: no /dev/net/tun, or not allowed to make "
				"a network namespace\n");
		return 77;
	}
	return check_run("net tap", setup, teardown, tests,
			 pvio_array_size(tests));
}
