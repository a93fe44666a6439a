// SPDX-License-Identifier: MIT
/*
 * How much an instruction moves, on arm64. Prints those that gf_access_size() has
 * otherwise.
 */
#include "../insn.h"
#include <stdio.h>

#define IS(size, text)	__asm__(".pushsection insns, \"a\"\n\t.arch armv8.5-a\n\t" text	\
				"\n\t.word " #size "\n\t.popsection")

IS(1, "ldrb w0, [x1]");
IS(2, "strh w0, [x1, #2]");
IS(4, "ldrsw x0, [x1]");
IS(8, "ldr x0, [x1], #8");
IS(1, "str b0, [x1, x2]");
IS(4, "ldr s0, [x1, #4]!");
IS(8, "stur d0, [x1, #-3]");
IS(16, "ldr q0, [x1]");
IS(8, "stp w0, w1, [x2]");
IS(8, "ldpsw x0, x1, [x2]");
IS(16, "ldp x0, x1, [x2]");
IS(16, "stp d0, d1, [x2, #-16]!");
IS(32, "ldp q0, q1, [x2]");
IS(4, "ldxr w0, [x1]");
IS(1, "stlxrb w0, w1, [x2]");
IS(16, "ldaxp x0, x1, [x2]");
IS(8, "ldar x0, [x1]");
IS(8, "ldapur x0, [x1]");
IS(4, "ldr w0, . + 8");
IS(8, "ldr x0, . + 8");
IS(16, "ldr q0, . + 8");
IS(16, "ld1 { v0.16b }, [x0]");
IS(32, "ld4 { v0.8b, v1.8b, v2.8b, v3.8b }, [x0]");
IS(4, "ld1 { v0.s }[1], [x0]");
IS(16, "st2 { v0.d, v1.d }[1], [x0]");
IS(2, "ld1r { v0.4h }, [x0]");
IS(16, "casp x0, x1, x2, x3, [x4]");
IS(4, "cas w0, w1, [x2]");
IS(8, "ldaddal x0, x1, [x2]");
IS(1, "swpb w0, w1, [x2]");
IS(0, "add x0, x1, x2");

int main(void)
{
	extern const struct {
		u8 insn[4];
		u32 size;
	} __start_insns[], __stop_insns[];
	int wrong = 0;

	for (u32 i = 0; &__start_insns[i] < __stop_insns; i++) {
		u32 size = gf_access_size(__start_insns[i].insn, 4);

		if (size == __start_insns[i].size)
			continue;
		wrong++;
		printf("instruction %u: %u bytes, not %u\n", i, size, __start_insns[i].size);
	}
	return wrong ? 1 : 0;
}
