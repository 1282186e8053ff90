/* SPDX-License-Identifier: MIT */
#ifndef TESTS_PROGRAMS_DYNLIB_H
#define TESTS_PROGRAMS_DYNLIB_H

extern __thread int lib_tls;
extern int lib_data, lib_constructed;
int lib_ifunc(void);
int lib_tls_sum(int n); /* 0 .. 5000 */
long lib_getppid(void);
int lib_call_back(int (*f)(int), int x);

#endif
