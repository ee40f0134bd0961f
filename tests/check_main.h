/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_main.h - the main() of a Check program
 *
 *	START_TEST(water_is_wet) { ... } END_TEST
 *	CHECK_MAIN("water", setup, teardown, water_is_wet, ...)
 *
 * setup and teardown run around each test; NULL for none.  A suite that needs
 * more than that is run by check_suite().
 */
#ifndef PVIO_TESTS_CHECK_MAIN_H
#define PVIO_TESTS_CHECK_MAIN_H

#include <check.h>
#include <stddef.h>
#include <stdlib.h>

/* Generous: the machine may be slow, and a sanitizer slower. */
#define CHECK_TIMEOUT_S 60

/* Run it: the program's exit status. */
static inline int check_suite(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

static inline int check_run(const char *name, void (*setup)(void),
			    void (*teardown)(void), const TTest *const *tests,
			    size_t nr)
{
	Suite *suite = suite_create(name);
	TCase *tcase = tcase_create(name);
	size_t i;

	tcase_set_timeout(tcase, CHECK_TIMEOUT_S);
	tcase_add_checked_fixture(tcase, setup, teardown);
	for (i = 0; i < nr; i++)
		tcase_add_test(tcase, tests[i]);
	suite_add_tcase(suite, tcase);
	return check_suite(suite);
}

#define CHECK_MAIN(name, setup, teardown, ...)                             \
	int main(void)                                                     \
	{                                                                  \
		const TTest *const tests[] = { __VA_ARGS__ };              \
		return check_run(name, setup, teardown, tests,             \
				 sizeof(tests) / sizeof(tests[0]));        \
	}

#endif
