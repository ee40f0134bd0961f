// SPDX-License-Identifier: BSD-3-Clause
/*
 * nettool.c - checksummed TCP and UDP transfers between two guests, or a guest
 * and its host
 *
 *	nettool serve PORT			answer, until killed
 *	nettool tcp ADDRESS PORT send|recv BYTES SEED
 *	nettool udp ADDRESS PORT COUNT SEED	datagrams of 8 to 1464 bytes
 *	nettool ask ADDRESS PORT BYTES DEPTH SECONDS
 *						datagrams and their echoes, DEPTH
 *						under way, timed
 *	nettool flood ADDRESS PORT send|recv SECONDS
 *						as much as goes, in 64 KiB
 *
 * All data are streams (stream.h): both ends check every word.  A datagram is
 * echoed; one that comes back wrong is a failure, one that does not come back
 * is counted, and one in twenty may be missing, as UDP may.  Those of ask and
 * flood are not checked, so that it is not that which is measured.
 */
#include "build-config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "histogram.h"
#include "stream.h"

#define MAGIC       0x7076696f6e657431u
#define CHUNK_BYTES ((size_t)65536)
#define UDP_WINDOW  16
#define TIMEOUT_S   20
#define DEPTH_MAX   256

enum request_kind {
	REQUEST_RECV,   /* the client receives a stream */
	REQUEST_SEND,   /* it sends one */
	REQUEST_SINK,   /* it sends, which is counted and thrown away */
	REQUEST_SOURCE, /* it receives zeroes */
};

struct request {
	uint64_t magic;
	uint64_t kind;
	uint64_t bytes; /* for SOURCE, milliseconds */
	uint64_t seed;
};

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static void __attribute__((format(printf, 1, 2), noreturn))
die(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fputs("nettool: ", stdout);
	vprintf(fmt, args);
	fputs("\n", stdout);
	va_end(args);
	exit(1);
}

static uint64_t number(const char *text)
{
	char *end;
	uint64_t n;

	errno = 0;
	n = strtoull(text, &end, 0);
	if (errno || end == text || *end)
		die("%s: not a number", text);
	return n;
}

static socklen_t address(const char *text, const char *port, union address *a)
{
	memset(a, 0, sizeof(*a));
	if (inet_pton(AF_INET, text, &a->v4.sin_addr) == 1) {
		a->v4.sin_family = AF_INET;
		a->v4.sin_port = htons((uint16_t)number(port));
		return sizeof(a->v4);
	}
	if (inet_pton(AF_INET6, text, &a->v6.sin6_addr) == 1) {
		a->v6.sin6_family = AF_INET6;
		a->v6.sin6_port = htons((uint16_t)number(port));
		return sizeof(a->v6);
	}
	die("%s: not an address", text);
}

static int socket_with_timeout(int family, int type)
{
	struct timeval limit = { .tv_sec = TIMEOUT_S };
	int fd = socket(family, type | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket: %s", strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	return fd;
}

/* All of it, or false. */
static bool put(int fd, const void *buf, size_t bytes)
{
	const char *p = buf;
	ssize_t n;

	for (; bytes; p += n, bytes -= (size_t)n) {
		n = send(fd, p, bytes, MSG_NOSIGNAL);
		if (n <= 0)
			return false;
	}
	return true;
}

static bool get(int fd, void *buf, size_t bytes)
{
	char *p = buf;
	ssize_t n;

	for (; bytes; p += n, bytes -= (size_t)n) {
		n = recv(fd, p, bytes, 0);
		if (n <= 0)
			return false;
	}
	return true;
}

static bool put_stream(int fd, uint64_t bytes, uint64_t seed)
{
	static char buf[CHUNK_BYTES];
	uint64_t at;
	size_t n;

	for (at = 0; at < bytes; at += n) {
		n = bytes - at < CHUNK_BYTES ? (size_t)(bytes - at)
					     : CHUNK_BYTES;
		stream_fill(buf, n, seed, at);
		if (!put(fd, buf, n))
			return false;
	}
	return true;
}

/* NULL, or what was wrong. */
static const char *get_stream(int fd, uint64_t bytes, uint64_t seed)
{
	static char buf[CHUNK_BYTES];
	uint64_t at;
	size_t n;

	for (at = 0; at < bytes; at += n) {
		n = bytes - at < CHUNK_BYTES ? (size_t)(bytes - at)
					     : CHUNK_BYTES;
		if (!get(fd, buf, n))
			return "connection lost";
		if (stream_check(buf, n, seed, at) >= 0)
			return "wrong data";
	}
	return NULL;
}

/* --- server -------------------------------------------------------------- */

static uint64_t sink(int fd)
{
	static char buf[CHUNK_BYTES];
	uint64_t bytes = 0;
	ssize_t n;

	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0)
		bytes += (uint64_t)n;
	return bytes;
}

