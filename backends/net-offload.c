/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net-offload.c - frames for receivers that can do less than their senders
 *
 * A guest that negotiated checksum and segmentation offload sends frames of up
 * to 64 KiB with the checksum left open.  Where the receiver agreed to the same
 * they are copied as they are.  Where it did not, the frame is copied into
 * private memory first - so that what is parsed stays as it was parsed - and
 * finished there: the checksum completed, or TCP and UDP cut into segments:
 *
 *	scratch:   eth | vlan? | IP | TCP/UDP | payload ................
 *	           0           l3   l4        hlen                      bytes
 *	segment i: the header, edited      | gso_size bytes of payload
 *
 * Every field of the frame is the sender's: lengths are checked against the
 * bytes that are there, and what does not parse is dropped.
 */
#include "backends/net.h"

#include <errno.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>

#define MAX_HEADERS 512 /* of a frame that is cut into segments */

struct pvio_net_scratch {
	uint8_t frame[PVIO_NET_MAX_FRAME + 1];
};

struct pvio_net_scratch *pvio_net_scratch_create(void)
{
	return malloc(sizeof(struct pvio_net_scratch));
}

void pvio_net_scratch_destroy(struct pvio_net_scratch *scratch)
{
	free(scratch);
}

/* --- headers ------------------------------------------------------------- */

/* The offload that @gso_type asks for; 0 for none, -1 for one unknown. */
static int gso_offload(uint8_t gso_type)
{
	switch (gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_NONE:
		return 0;
	case VIRTIO_NET_HDR_GSO_TCPV4:
		return PVIO_NET_TSO4;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return PVIO_NET_TSO6;
	case VIRTIO_NET_HDR_GSO_UDP:
		return PVIO_NET_UFO;
	case VIRTIO_NET_HDR_GSO_UDP_L4:
		return PVIO_NET_USO;
	default:
		return -1;
	}
}

