// SPDX-License-Identifier: MIT
/*
 * What an instruction does to memory.
 */
#include "insn.h"

/*
 * How many bytes an instruction moves. Not a disassembler: the opcode and its
 * prefixes say it. 0 if they don't.
 */
#if defined(__x86_64__)

static u32 size_0f(u8 op, u8 pp, bool w, u32 vec, u32 opsize, u8 modrm)
{
	u32 scalar = pp == 0xf3 ? 4 : pp == 0xf2 ? 8 : vec;

	switch (op) {
	case 0x10: case 0x11: case 0x51: case 0x52: case 0x53: case 0x58: case 0x59:
	case 0x5c: case 0x5d: case 0x5e: case 0x5f: case 0xc2:
		return scalar;
	case 0x12: case 0x13: case 0x16: case 0x17: case 0xd6:
		return pp == 0xf3 ? vec : 8;
	case 0x14: case 0x15: case 0x28: case 0x29: case 0x2b: case 0x54 ... 0x57: case 0xc6:
	case 0x5b: case 0xe7: case 0xf0:
		return vec;
	case 0x2a:
		return pp ? (w ? 8 : 4) : 8;
	case 0x2c: case 0x2d:
		return pp == 0xf3 ? 4 : 8;
	case 0x2e: case 0x2f:
		return pp == 0x66 ? 8 : 4;
	case 0x5a:
		return pp == 0xf3 ? 4 : pp == 0xf2 ? 8 : pp ? vec : vec / 2;
	case 0x6e:
		return w ? 8 : 4;
	case 0x7e:
		return pp == 0xf3 || w ? 8 : 4;
	case 0x6f: case 0x7f:
		return pp ? vec : 8;
	case 0xe6:
		return pp == 0xf3 ? 8 : vec;
	case 0x60 ... 0x6d: case 0x70 ... 0x76: case 0xd0 ... 0xd5: case 0xd8 ... 0xe5:
	case 0xe8 ... 0xef: case 0xf1 ... 0xfe:
		return pp == 0x66 ? vec : 8;
	case 0x40 ... 0x4f: case 0xa3: case 0xa4: case 0xa5: case 0xab: case 0xac: case 0xad:
	case 0xaf: case 0xb1: case 0xb3: case 0xb8: case 0xba: case 0xbb: case 0xbc: case 0xbd:
	case 0xc1: case 0xc3:
		return opsize;
	case 0x90 ... 0x9f: case 0xb0: case 0xb6: case 0xbe: case 0xc0:
		return 1;
	case 0xb7: case 0xbf:
		return 2;
	case 0xc7:
		return (modrm >> 3 & 7) == 1 ? (w ? 16 : 8) : 0;
	}
	return 0;
}

static u32 size_0f38(u8 op, u8 pp, u32 vec, u32 opsize)
{
	switch (op) {
	case 0xf0: case 0xf1:
		return pp == 0xf2 ? (op == 0xf0 ? 1 : opsize) : opsize;
	case 0x18: case 0x58:
		return 4;
	case 0x19: case 0x59:
		return 8;
	case 0x1a: case 0x5a:
		return 16;
	case 0x78:
		return 1;
	case 0x79:
		return 2;
	case 0x20: case 0x23: case 0x25: case 0x30: case 0x33: case 0x35:
		return vec / 2;
	case 0x21: case 0x24: case 0x31: case 0x34:
		return vec / 4;
	case 0x22: case 0x32:
		return vec / 8;
	case 0xf2: case 0xf3: case 0xf5: case 0xf6: case 0xf7:
		return opsize;
	}
	return vec;
}