/* Zeroes for so long; how many. */
static uint64_t source(int fd, double seconds)
{
	static char buf[CHUNK_BYTES];
	double until = stream_now() + seconds;
	uint64_t bytes = 0;

	while (stream_now() < until && put(fd, buf, sizeof(buf)))
		bytes += sizeof(buf);
	shutdown(fd, SHUT_WR);
	return bytes;
}

static void serve_connection(int fd)
{
	struct request r;
	uint64_t good;

	if (!get(fd, &r, sizeof(r)) || r.magic != MAGIC)
		return;
	if (r.kind == REQUEST_SINK) {
		good = sink(fd);
		put(fd, &good, sizeof(good));
	} else if (r.kind == REQUEST_SOURCE) {
		source(fd, (double)r.bytes / 1000);
	} else if (r.kind == REQUEST_SEND) {
		good = !get_stream(fd, r.bytes, r.seed);
		put(fd, &good, sizeof(good));
	} else if (put_stream(fd, r.bytes, r.seed)) {
		get(fd, &good, sizeof(good));
	}
}

static void serve_datagram(int fd)
{
	static char buf[CHUNK_BYTES];
	union address from;
	socklen_t bytes = sizeof(from);
	ssize_t n;

	n = recvfrom(fd, buf, sizeof(buf), MSG_DONTWAIT, &from.any, &bytes);
	if (n > 0)
		sendto(fd, buf, (size_t)n, MSG_NOSIGNAL, &from.any, bytes);
}

static int serve_command(const char *port)
{
	struct timeval limit = { .tv_sec = TIMEOUT_S };
	struct pollfd fds[2];
	union address a;
	int type[2] = { SOCK_STREAM, SOCK_DGRAM };
	int one = 1, zero = 0, i, fd;
	socklen_t bytes;

	/* Both kinds of addresses, where the kernel has both. */
	fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bytes = address(fd < 0 ? "0.0.0.0" : "::", port, &a);
	if (fd >= 0)
		close(fd);

	for (i = 0; i < 2; i++) {
		fds[i].fd = socket(a.any.sa_family, type[i] | SOCK_CLOEXEC, 0);
		fds[i].events = POLLIN;
		setsockopt(fds[i].fd, SOL_SOCKET, SO_REUSEADDR, &one,
			   sizeof(one));
		setsockopt(fds[i].fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero,
			   sizeof(zero));
		if (bind(fds[i].fd, &a.any, bytes))
			die("bind %s: %s", port, strerror(errno));
	}
	if (listen(fds[0].fd, 16))
		die("listen: %s", strerror(errno));
	signal(SIGCHLD, SIG_IGN);
	printf("nettool: serving port %s\n", port);
	while (poll(fds, 2, -1) >= 0 || errno == EINTR) {
		if (fds[1].revents)
			serve_datagram(fds[1].fd);
		if (!fds[0].revents)
			continue;
		fd = accept(fds[0].fd, NULL, NULL);
		if (fd < 0)
			continue;
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
		if (fork() == 0) {
			serve_connection(fd);
			_exit(0);
		}
		close(fd);
	}
	die("poll: %s", strerror(errno));
}

