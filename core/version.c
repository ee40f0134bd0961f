/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * version.c - the version of the library
 */
#include "build-config.h"

#include <pvio/pvio.h>

const char *pvio_version(void)
{
	return PACKAGE_VERSION;
}
