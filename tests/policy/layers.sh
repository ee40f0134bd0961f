#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# layers.sh - dependencies point one way, and guest memory has one door
. "$(dirname "$0")/lib.sh"

inc='^[[:space:]]*#[[:space:]]*include[[:space:]]*["<](\.\./)*'

no_match core -- "$inc(models|backends|transports|guest|tools|tests)/" \
	"core/ includes what is built on it"
no_match models -- "$inc(transports|guest|tools|tests)/" \
	"a model includes a transport, or what is built on it"
no_match backends -- "$inc(models|transports|guest|tools|tests)/" \
	"a backend includes a model or a transport"
no_match transports -- "$inc(models|backends|guest|tools|tests)/" \
	"a transport includes a model or a backend"
no_match include -- "$inc(core|models|backends|transports|guest|tools)/" \
	"a public header includes a private one"
# But for the wire format, which both sides speak.
no_match guest -- "$inc(models|backends|tools|tests|transports/[^\"]*/([^p]|p[^r]))" \
	"guest/ includes what is on the other side"

# What the guest can write is reached by the functions and macros of
# core/memory.h.  grep cannot see a dereference, but it sees what makes one
# look innocent: ring structures, host addresses and iovecs used in place.
grep -rnE 'iov_base' core models transports --include='*.[ch]' |
	grep -vE '^core/memory' |
	grep -E '(\*[[:space:]]*\(?[[:space:]]*\([a-z0-9_ ]+\*+\)[^;]*iov_base|mem(cpy|set|move|cmp)\([^;]*iov_base|iov_base\)?[[:space:]]*\[)' \
	>"$tmp/deref" || true
grep -rnE --include='*.[ch]' -e '->host[[:space:]]*(\[|\+[^;]*\))' \
	-e '\*[[:space:]]*\([a-z0-9_ ]+\*\)[^;]*pvio_map_at' \
	core models backends transports |
	grep -vE '^core/memory' >>"$tmp/deref" || true
if [ -s "$tmp/deref" ]; then
	fail "guest memory is dereferenced outside core/memory:"
	cat "$tmp/deref"
fi

# Ordering only through core/barrier.h.
grep -rnE '__sync_|atomic_thread_fence|<stdatomic' --include='*.[ch]' \
	core models backends transports | grep -v '^core/barrier\.h' \
	>"$tmp/order" || true
if [ -s "$tmp/order" ]; then
	fail "memory ordering by hand:"
	cat "$tmp/order"
fi

# No way out of the process: an input must not find one.  The checked flavour
# of memory is for tests, and ends them.
grep -rnE '(^|[^a-z_])(exit|_exit|abort|system|popen|gets|sprintf|vsprintf|alloca)[[:space:]]*\(' \
	--include='*.[ch]' core models backends transports |
	grep -vE '^core/memory-checked\.c|^[^:]*:[0-9]*:[[:space:]]*(/?\*|//)' \
	>"$tmp/calls" || true
if [ -s "$tmp/calls" ]; then
	fail "a call that has no place in the library:"
	cat "$tmp/calls"
fi
exit $failed
