/* SPDX-License-Identifier: MIT */
/*
 * The base case, compiled once per instruction set (included by kernel.c, no include guard):
 * pack A into panels of MR rows and B into panels of 8 columns, then accumulate MR x 8 tiles of C
 * in registers. Expects NAME, TARGET, MR (divides KERNEL_TILE) and LANES (doubles in a vector).
 */
#define VECS (8 / LANES)

TARGET static void NAME(size_t m, struct mat c, struct cmat a, struct cmat b, double *scratch)
{
    typedef double vec __attribute__((vector_size(LANES * 8), aligned(8), may_alias));
    double *pa = scratch, *pb = scratch + m * m;
    for (size_t i = 0; i < m; i += MR)
        for (size_t k = 0; k < m; k++)
            for (unsigned r = 0; r < MR; r++)
                pa[i * m + k * MR + r] = a.p[(i + r) * a.ld + k];
    for (size_t j = 0; j < m; j += 8)
        for (size_t k = 0; k < m; k++)
            memcpy(pb + j * m + k * 8, b.p + k * b.ld + j, 8 * sizeof(double));
    for (size_t j = 0; j < m; j += 8) {
        for (size_t i = 0; i < m; i += MR) {
            const double *ap = pa + i * m, *bp = pb + j * m;
            vec acc[MR][VECS] = {{{0}}};
            for (size_t k = 0; k < m; k++, ap += MR, bp += 8) {
                const vec *bv = (const vec *)bp;
#pragma GCC unroll 8
                for (unsigned r = 0; r < MR; r++)
#pragma GCC unroll 4
                    for (unsigned v = 0; v < VECS; v++)
                        acc[r][v] += ap[r] * bv[v];
            }
#pragma GCC unroll 8
            for (unsigned r = 0; r < MR; r++)
#pragma GCC unroll 4
                for (unsigned v = 0; v < VECS; v++)
                    ((vec *)(c.p + (i + r) * c.ld + j))[v] = acc[r][v];
        }
    }
}

#undef NAME
#undef TARGET
#undef MR
#undef LANES
#undef VECS