/* --- clients ------------------------------------------------------------- */

static int tcp_command(char **arg)
{
	union address a;
	socklen_t length = address(arg[0], arg[1], &a);
	struct request r = { MAGIC,
			     !strcmp(arg[2], "send") ? REQUEST_SEND
						     : REQUEST_RECV,
			     number(arg[3]), number(arg[4]) };
	int fd = socket_with_timeout(a.any.sa_family, SOCK_STREAM);
	const char *wrong;
	uint64_t good = 1;
	double before = stream_now();

	if (connect(fd, &a.any, length))
		die("connect %s: %s", arg[0], strerror(errno));
	if (!put(fd, &r, sizeof(r)))
		die("request: %s", strerror(errno));
	if (r.kind == REQUEST_SEND) {
		if (!put_stream(fd, r.bytes, r.seed))
			die("send: %s", strerror(errno));
		if (!get(fd, &good, sizeof(good)) || good != 1)
			die("the other end did not get what was sent");
	} else {
		wrong = get_stream(fd, r.bytes, r.seed);
		if (wrong)
			die("receive: %s", wrong);
		put(fd, &good, sizeof(good));
	}
	printf("tcp %s: %llu bytes checked, %.1f MB/s\n", arg[2],
	       (unsigned long long)r.bytes,
	       (double)r.bytes / (stream_now() - before) / 1e6);
	close(fd);
	return 0;
}

/* Datagram @i is a stream of its own, after its number. */
static size_t udp_make(char *buf, uint64_t seed, uint64_t i)
{
	size_t bytes = 8 + stream_word(seed, i) % 183 * 8;

	memcpy(buf, &i, 8);
	stream_fill(buf + 8, bytes - 8, seed ^ i, 0);
	return bytes;
}

static int udp_command(char **arg)
{
	union address a;
	socklen_t length = address(arg[0], arg[1], &a);
	uint64_t count = number(arg[2]), seed = number(arg[3]);
	uint64_t sent = 0, back = 0, lost = 0, i;
	char buf[2048], want[2048];
	struct pollfd p = { .events = POLLIN };
	size_t bytes;
	ssize_t n;

	p.fd = socket_with_timeout(a.any.sa_family, SOCK_DGRAM);
	if (connect(p.fd, &a.any, length))
		die("connect %s: %s", arg[0], strerror(errno));
	while (back + lost < count) {
		if (sent < count && sent - back - lost < UDP_WINDOW) {
			bytes = udp_make(buf, seed, sent++);
			if (send(p.fd, buf, bytes, MSG_NOSIGNAL) < 0)
				die("send: %s", strerror(errno));
			continue;
		}
		if (poll(&p, 1, 1000) <= 0) {
			lost = sent - back;
			if (lost > count / 20)
				die("udp: %llu of %llu did not come back",
				    (unsigned long long)lost,
				    (unsigned long long)sent);
			continue;
		}
		n = recv(p.fd, buf, sizeof(buf), 0);
		if (n < 8)
			die("recv: %s", n < 0 ? strerror(errno) : "short");
		memcpy(&i, buf, 8);
		bytes = udp_make(want, seed, i);
		if (i >= sent || (size_t)n != bytes ||
		    memcmp(buf, want, bytes) != 0)
			die("udp: datagram %llu came back wrong",
			    (unsigned long long)i);
		back++;
	}
	printf("udp: %llu of %llu came back, all checked\n",
	       (unsigned long long)back, (unsigned long long)count);
	return 0;
}

