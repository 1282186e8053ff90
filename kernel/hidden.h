/* SPDX-License-Identifier: MIT */
/* Included before everything: no symbol of the kernel is looked up through a table. */
#pragma GCC visibility push(hidden)
