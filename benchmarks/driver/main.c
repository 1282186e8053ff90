/* SPDX-License-Identifier: MIT */
#include <string.h>
#include <unistd.h>

#include "driver/driver.h"

static const struct {
    const char *name;
    int (*run)(const struct driver_options *o);
    bool in_all;
} benches[] = {{"os", bench_os, true},       {"os-dynamic", bench_os_dynamic, true},
               {"fwq", bench_fwq, true},     {"strassen", bench_strassen, true},
               {"pread", bench_pread, true}, {"start", bench_start, true},
               {"mpi", bench_mpi, true},     {"noise", bench_noise, false}};
#define BENCHES (sizeof benches / sizeof *benches)

/* Each in turn; those behind one that failed still run, but the exit code remembers. */
static int run_all(const struct driver_options *o)
{
    int rc = 0;
    if (o->argc > 0) {
        complain("all takes no arguments");
        return 2;
    }
    for (size_t i = 0; i < BENCHES; i++) {
        if (benches[i].in_all && benches[i].run(o)) {
            complain("%s failed: it has no result", benches[i].name);
            rc = 1;
        }
    }
    return rc;
}

int main(int argc, char **argv)
{
    struct driver_options o;
    int rc = driver_options_parse(argc, argv, &o);
    if (rc)
        return rc == OPTIONS_DONE ? 0 : rc;
    progress_enable(o.verbose || isatty(STDERR_FILENO));
    if (strcmp(o.name, "all") == 0)
        return run_all(&o);
    for (size_t i = 0; i < BENCHES; i++)
        if (strcmp(o.name, benches[i].name) == 0)
            return benches[i].run(&o);
    complain(
        "no benchmark is called %s: os, os-dynamic, fwq, strassen, pread, start, mpi, noise or all",
        o.name);
    return 2;
}
