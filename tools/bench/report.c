/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * report.c - figures by name, as a table or as JSON
 */
#include "report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct report_row {
	char *name;
	const char *unit;
	double *value;
	unsigned int nr; /* 0: absent */
	char *why;
};

struct bench_report {
	const char *title;
	const char *compared; /* unit; NULL: none */
	struct report_row *row;
	unsigned int nr;
	bool no_memory;
};

struct bench_report *bench_report_create(const char *title)
{
	struct bench_report *report = calloc(1, sizeof(*report));

	if (report)
		report->title = title;
	return report;
}

void bench_report_destroy(struct bench_report *report)
{
	unsigned int i;

	if (!report)
		return;
	for (i = 0; i < report->nr; i++) {
		free(report->row[i].name);
		free(report->row[i].value);
		free(report->row[i].why);
	}
	free(report->row);
	free(report);
}

static struct report_row *report_row(struct bench_report *report,
				     const char *name, const char *unit)
{
	struct report_row *row;
	unsigned int i;

	for (i = 0; i < report->nr; i++)
		if (strcmp(report->row[i].name, name) == 0)
			return &report->row[i];

	row = realloc(report->row, (report->nr + 1) * sizeof(*row));
	if (!row)
		return NULL;
	report->row = row;
	row += report->nr;
	row->name = strdup(name);
	if (!row->name)
		return NULL;
	row->unit = unit;
	row->value = NULL;
	row->why = NULL;
	row->nr = 0;
	report->nr++;
	return row;
}

void bench_report_add(struct bench_report *report, const char *name,
		      const char *unit, double value)
{
	struct report_row *row = report_row(report, name, unit);
	double *values = NULL;

	if (row)
		values = realloc(row->value,
				 (row->nr + 1) * sizeof(*row->value));
	if (!values) {
		report->no_memory = true;
		return;
	}
	row->value = values;
	row->value[row->nr++] = value;
}

void bench_report_absent(struct bench_report *report, const char *name,
			 const char *why)
{
	struct report_row *row = report_row(report, name, "");

	if (row)
		row->why = strdup(why);
	if (!row || !row->why)
		report->no_memory = true;
	else
		row->nr = 0;
}

void bench_report_compare(struct bench_report *report, const char *unit)
{
	report->compared = unit;
}

static int report_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double report_median(const struct report_row *row)
{
	unsigned int mid = row->nr / 2;

	return row->nr % 2 ? row->value[mid] :
			     (row->value[mid - 1] + row->value[mid]) / 2;
}

static bool report_is_compared(const struct bench_report *report,
			       const struct report_row *row)
{
	return report->compared && strcmp(row->unit, report->compared) == 0;
}

/* How many times the smallest @row is. */
static double report_ratio(const struct bench_report *report,
			   const struct report_row *row)
{
	double smallest = report_median(row);
	unsigned int i;

	for (i = 0; i < report->nr; i++) {
		const struct report_row *other = &report->row[i];

		if (other->nr && report_is_compared(report, other) &&
		    report_median(other) < smallest)
			smallest = report_median(other);
	}
	return report_median(row) / smallest;
}

static void report_print_json(const struct bench_report *report)
{
	unsigned int i, j;

	printf("{\"benchmark\": \"%s\", \"rows\": [", report->title);
	for (i = 0; i < report->nr; i++) {
		const struct report_row *row = &report->row[i];

		printf("%s\n  {\"name\": \"%s\", ", i ? "," : "", row->name);
		if (row->nr == 0) {
			printf("\"absent\": \"%s\"}", row->why);
			continue;
		}
		printf("\"unit\": \"%s\", \"median\": %.6g, "
		       "\"min\": %.6g, \"max\": %.6g, ",
		       row->unit, report_median(row), row->value[0],
		       row->value[row->nr - 1]);
		if (report_is_compared(report, row))
			printf("\"ratio\": %.3g, ",
			       report_ratio(report, row));
		printf("\"values\": [");
		for (j = 0; j < row->nr; j++)
			printf("%s%.6g", j ? ", " : "", row->value[j]);
		printf("]}");
	}
	printf("\n]}\n");
}

/* Five digits, but no exponent where there are more before the point. */
static void report_print_number(double value)
{
	printf(value < 99999.5 ? "  %10.5g" : "  %10.0f", value);
}

static void report_print_table(const struct bench_report *report)
{
	unsigned int i;
	int width = 4;

	for (i = 0; i < report->nr; i++)
		if ((int)strlen(report->row[i].name) > width)
			width = (int)strlen(report->row[i].name);
	printf("%s\n  %-*s  %10s  %10s  %10s\n", report->title, width, "",
	       "median", "min", "max");
	for (i = 0; i < report->nr; i++) {
		const struct report_row *row = &report->row[i];

		if (row->nr == 0) {
			printf("  %-*s  not on this host: %s\n", width,
			       row->name, row->why);
			continue;
		}
		printf("  %-*s", width, row->name);
		report_print_number(report_median(row));
		report_print_number(row->value[0]);
		report_print_number(row->value[row->nr - 1]);
		printf("  %s", row->unit);
		if (report_is_compared(report, row))
			printf("  x %.2f", report_ratio(report, row));
		printf("\n");
	}
}

int bench_report_print(struct bench_report *report, bool json)
{
	unsigned int i;

	if (report->no_memory)
		return -ENOMEM;
	for (i = 0; i < report->nr; i++) {
		if (report->row[i].nr)
			qsort(report->row[i].value, report->row[i].nr,
			      sizeof(double), report_compare);
	}
	if (json)
		report_print_json(report);
	else
		report_print_table(report);
	return 0;
}
