/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net.c - exchange frames
 *
 * net=ask sends frames and wants each back, its payload untouched: from an echo
 * back-end, or from a guest that runs with net=answer.  frames=N is how many,
 * for both.
 */
#include "virtio.h"

#include "core/util.h"
#include "core/virtio.h"

#define RX               0
#define TX               1
#define QUEUE_SIZE       16
#define BUFFERS          8
#define NET_HEADER_BYTES 12 /* virtio 1.4, 5.1.6 */
#define FRAME_MIN        60
#define FRAME_MAX        1514
#define BUFFER_BYTES     2048
#define ADDRESS_BYTES    6
#define TYPE_EXPERIMENT  0xb588 /* 0x88b5, big endian */

struct frame {
	uint8_t net_header[NET_HEADER_BYTES];
	uint8_t to[ADDRESS_BYTES], from[ADDRESS_BYTES];
	uint16_t type;
	uint16_t number;
	uint32_t payload[(FRAME_MAX - 16 + 3) / 4];
} __attribute__((packed, aligned(4)));

struct card {
	struct bare_queue *rx, *tx;
	uint8_t address[ADDRESS_BYTES];
	unsigned int sent, received;
};

/* The length of frame @number: from the shortest to the longest, and between. */
static uint32_t frame_bytes(unsigned int number)
{
	static const uint32_t bytes[] = { FRAME_MIN, FRAME_MAX, 256, 1024 };

	return bytes[number % pvio_array_size(bytes)];
}

static unsigned int frame_words(uint32_t bytes)
{
	return (bytes - 16) / 4;
}

static void frame_fill(struct frame *frame, unsigned int number)
{
	unsigned int i, n = frame_words(frame_bytes(number));
	uint32_t word = number * 0x9e3779b9u;

	frame->number = (uint16_t)number;
	for (i = 0; i < n; i++, word++)
		frame->payload[i] = word;
}

static void frame_compare(const struct frame *frame, uint32_t bytes,
			  unsigned int frames)
{
	uint32_t word = frame->number * 0x9e3779b9u;
	unsigned int i, n;

	if (frame->type != TYPE_EXPERIMENT || frame->number >= frames ||
	    bytes != frame_bytes(frame->number))
		bare_fail("net: a frame nobody sent: number %u, %u bytes",
			  frame->number, bytes);
	n = frame_words(bytes);
	for (i = 0; i < n; i++, word++) {
		if (frame->payload[i] != word)
			bare_fail("net: frame %u, word %u", frame->number, i);
	}
}

static void card_post(struct card *card, struct frame *frame)
{
	struct guest_segment seg = { (uintptr_t)frame, BUFFER_BYTES };

	bare_queue_add(card->rx, &seg, 0, 1, frame);
	bare_queue_publish(card->rx);
}

static void card_transmit(struct card *card, struct frame *frame,
			  uint32_t bytes)
{
	struct guest_segment seg = { (uintptr_t)frame,
				     NET_HEADER_BYTES + bytes };
	uint32_t len;

	bare_queue_add(card->tx, &seg, 1, 0, frame);
	bare_queue_publish(card->tx);
	/* One at a time: what comes back must not be overrun. */
	bare_queue_wait(card->tx, &len);
	card->sent++;
}

static struct frame *card_receive(struct card *card, uint32_t *bytes)
{
	struct frame *frame = bare_queue_wait(card->rx, bytes);

	if (*bytes < NET_HEADER_BYTES + FRAME_MIN)
		bare_fail("net: %u bytes received", *bytes);
	*bytes -= NET_HEADER_BYTES;
	card->received++;
	return frame;
}

static void card_ask(struct card *card, unsigned int frames)
{
	struct frame *frame = bare_alloc(BUFFER_BYTES, 64);
	uint32_t bytes;
	unsigned int i;

	memset(frame->to, 0xff, ADDRESS_BYTES);
	memcpy(frame->from, card->address, ADDRESS_BYTES);
	frame->type = TYPE_EXPERIMENT;
	for (i = 0; i < frames; i++) {
		struct frame *answer;

		frame_fill(frame, i);
		card_transmit(card, frame, frame_bytes(i));
		answer = card_receive(card, &bytes);
		if (answer->number != i)
			bare_fail("net: frame %u came before %u",
				  answer->number, i);
		frame_compare(answer, bytes, frames);
		card_post(card, answer);
	}
}

static void card_answer(struct card *card, unsigned int frames)
{
	uint32_t bytes;
	unsigned int i;

	for (i = 0; i < frames; i++) {
		struct frame *frame = card_receive(card, &bytes);

		frame_compare(frame, bytes, frames);
		memset(frame->net_header, 0, NET_HEADER_BYTES);
		memcpy(frame->to, frame->from, ADDRESS_BYTES);
		memcpy(frame->from, card->address, ADDRESS_BYTES);
		card_transmit(card, frame, bytes);
		card_post(card, frame);
	}
}

static unsigned int card_interrupts(const struct card *card,
				    const struct bare_device *dev)
{
	unsigned int interrupts = bare_queue_interrupts(card->rx);

	return dev->by_line ? interrupts
			    : interrupts + bare_queue_interrupts(card->tx);
}

void bare_net_test(struct bare_device *dev, const struct boot_info *boot)
{
	unsigned int frames = (unsigned int)bare_option_number(boot, "frames",
							       16);
	struct card card = { .sent = 0 };
	unsigned int i;

	if (!(dev->features & PVIO_BIT(VIRTIO_NET_F_MAC)))
		bare_fail("net: the card has no address");
	for (i = 0; i < ADDRESS_BYTES; i++)
		card.address[i] = dev->ops->read_config8(dev, i);
	card.rx = bare_queue_setup(dev, RX, QUEUE_SIZE);
	card.tx = bare_queue_setup(dev, TX, QUEUE_SIZE);
	bare_device_start(dev);
	for (i = 0; i < BUFFERS; i++)
		card_post(&card, bare_alloc(BUFFER_BYTES, 64));
	/* Whoever starts the other guest waits for this. */
	bare_print("net: up\n");
	if (bare_option_is(bare_option(boot, "net"), "answer"))
		card_answer(&card, frames);
	else
		card_ask(&card, frames);
	bare_device_stop(dev);
	bare_print("ok net: sent=%u received=%u kicks=%u sleeps=%u "
		   "interrupts=%u\n",
		   card.sent, card.received, card.rx->kicks + card.tx->kicks,
		   card.rx->sleeps + card.tx->sleeps,
		   card_interrupts(&card, dev));
}
