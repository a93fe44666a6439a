// SPDX-License-Identifier: GPL-2.0
/*
 * A plugin for qemu (7.2, plugin interface version 1) that counts how often each
 * block of translated code runs between two calls of the address MARK by the
 * guest. It writes lines "ADDRESS INSTRUCTIONS RUNS" (16 hexadecimal digits,
 * decimal, decimal), of which bench/profile makes a table by function.
 *
 * arguments: out=FILE
 *
 * Debian's qemu has the plugin interface, but Debian packages no header, so the
 * declarations are copied from the documentation.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_info_t;
enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };
typedef void (*tb_trans_cb)(qemu_plugin_id_t id, struct qemu_plugin_tb *tb);
typedef void (*vcpu_udata_cb)(unsigned int vcpu, void *userdata);
typedef void (*udata_cb)(qemu_plugin_id_t id, void *userdata);

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, tb_trans_cb cb);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb, vcpu_udata_cb cb,
					  enum qemu_plugin_cb_flags flags, void *userdata);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, udata_cb cb, void *userdata);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);

#define EXPORT __attribute__((visibility("default")))
EXPORT int qemu_plugin_version = 1;
EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info_t *info, int argc,
			       char **argv);

#define MARK 0x13370000	/* as in profile-guest.c */

/* No locks, because there is one CPU. If code is translated again, add a block. */
struct block {
	struct block *next;
	uint64_t addr;
	uint64_t instructions;
	uint64_t runs;
};

static struct block *blocks;
static bool counting;
static const char *out;

static void run(unsigned int vcpu, void *userdata)
{
	struct block *block = userdata;

	(void)vcpu;
	if (block->addr == MARK)
		counting = !counting;
	else if (counting)
		block->runs++;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	struct block *block = calloc(1, sizeof(*block));

	(void)id;
	if (!block)
		abort();
	block->addr = qemu_plugin_tb_vaddr(tb);
	block->instructions = qemu_plugin_tb_n_insns(tb);
	block->next = blocks;
	blocks = block;
	qemu_plugin_register_vcpu_tb_exec_cb(tb, run, QEMU_PLUGIN_CB_NO_REGS, block);
}

static void end(qemu_plugin_id_t id, void *userdata)
{
	struct block *block;
	FILE *f;

	(void)id;
	(void)userdata;
	f = fopen(out, "w");
	if (!f) {
		perror(out);
		return;
	}
	for (block = blocks; block; block = block->next)
		if (block->runs)
			fprintf(f, "%016llx %llu %llu\n", (unsigned long long)block->addr,
				(unsigned long long)block->instructions,
				(unsigned long long)block->runs);
	/* Tells bench/profile that the output is complete. */
	fprintf(f, "end\n");
	if (fclose(f))
		perror(out);
}

int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info_t *info, int argc, char **argv)
{
	int i;

	(void)info;
	for (i = 0; i < argc; i++)
		if (!strncmp(argv[i], "out=", 4))
			out = strdup(argv[i] + 4);
	if (!out) {
		fprintf(stderr, "profile-plugin: out=FILE is missing\n");
		return -1;
	}
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	qemu_plugin_register_atexit_cb(id, end, NULL);
	return 0;
}
