/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * log.c - one process-wide sink, and what must happen before a message gets
 * there
 *
 * A message is formatted into a buffer on the stack, made safe for terminals
 * and line-oriented files - everything that is not printable ASCII becomes
 * \xNN, so a guest that names its disk "a\n<3>kernel panic" forges nothing -
 * and given to the sink.
 *
 * The sink is read under a reader lock, so that pvio_log_set() returns only
 * when no thread uses the sink it replaced.
 */
#include "log.h"

#include "barrier.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>

#define LOG_MESSAGE_BYTES 1024
#define NS_PER_MESSAGE	  1000000000LL

static const char *const log_level_names[] = {
	[PVIO_LOG_ERROR] = "error",
	[PVIO_LOG_WARNING] = "warning",
	[PVIO_LOG_INFO] = "info",
	[PVIO_LOG_DEBUG] = "debug",
};

static void log_to_stderr(void *arg, enum pvio_log_level level,
			  const char *message)
{
	(void)arg;
	fprintf(stderr, "pvio: %s: %s\n", log_level_names[level], message);
}

static struct {
	pthread_rwlock_t lock; /* fn, arg */
	pvio_log_fn *fn;
	void *arg;
	int level; /* atomic: messages nobody wants cost one load */
} log_sink = {
	.lock = PTHREAD_RWLOCK_INITIALIZER,
	.fn = log_to_stderr,
	.level = PVIO_LOG_WARNING,
};

void pvio_log_set(pvio_log_fn *fn, void *arg, enum pvio_log_level level)
{
	pthread_rwlock_wrlock(&log_sink.lock);
	log_sink.fn = fn ? fn : log_to_stderr;
	log_sink.arg = fn ? arg : NULL;
	pvio_store_once(&log_sink.level,
			fn ? (int)level : (int)PVIO_LOG_WARNING);
	pthread_rwlock_unlock(&log_sink.lock);
}

/* Copy @in to @out with all but printable ASCII as \xNN; cut what is too long. */
static void log_escape(char *out, size_t size, const char *in)
{
	static const char hex[] = "0123456789abcdef";
	char *end = out + size - sizeof("\\xNN...");

	for (; *in && out < end; in++) {
		unsigned char c = (unsigned char)*in;

		if (c >= 0x20 && c < 0x7f) {
			*out++ = (char)c;
			continue;
		}
		*out++ = '\\';
		*out++ = 'x';
		*out++ = hex[c >> 4];
		*out++ = hex[c & 15];
	}
	if (*in) {
		*out++ = '.';
		*out++ = '.';
		*out++ = '.';
	}
	*out = '\0';
}

static bool log_wants(enum pvio_log_level level)
{
	return (int)level <= pvio_load_once(&log_sink.level);
}

static void pvio_printf(3, 0)
log_message(enum pvio_log_level level, uint32_t dropped, const char *fmt,
	    va_list ap)
{
	char raw[LOG_MESSAGE_BYTES], text[LOG_MESSAGE_BYTES];
	size_t used = 0;

	if (dropped)
		used = (size_t)snprintf(raw, sizeof(raw),
					"(%u messages dropped) ", dropped);
	vsnprintf(raw + used, sizeof(raw) - used, fmt, ap);
	log_escape(text, sizeof(text), raw);

	pthread_rwlock_rdlock(&log_sink.lock);
	log_sink.fn(log_sink.arg, level, text);
	pthread_rwlock_unlock(&log_sink.lock);
}

void pvio_log(enum pvio_log_level level, const char *fmt, ...)
{
	va_list ap;

	if (!log_wants(level))
		return;
	va_start(ap, fmt);
	log_message(level, 0, fmt, ap);
	va_end(ap);
}

/*
 * Take one token.  The bucket is one number: tokens have gathered, one a
 * second, since @tokens_at_ns, and no more than PVIO_LOG_BURST of them.
 */
static bool log_limit_take(struct pvio_log_limit *limit)
{
	const int64_t full = PVIO_LOG_BURST * NS_PER_MESSAGE;
	uint64_t now = pvio_now_ns();
	uint64_t seen = pvio_load_once(&limit->tokens_at_ns);
	uint64_t since;

	do {
		since = seen;
		/*
		 * Never used, or idle long enough to be full.  Differences are
		 * signed: another thread may be ahead of our clock reading.
		 */
		if (since == 0 || (int64_t)(now - since) > full)
			since = now - (uint64_t)full;
		if ((int64_t)(now - since) < NS_PER_MESSAGE)
			return false;
	} while (!__atomic_compare_exchange_n(
		&limit->tokens_at_ns, &seen,
		since + (uint64_t)NS_PER_MESSAGE, false,
		__ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return true;
}

void pvio_log_limited(struct pvio_log_limit *limit, enum pvio_log_level level,
		      const char *fmt, ...)
{
	uint32_t dropped;
	va_list ap;

	if (!log_wants(level))
		return;
	if (!log_limit_take(limit)) {
		__atomic_fetch_add(&limit->dropped, 1, __ATOMIC_RELAXED);
		return;
	}
	dropped = __atomic_exchange_n(&limit->dropped, 0, __ATOMIC_RELAXED);
	va_start(ap, fmt);
	log_message(level, dropped, fmt, ap);
	va_end(ap);
}
