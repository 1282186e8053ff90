/* SPDX-License-Identifier: MIT */
#include "sys/insn.h"

enum form {
    UNKNOWN = 0,
    TO_RM,    /* op r/m, reg: r/m changes */
    TO_REG,   /* op reg, r/m: reg changes */
    TO_NONE,  /* compares */
    TO_OTHER, /* a vector register or memory changes */
};

struct op {
    u8 form;
    u8 imm; /* bytes of immediate */
};

static struct op one_byte(u8 o, u8 reg_field)
{
    switch (o) {
    case 0x01:
    case 0x09:
    case 0x21:
    case 0x29:
    case 0x31:
    case 0x88:
    case 0x89:
        return (struct op){TO_RM, 0};
    case 0x03:
    case 0x0b:
    case 0x23:
    case 0x2b:
    case 0x33:
    case 0x63:
    case 0x8a:
    case 0x8b:
    case 0x8d:
        return (struct op){TO_REG, 0};
    case 0x39:
    case 0x3b:
    case 0x84:
    case 0x85:
        return (struct op){TO_NONE, 0};
    case 0x80:
    case 0x83:
    case 0xc0:
    case 0xc1:
    case 0xc6:
        return (struct op){TO_RM, 1};
    case 0x81:
    case 0xc7:
        return (struct op){TO_RM, 4};
    case 0xf7: /* not, neg; the others of the group touch eax or have an immediate */
        return (struct op){reg_field == 2 || reg_field == 3 ? TO_RM : UNKNOWN, 0};
    default:
        return (struct op){UNKNOWN, 0};
    }
}

static struct op two_byte(u8 o)
{
    if ((o & 0xf0) == 0x90) /* setcc */
        return (struct op){TO_RM, 0};
    if ((o & 0xf0) == 0x40 || o == 0xb6 || o == 0xb7 || o == 0xbe || o == 0xbf) /* cmovcc, movzx */
        return (struct op){TO_REG, 0};
    switch (o) {
    case 0x10:
    case 0x11:
    case 0x28:
    case 0x29: /* movups, movaps and 66 forms */
    case 0x6c:
    case 0x6e:
    case 0x6f:
    case 0x7f:
    case 0xd6: /* punpcklqdq, movd, movdqa, movq */
        return (struct op){TO_OTHER, 0};
    case 0x1f:
        return (struct op){TO_NONE, 0};
    default:
        return (struct op){UNKNOWN, 0};
    }
}

struct insn insn_decode(const u8 *p, u64 room)
{
    static const struct insn unknown;
    struct insn in = {0};
    u8 at = 0, rex = 0;
    bool wide16 = false;
    if (room < 15 && room < 2)
        return unknown;
    if (p[at] == 0x66) {
        wide16 = true;
        at++;
    }
    if ((p[at] & 0xf0) == 0x40)
        rex = p[at++];
    u8 o = p[at++];
    if ((o & 0xf8) == 0xb8) { /* mov $imm, reg */
        in.len = at + (rex & 8 ? 8 : wide16 ? 2 : 4);
        in.sets_ax = o == 0xb8 && !(rex & 1);
        return in.len <= room ? in : unknown;
    }
    struct op op;
    if (o == 0x0f) {
        op = two_byte(p[at++]);
    } else {
        op = one_byte(o, p[at] >> 3 & 7);
    }
    if (op.form == UNKNOWN || (wide16 && o != 0x0f))
        return unknown;
    u8 modrm = p[at++], mod = modrm >> 6, reg = (u8)((modrm >> 3 & 7) | (rex & 4) << 1),
       rm = modrm & 7;
    if (mod != 3 && rm == 4) { /* SIB */
        u8 sib = p[at++];
        if (mod == 0 && (sib & 7) == 5)
            at += 4;
    } else if (mod == 0 && rm == 5) {
        in.rip_disp = at;
        at += 4;
    }
    at += mod == 1 ? 1 : mod == 2 ? 4 : 0;
    bool byte_high = !rex && (o == 0x88 || o == 0x80 || o == 0xc0 || o == 0xc6 || o == 0x0f) &&
                     mod == 3 && rm == 4; /* ah */
    in.sets_ax = (op.form == TO_RM && mod == 3 && (rm | (rex & 1) << 3) == 0) ||
                 (op.form == TO_REG && (reg == 0 || (o == 0x8a && !rex && reg == 4))) ||
                 (op.form == TO_RM && byte_high);
    in.len = at + op.imm;
    return in.len <= room ? in : unknown;
}