u32 gf_access_size(const u8 *insn, u32 len)
{
	static const u8 vex_pp[] = { 0, 0x66, 0xf3, 0xf2 };
	u8 pp = 0, rep = 0, op, modrm, map = 0;
	bool w = false, o66 = false, is_vex = false;
	u32 i = 0, opsize, vec = 16;

#define NEXT() (i < len ? insn[i++] : 0)
	for (; i < len; i++) {
		u8 b = insn[i];

		if (b == 0x66)
			o66 = true;
		else if (b == 0xf2 || b == 0xf3)
			rep = b;
		else if (b != 0xf0 && b != 0x67 && b != 0x64 && b != 0x65 && b != 0x2e &&
			 b != 0x36 && b != 0x3e && b != 0x26)
			break;
	}
	if (i >= len)
		return 0;
	op = NEXT();
	if ((op & 0xf0) == 0x40) {
		w = op & 8;
		op = NEXT();
	}
	pp = rep ? rep : o66 ? 0x66 : 0;
	if (op == 0xc5) {
		u8 b = NEXT();

		is_vex = true;
		map = 1;
		pp = vex_pp[b & 3];
		vec = b & 4 ? 32 : 16;
		op = NEXT();
	} else if (op == 0xc4) {
		u8 b1 = NEXT(), b2 = NEXT();

		is_vex = true;
		map = b1 & 31;
		pp = vex_pp[b2 & 3];
		w = b2 & 0x80;
		vec = b2 & 4 ? 32 : 16;
		op = NEXT();
	} else if (op == 0x62) {
		u8 b1 = NEXT(), b2 = NEXT(), b3 = NEXT();

		is_vex = true;
		map = b1 & 7;
		pp = vex_pp[b2 & 3];
		w = b2 & 0x80;
		vec = 16 << (b3 >> 5 & 3);
		op = NEXT();
	} else if (op == 0x0f) {
		map = 1;
		op = NEXT();
		if (op == 0x38 || op == 0x3a) {
			map = op == 0x38 ? 2 : 3;
			op = NEXT();
		}
	}
	modrm = i < len ? insn[i] : 0;
	opsize = w ? 8 : o66 && !is_vex ? 2 : 4;
#undef NEXT
	if (map == 1)
		return size_0f(op, pp, w, vec, opsize, modrm);
	if (map == 2)
		return size_0f38(op, pp, vec, opsize);
	if (map == 3)
		return vec;
	if (map)
		return 0;
	if (op < 0x40)
		return (op & 7) < 4 ? (op & 1 ? opsize : 1) : 0;
	switch (op) {
	case 0x50 ... 0x5f: case 0x68: case 0x6a: case 0x8f: case 0xc3: case 0xe8:
		return 8;
	case 0x63:
		return 4;
	case 0x69: case 0x6b: case 0x81: case 0x83: case 0x85: case 0x87: case 0x89: case 0x8b:
	case 0xa1: case 0xa3: case 0xa5: case 0xa7: case 0xab: case 0xad: case 0xaf:
	case 0xc1: case 0xc7: case 0xd1: case 0xd3: case 0xf7:
		return opsize;
	case 0x80: case 0x84: case 0x86: case 0x88: case 0x8a: case 0xa0: case 0xa2: case 0xa4:
	case 0xa6: case 0xaa: case 0xac: case 0xae: case 0xc0: case 0xc6: case 0xd0: case 0xd2:
	case 0xd7: case 0xf6: case 0xfe:
		return 1;
	case 0x8c: case 0x8e:
		return 2;
	case 0xff:
		return (modrm >> 3 & 7) < 2 ? opsize : 8;
	case 0xd8: case 0xda:
		return 4;
	case 0xdc:
		return 8;
	case 0xde:
		return 2;
	case 0xd9:
		return (modrm >> 3 & 7) < 4 ? 4 : (modrm >> 3 & 1) ? 2 : 28;
	case 0xdb:
		return (modrm >> 3 & 7) < 4 ? 4 : 10;
	case 0xdd:
		return (modrm >> 3 & 7) < 4 ? 8 : (modrm >> 3 & 7) == 7 ? 2 : 0;
	case 0xdf:
		return (modrm >> 3 & 7) < 4 ? 2 : (modrm >> 3 & 1) ? 8 : 10;
	}
	return 0;
}

#else

/* LD1 to LD4, ST1 to ST4: of whole registers, and of one element of each */
static u32 size_structures(u32 insn)
{
	static const u8 registers[16] = { [0] = 4, [2] = 4, [4] = 3, [6] = 3, [7] = 1, [8] = 2, [10] = 2 };
	u32 scale = insn >> 14 & 3, elements = (insn >> 12 & 2) + (insn >> 21 & 1) + 1;

	if (!(insn >> 24 & 1))
		return registers[insn >> 12 & 15] * (8 << (insn >> 30 & 1));
	if (scale == 3)		/* to all elements */
		scale = insn >> 10 & 3;
	else if (scale == 2 && insn >> 10 & 1)
		scale = 3;
	return elements << scale;
}

/* By the table "Loads and Stores" of the architecture: bits 29-27 are the kind */
u32 gf_access_size(const u8 *bytes, u32 len)
{
	u32 insn, size, vector, middle;

	if (len < 4)
		return 0;
	insn = bytes[0] | bytes[1] << 8 | bytes[2] << 16 | (u32)bytes[3] << 24;
	size = insn >> 30;
	vector = insn >> 26 & 1;
	middle = insn >> 24 & 3;
	switch (insn >> 27 & 7) {
	case 1:
		if (vector)
			return size & 2 ? 0 : size_structures(insn);
		/* Exclusive, ordered, compare and swap: bit 21 is for pairs, or CAS */
		if (middle)
			return 0;
		return insn >> 21 & 1 && !(insn >> 23 & 1) ? 8 << (size & 1) : 1 << size;
	case 3:
		if (middle)
			return vector || middle != 1 || insn >> 10 & 3 ? 0 : 1 << size;
		return vector ? 4 << size : size == 1 ? 8 : size == 3 ? 0 : 4;
	case 5:
		return vector ? 8 << size : size & 2 ? 16 : 8;
	case 7:
		return 1 << (vector ? (insn >> 23 & 1) << 2 | size : size);
	}
	return 0;
}

#endif
