/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include "engine/cpuid_x86_64.h"

#define MAX 64

/* A processor with LZCNT, RDTSCP, RDPID, AVX-512, AMX and protection keys, two threads a core. */
static const struct {
    uint32_t leaf, sub, r[4];
} processor[] = {
    {0, 0, {0x1f, 0x756e6547, 0x6c65746e, 0x49656e69}},
    {1, 0, {0xa06f1, 0x05020800, 0xfffa3203, 0x178bfbff}},
    {4, 0, {0x121, 0x02c0003f, 0x3f, 0}},
    {4, 1, {0x143, 0x03c0003f, 0x7ff, 0}},
    {7, 0, {1, 0xf1bf07ab, 0x00405fde, 0x03400010}},
    {7, 1, {0x30, 0, 0, 0}},
    {0xb, 0, {1, 2, 0x100, 5}},
    {0xb, 1, {4, 8, 0x201, 5}},
    {0xb, 2, {0, 0, 2, 5}},
    {0xd, 0, {0x602e7, 0xa88, 0x2b00, 0}},
    {0xd, 1, {0x1f, 0x2a80, 0x1800, 0}},
    {0xd, 2, {0x100, 0x240, 0, 0}},
    {0xd, 5, {0x40, 0x440, 0, 0}},
    {0xd, 6, {0x200, 0x480, 0, 0}},
    {0xd, 7, {0x400, 0x680, 0, 0}},
    {0xd, 9, {8, 0xa80, 0, 0}},
    {0xd, 18, {0x2000, 0xb00, 6, 0}},
    {0x1f, 0, {1, 2, 0x100, 5}},
    {0x1f, 1, {0, 0, 1, 5}},
    {0x80000000, 0, {0x80000008, 0, 0, 0}},
    {0x80000001, 0, {0, 0, 0x121, 0x2c100800}},
    {0x80000002, 0, {0x65746e49, 1, 2, 3}},
    {0x80000008, 0, {0x3039, 1, 0, 0}},
};

static void own(uint32_t leaf, uint32_t sub, uint32_t r[4])
{
    memset(r, 0, 4 * sizeof *r);
    for (size_t i = 0; i < sizeof processor / sizeof *processor; i++)
        if (processor[i].leaf == leaf && processor[i].sub == sub)
            memcpy(r, processor[i].r, 4 * sizeof *r);
}

static struct kvm_cpuid_entry2 list[MAX];
static unsigned count;

static const struct kvm_cpuid_entry2 *at(uint32_t leaf, uint32_t sub)
{
    static const struct kvm_cpuid_entry2 none;
    for (unsigned i = 0; i < count; i++)
        if (list[i].function == leaf && list[i].index == sub)
            return &list[i];
    return &none;
}

/* A KVM that lists next to nothing. */
static void complete(uint64_t xcr0)
{
    memset(list, 0, sizeof list);
    list[0] = (struct kvm_cpuid_entry2){.function = 0, .eax = 0xd};
    list[1] = (struct kvm_cpuid_entry2){.function = 1, .ecx = 0x81202000, .edx = 0x078bfbff};
    list[2] = (struct kvm_cpuid_entry2){
        .function = 7, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX, .ecx = 0x18, .edx = 0x20000000};
    list[3] = (struct kvm_cpuid_entry2){
        .function = 0xd, .index = 18, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX, .eax = 0x2000};
    list[4] = (struct kvm_cpuid_entry2){.function = 0x80000000, .eax = 0x80000001};
    list[5] = (struct kvm_cpuid_entry2){.function = 0x80000001, .edx = 0x20100800};
    count = cpuid_complete(list, 6, MAX, own, xcr0);
}

static void what_ring_3_can_use_is_shown(void **state)
{
    (void)state;
    complete(0xe7);
    assert_true(at(0x80000001, 0)->ecx >> 5 & 1);             /* LZCNT */
    assert_true(at(0x80000001, 0)->edx >> 27 & 1);            /* RDTSCP */
    assert_true(at(7, 0)->ecx >> 22 & 1);                     /* RDPID */
    assert_int_equal(at(1, 0)->ecx & 0x18000000, 0x18000000); /* OSXSAVE, AVX */
    assert_int_equal(at(7, 0)->ebx, 0xf1af0329);
    assert_int_equal(at(7, 0)->edx, 0x20000010); /* FSRM; KVM's own stays */
    assert_int_equal(at(7, 0)->eax, 1);
    assert_int_equal(at(7, 1)->eax, 0x30);
    assert_int_equal(at(0, 0)->eax, 0x1f);
    assert_int_equal(at(0x80000000, 0)->eax, 0x80000008);
    assert_int_equal(at(0x80000002, 0)->eax, 0x65746e49);
}

static void what_needs_state_that_is_not_there_is_not(void **state)
{
    (void)state;
    complete(0xe7);
    assert_int_equal(at(7, 0)->ecx & 0x18, 0);       /* protection keys */
    assert_int_equal(at(7, 0)->edx & 0x03400000, 0); /* AMX */
    assert_int_equal(at(0xd, 0)->eax, 0xe7);
    assert_int_equal(at(0xd, 0)->ecx, 0xa80);
    assert_int_equal(at(0xd, 18)->eax, 0);
    assert_int_equal(at(0xd, 1)->ebx, 0x240 + 0x100 + 0x40 + 0x200 + 0x400);
    complete(7);
    assert_int_equal(at(7, 0)->ebx & 0xdc230000, 0); /* AVX-512 */
    assert_true(at(7, 0)->ebx >> 5 & 1);
    assert_int_equal(at(7, 1)->eax, 0x10);
    assert_int_equal(at(0xd, 0)->ecx, 0x340);
    complete(3);
    assert_false(at(7, 0)->ebx >> 5 & 1);
    assert_int_equal(at(1, 0)->ecx & 0x30001000, 0);
}

static void topology_is_that_of_the_cpu(void **state)
{
    (void)state;
    complete(0xe7);
    for (uint32_t sub = 0; sub < 3; sub++) {
        uint32_t r[4];
        own(0xb, sub, r);
        assert_int_equal(at(0xb, sub)->eax, r[0]);
        assert_int_equal(at(0xb, sub)->ebx, r[1]);
        assert_int_equal(at(0xb, sub)->ecx, r[2]);
        assert_int_equal(at(0xb, sub)->edx, 5);
    }
    assert_int_equal(at(1, 0)->ebx, 0x05020800);
    assert_int_equal(at(0x1f, 0)->ebx, 2);
    assert_int_equal(at(4, 1)->ebx, 0x03c0003f);
}

static void a_full_list_stays_as_it_is(void **state)
{
    (void)state;
    memset(list, 0, sizeof list);
    list[0] = (struct kvm_cpuid_entry2){.function = 0, .eax = 0xd};
    assert_int_equal(cpuid_complete(list, 1, 1, own, 0xe7), 1);
    assert_int_equal(list[0].eax, 0x1f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_ring_3_can_use_is_shown),
        cmocka_unit_test(what_needs_state_that_is_not_there_is_not),
        cmocka_unit_test(topology_is_that_of_the_cpu),
        cmocka_unit_test(a_full_list_stays_as_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
