/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <errno.h>
#include <sched.h>

#include "report/report.h"

/* CPU 2 is offline; Linux then has no column for it. */
static const char before[] =
    "           CPU0       CPU1       CPU3       \n"
    " 24:         10          0          4  IO-APIC   5-edge      ACPI:Ged\n"
    " 25:          0          0          0 PCI-MSIX-0000:00:01.0   0-edge      virtio0-config\n"
    " 26:          7          8          9 PCI-MSI 1048576-edge      eth0-rx-0, eth0 tx\n"
    " 27:          1          1          1   dummy   3-edge\n"
    "NMI:          0          0          0   Non-maskable interrupts\n"
    "LOC:       1000 4294967290         30   Local timer interrupts\n"
    "RES:          5          0          0   Rescheduling interrupts\n"
    "ERR:          3\n"
    "MIS:          0\n"
    "PIN:          0          2          0   Posted-interrupt notification event\n";

static const char after[] =
    "           CPU0       CPU1       CPU3       \n"
    " 24:         10          0          6  IO-APIC   5-edge      ACPI:Ged\n"
    " 25:          0          0          1 PCI-MSIX-0000:00:01.0   0-edge      virtio0-config\n"
    " 26:          7          8          9 PCI-MSI 1048576-edge      eth0-rx-0, eth0 tx\n"
    "LOC:       2000          4         31   Local timer interrupts\n"
    "RES:          9          0          0   Rescheduling interrupts\n"
    "ERR:          4\n"
    "PIN:          0          2          0   Posted-interrupt notification event\n";

static int take(const char *text, struct irq_snapshot *s, const uint16_t *cpu, unsigned n)
{
    FILE *f = fmemopen((void *)text, strlen(text), "r");
    assert_non_null(f);
    int rc = irq_snapshot_read(s, f, cpu, n);
    fclose(f);
    return rc;
}

static const struct irq_row *find(const struct irq_snapshot *s, const char *name)
{
    for (unsigned i = 0; i < s->rows; i++)
        if (strcmp(s->row[i].name, name) == 0)
            return &s->row[i];
    return NULL;
}

static void test_read(void **state)
{
    (void)state;
    static const uint16_t cpu[] = {3, 1};
    struct irq_snapshot s;
    assert_int_equal(take(before, &s, cpu, 2), 0);
    assert_int_equal(s.rows, 5); /* RES only hit CPU 0, 25 and NMI nobody */
    const struct irq_row *r = find(&s, "24 ACPI:Ged");
    assert_non_null(r);
    assert_int_equal(r->count[0], 4);
    assert_int_equal(r->count[1], 0);
    r = find(&s, "26 eth0-rx-0, eth0 tx");
    assert_non_null(r);
    assert_int_equal(r->count[0], 9);
    assert_int_equal(r->count[1], 8);
    assert_non_null(find(&s, "27 3-edge"));
    r = find(&s, "LOC Local timer interrupts");
    assert_non_null(r);
    assert_int_equal(r->count[0], 30);
    assert_int_equal(r->count[1], 4294967290);
    assert_non_null(find(&s, "PIN Posted-interrupt notification event"));
    irq_snapshot_free(&s);
    assert_int_equal(s.rows, 0);
    assert_null(s.row);
}

static void test_subtract(void **state)
{
    (void)state;
    static const uint16_t cpu[] = {3, 1};
    struct irq_snapshot a, b;
    assert_int_equal(take(before, &a, cpu, 2), 0);
    assert_int_equal(take(after, &b, cpu, 2), 0);
    irq_snapshot_subtract(&b, &a, 2);
    assert_int_equal(b.rows, 3);
    assert_int_equal(find(&b, "24 ACPI:Ged")->count[0], 2);
    assert_int_equal(find(&b, "25 virtio0-config")->count[0], 1); /* had no row before */
    assert_int_equal(find(&b, "LOC Local timer interrupts")->count[0], 1);
    assert_int_equal(find(&b, "LOC Local timer interrupts")->count[1], 10); /* past 2^32 */
    irq_snapshot_free(&a);
    irq_snapshot_free(&b);
}

static void test_not_interrupts(void **state)
{
    (void)state;
    static const uint16_t cpu[] = {0};
    struct irq_snapshot s;
    assert_int_equal(take("nothing of the kind\n1: 2\n", &s, cpu, 1), -EINVAL);
    assert_int_equal(s.rows, 0);
    assert_int_equal(take("CPU0\n", &s, cpu, 1), 0);
    assert_int_equal(s.rows, 0);
    assert_int_equal(take("CPU0\n 1\n 2:\n 3: x\n:::\n4: 5\n 6: 7", &s, cpu, 1), 0);
    assert_int_equal(s.rows, 2);
    assert_string_equal(s.row[0].name, "4");
    assert_int_equal(s.row[0].count[0], 5);
    assert_int_equal(s.row[1].count[0], 7);
    irq_snapshot_free(&s);
}

static void test_this_machine(void **state)
{
    (void)state;
    cpu_set_t mine;
    uint16_t cpu = 0;
    struct irq_snapshot s;
    assert_int_equal(sched_getaffinity(0, sizeof mine, &mine), 0);
    while (!CPU_ISSET(cpu, &mine))
        cpu++;
    assert_int_equal(irq_snapshot_take(&s, &cpu, 1), 0);
    assert_true(s.rows > 0);
    const struct irq_row *r = find(&s, "LOC Local timer interrupts");
    assert_non_null(r);
    assert_true(r->count[0] > 0);
    irq_snapshot_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_subtract),
        cmocka_unit_test(test_not_interrupts),
        cmocka_unit_test(test_this_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
