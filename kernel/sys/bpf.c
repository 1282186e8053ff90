/* SPDX-License-Identifier: MIT */
/* The instructions are those of linux/bpf_common.h; what is allowed is described in seccomp(2). */
#include "sys/bpf.h"

#include "kernel.h"

/* classes */
#define LD 0x00
#define LDX 0x01
#define ST 0x02
#define STX 0x03
#define ALU 0x04
#define JMP 0x05
#define RET 0x06
#define MISC 0x07
#define CLASS(code) ((code)&7u)
#define OP(code) ((code)&0xf0u)
#define X 0x08 /* the second operand is X, else k */
/* addressing of LD and LDX, of 32 bits */
#define IMM 0x00
#define ABS 0x20
#define MEM 0x60
#define LEN 0x80
/* operations of ALU */
#define ADD 0x00
#define SUB 0x10
#define MUL 0x20
#define DIV 0x30
#define OR 0x40
#define AND 0x50
#define LSH 0x60
#define RSH 0x70
#define NEG 0x80
#define XOR 0xa0
/* of JMP */
#define JA 0x00
#define JEQ 0x10
#define JGT 0x20
#define JGE 0x30
#define JSET 0x40
#define RET_A 0x10
#define TAX 0x00
#define TXA 0x80

#define CELLS 16u
#define PROLOGUE 3u

static bool is_branch(u32 code)
{
    return CLASS(code) == JMP && OP(code) != JA;
}

/* One instruction by itself; `after`: how many follow it. */
static bool insn_ok(const struct lull_insn *i, u32 after)
{
    switch (i->code) {
    case LD | ABS:
        return i->k < sizeof(struct seccomp_data) && !(i->k & 3);
    case LD | MEM:
    case LDX | MEM:
    case ST:
    case STX:
        return i->k < CELLS;
    case ALU | DIV:
        return i->k != 0;
    case ALU | LSH:
    case ALU | RSH:
        return i->k < 32;
    case JMP | JA:
        return i->k < after;
    case JMP | JEQ:
    case JMP | JEQ | X:
    case JMP | JGT:
    case JMP | JGT | X:
    case JMP | JGE:
    case JMP | JGE | X:
    case JMP | JSET:
    case JMP | JSET | X:
        return i->jt < after && i->jf < after;
    case LD | LEN:
    case LDX | LEN:
    case LD | IMM:
    case LDX | IMM:
    case ALU | ADD:
    case ALU | ADD | X:
    case ALU | SUB:
    case ALU | SUB | X:
    case ALU | MUL:
    case ALU | MUL | X:
    case ALU | DIV | X:
    case ALU | AND:
    case ALU | AND | X:
    case ALU | OR:
    case ALU | OR | X:
    case ALU | XOR:
    case ALU | XOR | X:
    case ALU | LSH | X:
    case ALU | RSH | X:
    case ALU | NEG:
    case MISC | TAX:
    case MISC | TXA:
    case RET:
    case RET | RET_A:
        return true;
    default:
        return false;
    }
}

/*
 * Whether no cell of memory is read before it is written, on any way. Jumps lead forward only:
 * valid[i] is what all jumps to instruction i agree on.
 */
static bool cells_ok(const struct lull_insn *insn, u32 n, u16 *valid)
{
    u16 now = 0;
    memset(valid, 0xff, n * sizeof *valid);
    for (u32 i = 0; i < n; i++) {
        const struct lull_insn *p = &insn[i];
        now &= valid[i];
        if (p->code == ST || p->code == STX) {
            now |= (u16)(1u << p->k);
        } else if (p->code == (LD | MEM) || p->code == (LDX | MEM)) {
            if (!(now & 1u << p->k))
                return false;
        } else if (p->code == (JMP | JA)) {
            valid[i + 1 + p->k] &= now;
            now = 0xffff;
        } else if (is_branch(p->code)) {
            valid[i + 1 + p->jt] &= now;
            valid[i + 1 + p->jf] &= now;
            now = 0xffff;
        }
    }
    return true;
}

bool bpf_check(const struct lull_insn *insn, u32 n, u16 *scratch)
{
    for (u32 i = 0; i < n; i++) {
        if (!insn_ok(&insn[i], n - i - 1))
            return false;
    }
    return CLASS(insn[n - 1].code) == RET && cells_ok(insn, n, scratch);
}

/* Jumps whose condition Linux's own instructions can turn round. */
static bool can_be_reversed(u32 code)
{
    return OP(code) != JSET;
}

u32 bpf_size(const struct lull_insn *insn, u32 n)
{
    u32 size = PROLOGUE;
    for (const struct lull_insn *i = insn; i < insn + n; i++) {
        size++;
        if (i->code == (ALU | DIV | X)) /* division by zero is looked for */
            size += 4;
        if (i->code == RET) /* and its value */
            size++;
        if (!is_branch(i->code))
            continue;
        if (!(i->code & X) && i->k >> 31) /* the operand would be negative */
            size++;
        if (i->jf && (i->jt || !can_be_reversed(i->code)))
            size++;
    }
    return size;
}

static u32 alu(u32 op, u32 a, u32 b)
{
    switch (op) {
    case ADD:
        return a + b;
    case SUB:
        return a - b;
    case MUL:
        return a * b;
    case DIV:
        return a / b;
    case OR:
        return a | b;
    case AND:
        return a & b;
    case XOR:
        return a ^ b;
    case LSH:
        return a << (b & 31);
    case RSH:
        return a >> (b & 31);
    default:
        return -a; /* NEG */
    }
}

static bool holds(u32 op, u32 a, u32 b)
{
    switch (op) {
    case JEQ:
        return a == b;
    case JGT:
        return a > b;
    case JGE:
        return a >= b;
    default:
        return a & b; /* JSET */
    }
}

u32 bpf_run(const struct lull_insn *insn, const struct seccomp_data *data)
{
    u32 a = 0, x = 0, mem[CELLS] = {0};
    for (const struct lull_insn *i = insn;; i++) {
        u32 b = i->code & X ? x : i->k;
        switch (i->code) {
        case LD | ABS:
            memcpy(&a, (const char *)data + i->k, sizeof a);
            continue;
        case LD | LEN:
            a = sizeof *data;
            continue;
        case LDX | LEN:
            x = sizeof *data;
            continue;
        case LD | IMM:
            a = i->k;
            continue;
        case LDX | IMM:
            x = i->k;
            continue;
        case LD | MEM:
            a = mem[i->k];
            continue;
        case LDX | MEM:
            x = mem[i->k];
            continue;
        case ST:
            mem[i->k] = a;
            continue;
        case STX:
            mem[i->k] = x;
            continue;
        case MISC | TAX:
            x = a;
            continue;
        case MISC | TXA:
            a = x;
            continue;
        case RET:
            return i->k;
        case RET | RET_A:
            return a;
        case JMP | JA:
            i += i->k;
            continue;
        default:
            break;
        }
        if (CLASS(i->code) == JMP)
            i += holds(OP(i->code), a, b) ? i->jt : i->jf;
        else if (i->code == (ALU | DIV | X) && !b)
            return 0;
        else
            a = alu(OP(i->code), a, b);
    }
}
