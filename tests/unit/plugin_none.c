/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * plugin_none.c - a shared object that is no plug-in
 */
int unrelated(void);

int unrelated(void)
{
	return 1;
}
