/* SPDX-License-Identifier: MIT */
/*
 * Memory of the application. Virtual = guest-physical, so a page of address space and a page of
 * memory are the same thing: mapping one is a matter of rights, of populating and of zeroing.
 *
 *   vma.c        which ranges exist, with which rights
 *   pagetable.c  what the processor is told of them
 *   block.c      which 2 MiB blocks of RAM the host has populated
 *   mmap.c       the system calls
 *   start.c      program, stack and heap at start
 */
#ifndef KERNEL_MM_MM_H
#define KERNEL_MM_MM_H

#include "sync.h"
#include "types.h"

#define PROT_READ 1u
#define PROT_WRITE 2u
#define PROT_EXEC 4u
#define PROT_ANY 7u

#define VMA_STACK (1u << 0) /* MAP_STACK: populated by the host at first touch */
#define VMA_LAZY (1u << 1)  /* MAP_NORESERVE: the same */
#define VMA_STALE (1u << 2) /* memory holds somebody's old data: zero before it is opened */
#define VMA_HEAP (1u << 3)  /* brk */
#define VMA_IMAGE (1u << 4) /* the program's segments */

struct vma {
    u64 start, end; /* page aligned */
    u32 prot, flags;
};

extern spinlock mm_lock; /* guards everything below but the system calls */

/* vma.c: sorted, disjoint */
struct vma *vma_at(u64 addr);                   /* containing addr, or NULL */
struct vma *vma_next(u64 addr);                 /* first that ends behind addr, or NULL */
struct vma *vma_following(struct vma *v);       /* or NULL */
bool vma_covered(u64 start, u64 end, u32 prot); /* every page mapped, with at least these rights */
u64 vma_readable_end(u64 addr, u64 max, u32 prot); /* end of the run of such pages from addr */
u64 vma_gap(u64 from, u64 to, u64 len, u64 align); /* start of a free range, or 0 */
bool vma_room(unsigned more);
void vma_insert(u64 start, u64 end, u32 prot, u32 flags);
void vma_remove(u64 start, u64 end);

/* pagetable.c */
int pt_map(u64 start, u64 end, u32 prot); /* 0 or -ENOMEM */
void pt_unmap(u64 start, u64 end);
void pt_flush(void); /* after mapping changed: what became stale, on all cores */
void pt_init(void);
int pt_alias(u64 at, u64 start, u64 end); /* a second, writable view; whole blocks; 0 or -ENOMEM */
bool pt_allows(u64 addr, u64 err); /* the tables permit the access of a #PF with this error */

/* block.c */
int blocks_prepare(u64 start, u64 end, bool lazy); /* 0 or -ENOMEM */
bool blocks_used(u64 start, u64 end);              /* pages not mapped may hold old data */
void blocks_zero_used(u64 start, u64 end);         /* zeroes what may hold old data */
void blocks_mark_used(u64 start, u64 end);
void blocks_discard(u64 start, u64 end); /* give pages back: zero at the next touch */
void blocks_init(u64 bytes_loaded);
bool in_ram(u64 start, u64 end);

/* mmap.c */
void mm_init(void);
int mm_map(u64 start, u64 end, u32 prot, u32 flags); /* fresh zero pages; under mm_lock */
void mm_unmap(u64 start, u64 end);
struct thread *program_start(void);
void mm_user_fault(struct frame *f, u64 err, u64 addr);

long sys_mmap(struct frame *f);
long sys_munmap(struct frame *f);
long sys_mprotect(struct frame *f);
long sys_mremap(struct frame *f);
long sys_madvise(struct frame *f);
long sys_mincore(struct frame *f);
long sys_msync(struct frame *f);
long sys_mlock(struct frame *f);
long sys_brk(struct frame *f);

#endif
