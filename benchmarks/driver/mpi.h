/* SPDX-License-Identifier: MIT */
/* lull-bench mpi: what its plot is made of. */
#ifndef DRIVER_MPI_H
#define DRIVER_MPI_H

#include "driver/table.h"

struct mpi_samples { /* times of computing and reducing, us, all pairs */
    size_t n[SIDES];
    double *us[SIDES];
};
/* Adds a file of `mpi-allreduce --out`. 0, or -1 after a line. */
int mpi_samples_add(struct mpi_samples *s, enum side side, const char *path);
void mpi_samples_free(struct mpi_samples *s);
/*
 * DIR/mpi*.dat and DIR/mpi.gp, and mpi.png by gnuplot; what was not measured (NULL) is left out.
 * Sorts. 0, or -1 after a line.
 */
int mpi_plot(const char *dir, const struct table *pingpong, struct mpi_samples *allreduce,
             const char *title, bool draw);

#endif