/* Everything a sound header asks its receiver to be able to do. */
static unsigned int hdr_offloads(const struct virtio_net_hdr *hdr)
{
	unsigned int need = (unsigned int)gso_offload(hdr->gso_type);

	if (hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		need |= PVIO_NET_CSUM;
	if (hdr->gso_type & VIRTIO_NET_HDR_GSO_ECN)
		need |= PVIO_NET_ECN;
	return need;
}

/*
 * (virtio 1.4, 5.1.6.2) hdr_len is a hint that may not be relied on, so it is
 * only kept from pointing past the frame.
 */
bool pvio_net_hdr_check(struct virtio_net_hdr_mrg_rxbuf *mrg, size_t bytes,
			unsigned int offloads)
{
	struct virtio_net_hdr *hdr = &mrg->hdr;
	int gso = gso_offload(hdr->gso_type);
	size_t start, size;

	mrg->num_buffers = 0;
	hdr->flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM;
	if (gso < 0 || (hdr_offloads(hdr) & ~offloads))
		return false;
	if (hdr->gso_type & VIRTIO_NET_HDR_GSO_ECN &&
	    !(gso & (PVIO_NET_TSO4 | PVIO_NET_TSO6)))
		return false;
	if (!hdr->flags) {
		memset(hdr, 0, sizeof(*hdr));
		return gso == 0;
	}
	start = le16toh(hdr->csum_start);
	if (start < PVIO_NET_MIN_FRAME ||
	    start + le16toh(hdr->csum_offset) + 2 > bytes)
		return false;
	if (gso == 0) {
		hdr->hdr_len = hdr->gso_size = 0;
		return true;
	}
	size = le16toh(hdr->gso_size);
	if (size == 0 || size > bytes || bytes / size > PVIO_NET_MAX_SEGMENTS)
		return false;
	if (le16toh(hdr->hdr_len) > bytes)
		hdr->hdr_len = htole16((uint16_t)pvio_min(bytes, UINT16_MAX));
	return true;
}

/* --- checksums (RFC 1071) ------------------------------------------------ */

/* The ones' complement sum of @len bytes, unfolded, in memory order. */
static uint64_t csum_add(uint64_t sum, const uint8_t *p, size_t len)
{
	uint32_t word;
	uint16_t half;

	for (; len >= 4; len -= 4, p += 4) {
		memcpy(&word, p, 4);
		sum += word;
	}
	if (len >= 2) {
		memcpy(&half, p, 2);
		sum += half;
		p += 2;
		len -= 2;
	}
	if (len) {
		half = 0;
		memcpy(&half, p, 1);
		sum += half;
	}
	return sum;
}

static uint16_t csum_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/*
 * The sender has put the sum of the pseudo-header into the checksum field, so
 * the sum of everything from csum_start on is what belongs there.  A UDP sum
 * of 0 would say that there is none.
 */
static void csum_complete(uint8_t *frame, size_t bytes, size_t start,
			  size_t offset)
{
	uint16_t sum = csum_fold(csum_add(0, frame + start, bytes - start));

	if (sum == 0 && offset == offsetof(struct udphdr, uh_sum))
		sum = 0xffff;
	memcpy(frame + start + offset, &sum, sizeof(sum));
}

/* --- delivery ------------------------------------------------------------ */

static int deliver_done(struct pvio_net_rx *rx, int rc)
{
	if (rc == 0 || rc == -ENOBUFS)
		return rc;
	pvio_net_rx_drop(rx);
	return 0;
}

/* Deliver up to two pieces of our own memory as one plain frame. */
static int deliver_plain(struct pvio_net_rx *rx, const void *a, size_t a_len,
			 const void *b, size_t b_len)
{
	static const struct virtio_net_hdr_mrg_rxbuf none;
	size_t bytes = a_len + b_len;
	struct pvio_net_room room;
	int rc;

	rc = pvio_net_rx_begin(rx, bytes, bytes, &room);
	if (rc < 0)
		return rc;
	if (room.bytes < bytes)
		return -EMSGSIZE;
	pvio_iov_put(room.iov, room.nr_iov, 0, a, a_len);
	if (b_len > 0)
		pvio_iov_put(room.iov, room.nr_iov, a_len, b, b_len);
	pvio_net_rx_commit(rx, &none, bytes);
	return 0;
}

/* Where the headers of a frame that is to be cut are. */
struct layout {
	size_t l3, l4, hlen;
	bool v6, tcp;
};

static bool layout_parse(const uint8_t *frame, size_t bytes,
			 const struct virtio_net_hdr *hdr, struct layout *at)
{
	int gso = gso_offload(hdr->gso_type);
	const uint8_t *ip;
	uint16_t type;

	at->l3 = 12;
	at->l4 = le16toh(hdr->csum_start);
	do {
		if (at->l3 + 4 > bytes)
			return false;
		type = (uint16_t)(frame[at->l3] << 8 | frame[at->l3 + 1]);
		at->l3 += type == ETHERTYPE_VLAN || type == 0x88a8 ? 4 : 2;
	} while ((type == ETHERTYPE_VLAN || type == 0x88a8) && at->l3 <= 20);

	ip = frame + at->l3;
	if (type == ETHERTYPE_IP) {
		if (at->l3 + sizeof(struct ip) > at->l4 || ip[0] >> 4 != 4 ||
		    at->l3 + (ip[0] & 15u) * 4 != at->l4)
			return false;
		at->v6 = false;
		at->tcp = ip[9] == IPPROTO_TCP;
	} else if (type == ETHERTYPE_IPV6) {
		if (at->l3 + sizeof(struct ip6_hdr) > at->l4 || ip[0] >> 4 != 6)
			return false;
		at->v6 = true;
		at->tcp = gso != PVIO_NET_USO;
	} else {
		return false;
	}
	if (gso == PVIO_NET_USO ? at->tcp
				: !at->tcp || at->v6 != (gso == PVIO_NET_TSO6))
		return false;
	if (!at->tcp && !at->v6 && ip[9] != IPPROTO_UDP)
		return false;

	at->hlen = at->l4 + sizeof(struct udphdr);
	if (at->tcp) {
		if (at->l4 + sizeof(struct tcphdr) > bytes ||
		    frame[at->l4 + 12] >> 4 < 5)
			return false;
		at->hlen = at->l4 + (size_t)(frame[at->l4 + 12] >> 4) * 4;
	}
	return at->hlen < bytes && at->hlen <= MAX_HEADERS;
}

static void put16(uint8_t *p, size_t value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	       (uint32_t)p[2] << 8 | p[3];
}

static void put32(uint8_t *p, uint32_t value)
{
	put16(p, value >> 16);
	put16(p + 2, value & 0xffff);
}

/* Fill in the network header of segment @i, @len bytes from l3 to its end. */
static void segment_l3(const struct layout *at, uint8_t *head, size_t len,
		       unsigned int i)
{
	uint8_t *ip = head + at->l3;
	uint16_t sum;

	if (at->v6) {
		put16(ip + 4, len - sizeof(struct ip6_hdr));
		return;
	}
	put16(ip + 2, len);
	put16(ip + 4, (size_t)(ip[4] << 8 | ip[5]) + i);
	put16(ip + 10, 0);
	sum = csum_fold(csum_add(0, ip, at->l4 - at->l3));
	memcpy(ip + 10, &sum, sizeof(sum));
}

/* Fill in the transport header: length, sequence, flags, checksum. */
static void segment_l4(const struct layout *at, uint8_t *head,
		       const uint8_t *payload, size_t len, size_t offset,
		       bool last)
{
	uint8_t *ip = head + at->l3, *l4 = head + at->l4;
	size_t l4_len = at->hlen - at->l4 + len;
	uint8_t pseudo[4] = { 0, at->tcp ? IPPROTO_TCP : IPPROTO_UDP };
	uint8_t *field = l4 + (at->tcp ? 16 : 6);
	uint64_t total;
	uint16_t sum;

	if (at->tcp) {
		put32(l4 + 4, get32(l4 + 4) + (uint32_t)offset);
		if (!last)
			l4[13] &= (uint8_t) ~(TH_FIN | TH_PUSH);
		if (offset > 0)
			l4[13] &= (uint8_t)~0x80; /* CWR: on the first only */
	} else {
		put16(l4 + 4, l4_len);
	}
	put16(pseudo + 2, l4_len);
	put16(field, 0);
	total = csum_add(0, pseudo, sizeof(pseudo));
	total = at->v6 ? csum_add(total, ip + 8, 32)
		       : csum_add(total, ip + 12, 8);
	total = csum_add(total, l4, at->hlen - at->l4);
	/* An odd header length cannot be: TCP and UDP count in words. */
	total = csum_add(total, payload, len);
	sum = csum_fold(total);
	if (sum == 0 && !at->tcp)
		sum = 0xffff;
	memcpy(field, &sum, sizeof(sum));
}

static int deliver_segments(struct pvio_net_rx *rx, const uint8_t *frame,
			    size_t bytes, const struct virtio_net_hdr *hdr)
{
	size_t size = le16toh(hdr->gso_size), offset = 0, len;
	uint8_t head[MAX_HEADERS];
	struct layout at;
	unsigned int i;
	int rc;

	if (!layout_parse(frame, bytes, hdr, &at))
		return -EMSGSIZE;
	for (i = 0; at.hlen + offset < bytes; i++, offset += size) {
		const uint8_t *payload = frame + at.hlen + offset;

		len = pvio_min(size, bytes - at.hlen - offset);
		memcpy(head, frame, at.hlen);
		segment_l3(&at, head, at.hlen - at.l3 + len, i);
		segment_l4(&at, head, payload, len, offset,
			   at.hlen + offset + len == bytes);
		rc = deliver_plain(rx, head, at.hlen, payload, len);
		if (rc < 0)
			/* What is out is out; TCP sends the rest again. */
			return i == 0 ? rc : -EMSGSIZE;
	}
	return 0;
}

static pvio_cold int deliver_soft(struct pvio_net_rx *rx,
				  const struct pvio_net_frame *frame,
				  const uint8_t *head, size_t head_len,
				  struct pvio_net_scratch *scratch)
{
	const struct virtio_net_hdr *hdr = &frame->hdr.hdr;
	size_t bytes = frame->bytes;
	int gso = gso_offload(hdr->gso_type);

	if (bytes > PVIO_NET_MAX_FRAME ||
	    pvio_iov_get(frame->iov, frame->nr_iov, 0, scratch->frame, bytes) <
		    bytes)
		return -EMSGSIZE;
	if (head_len > 0)
		memcpy(scratch->frame, head, head_len);
	if (gso == 0) {
		csum_complete(scratch->frame, bytes, le16toh(hdr->csum_start),
			      le16toh(hdr->csum_offset));
		return deliver_plain(rx, scratch->frame, bytes, NULL, 0);
	}
	if (gso == PVIO_NET_UFO)
		return -EMSGSIZE;
	return deliver_segments(rx, scratch->frame, bytes, hdr);
}

int pvio_net_deliver(struct pvio_net_rx *rx, const struct pvio_net_frame *frame,
		     const uint8_t *head, size_t head_len,
		     struct pvio_net_scratch *scratch)
{
	struct pvio_net_room room;
	size_t bytes = frame->bytes;
	int rc;

	if (unlikely(hdr_offloads(&frame->hdr.hdr) & ~rx->offloads))
		return deliver_done(
			rx, deliver_soft(rx, frame, head, head_len, scratch));
	rc = pvio_net_rx_begin(rx, bytes, bytes, &room);
	if (unlikely(rc < 0 || room.bytes < bytes))
		return deliver_done(rx, rc < 0 ? rc : -EMSGSIZE);
	pvio_iov_copy(room.iov, room.nr_iov, 0, frame->iov, frame->nr_iov, 0,
		      bytes);
	if (head_len > 0)
		pvio_iov_put(room.iov, room.nr_iov, 0, head, head_len);
	pvio_net_rx_commit(rx, &frame->hdr, bytes);
	return 0;
}
