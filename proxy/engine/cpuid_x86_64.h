/* SPDX-License-Identifier: MIT */
/* The CPUID table of a core, pure: a KVM's list, completed by what the processor itself says. */
#ifndef PROXY_ENGINE_CPUID_X86_64_H
#define PROXY_ENGINE_CPUID_X86_64_H

#include <linux/kvm.h>
#include <stdint.h>

/* The instruction, on the CPU that the core runs on: EAX, EBX, ECX, EDX. */
typedef void (*cpuid_fn)(uint32_t leaf, uint32_t sub, uint32_t r[4]);

/*
 * Adds to the n entries, of which there may be `max`, what ring 3 can use although KVM does not
 * list it, and takes away what needs state that is not in xcr0, the state enabled in the isle. The
 * number of entries.
 */
unsigned cpuid_complete(struct kvm_cpuid_entry2 *e, unsigned n, unsigned max, cpuid_fn own,
                        uint64_t xcr0);

#endif
