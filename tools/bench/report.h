/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * report.h - figures by name, as a table or as JSON
 *
 * A benchmark repeats all of its rows in turn (A B C A B C), so that what
 * disturbs the machine disturbs all of them, and adds one figure to each row a
 * round.  The report gives the median and the range.
 */
#ifndef PVIO_BENCH_REPORT_H
#define PVIO_BENCH_REPORT_H

#include <stdbool.h>

struct bench_report;

/* An empty report.  NULL: no memory.  @title is borrowed. */
struct bench_report *bench_report_create(const char *title);
void bench_report_destroy(struct bench_report *report);

/*
 * Add @value, in @unit (borrowed), to the row called @name (copied); rows stand
 * in the order of their first figure.
 */
void bench_report_add(struct bench_report *report, const char *name,
		      const char *unit, double value);

/* A row that stays empty, and why; both are copied. */
void bench_report_absent(struct bench_report *report, const char *name,
			 const char *why);
/*
 * Print, too, how many times the smallest median of the rows in @unit each of
 * them is.
 */
void bench_report_compare(struct bench_report *report, const char *unit);

/* Print it on stdout.  0, or -ENOMEM when figures are missing for that. */
int bench_report_print(struct bench_report *report, bool json);

#endif