/* Datagrams that tell their number; what became of one does not matter. */
static int ask_command(char **arg)
{
	static struct histogram times;
	static double sent_at[DEPTH_MAX];
	union address a;
	socklen_t length = address(arg[0], arg[1], &a);
	uint64_t bytes = number(arg[2]), depth = number(arg[3]);
	uint64_t sent = 0, back = 0, lost = 0, i;
	double start, until, now;
	char buf[2048] = { 0 };
	struct pollfd p = { .events = POLLIN };

	if (bytes < 8 || bytes > sizeof(buf) || depth == 0 || depth > DEPTH_MAX)
		die("8 to %zu bytes, up to %d under way", sizeof(buf),
		    DEPTH_MAX);
	p.fd = socket_with_timeout(a.any.sa_family, SOCK_DGRAM);
	if (connect(p.fd, &a.any, length))
		die("connect %s: %s", arg[0], strerror(errno));
	start = now = stream_now();
	until = start + strtod(arg[4], NULL);
	while (now < until || sent > back + lost) {
		for (; now < until && sent - back - lost < depth; sent++) {
			memcpy(buf, &sent, 8);
			sent_at[sent % DEPTH_MAX] = stream_now();
			if (send(p.fd, buf, bytes, MSG_NOSIGNAL) < 0)
				die("send: %s", strerror(errno));
		}
		if (poll(&p, 1, 1000) <= 0) {
			lost = sent - back;
			now = stream_now();
			continue;
		}
		while (recv(p.fd, buf, sizeof(buf), MSG_DONTWAIT) >= 8) {
			memcpy(&i, buf, 8);
			if (i >= sent || sent - i > DEPTH_MAX)
				continue;
			back++;
			now = stream_now();
			histogram_add(
				&times,
				(uint64_t)((now - sent_at[i % DEPTH_MAX]) *
					   1e9));
		}
	}
	if (lost > sent / 20)
		die("ask: %llu of %llu did not come back",
		    (unsigned long long)lost, (unsigned long long)sent);
	printf("asks ");
	histogram_print(&times, now - start);
	return 0;
}

static int flood_command(char **arg)
{
	union address a;
	socklen_t length = address(arg[0], arg[1], &a);
	double seconds = strtod(arg[3], NULL), before;
	struct request r = { .magic = MAGIC,
			     .bytes = (uint64_t)(seconds * 1000) };
	int fd = socket_with_timeout(a.any.sa_family, SOCK_STREAM);
	uint64_t bytes, got;

	r.kind = !strcmp(arg[2], "send") ? REQUEST_SINK : REQUEST_SOURCE;
	if (connect(fd, &a.any, length))
		die("connect %s: %s", arg[0], strerror(errno));
	before = stream_now();
	if (!put(fd, &r, sizeof(r)))
		die("request: %s", strerror(errno));
	if (r.kind == REQUEST_SINK) {
		bytes = source(fd, seconds);
		if (!get(fd, &got, sizeof(got)) || got != bytes)
			die("the other end did not get what was sent");
	} else {
		bytes = sink(fd);
	}
	printf("chunks requests %llu seconds %.3f mean_us 0 p50_us 0 p99_us "
	       "0\n",
	       (unsigned long long)(bytes / CHUNK_BYTES),
	       stream_now() - before);
	close(fd);
	return 0;
}

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "";

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!strcmp(command, "serve") && argc == 3)
		return serve_command(argv[2]);
	if (!strcmp(command, "tcp") && argc == 7)
		return tcp_command(argv + 2);
	if (!strcmp(command, "udp") && argc == 6)
		return udp_command(argv + 2);
	if (!strcmp(command, "ask") && argc == 7)
		return ask_command(argv + 2);
	if (!strcmp(command, "flood") && argc == 6)
		return flood_command(argv + 2);
	die("serve PORT, tcp ADDRESS PORT send|recv BYTES SEED, udp ADDRESS "
	    "PORT COUNT SEED, ask ADDRESS PORT BYTES DEPTH SECONDS, flood "
	    "ADDRESS PORT send|recv SECONDS");
}
