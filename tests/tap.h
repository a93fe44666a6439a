/* SPDX-License-Identifier: GPL-2.0 */
/* TAP for test programs of one file: tap() prints a result and counts it. */
#ifndef TESTS_TAP_H
#define TESTS_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

static int count, failed;

static void __attribute__((format(printf, 2, 3))) tap(bool good, const char *fmt, ...)
{
	va_list args;

	printf("%sok %d - ", good ? "" : "not ", ++count);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	putchar('\n');
	/* The guest may die with the next one. */
	fflush(stdout);
	failed += !good;
}

#endif /* TESTS_TAP_H */
