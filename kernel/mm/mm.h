/* SPDX-License-Identifier: MIT */
/*
 * Memory of the application. Virtual = guest-physical, so a page of address space and a page of
 * memory are the same thing: mapping one is a matter of rights, of populating and of zeroing.
 *
 *   vma.c        which ranges exist, with which rights
 *   pagetable.c  what the processor is told of them
 *   block.c      which 2 MiB blocks of RAM the host has populated
 *   mmap.c       mmap, munmap, mprotect
 *   file.c       private mappings of files
 *   window.c     memory shared with Linux
 *   hugetlb.c    windows of huge pages
 *   far.c        and where the program wants it
 *   remap.c      mremap
 *   grow.c       mappings that grow down
 *   policy.c     which node memory comes from
 *   numa.c       mbind and its family
 *   advice.c     madvise, mincore, msync, brk
 *   guard.c      guard pages
 *   lock.c       mlock and its family
 *   seal.c       mseal
 *   expand.c     limits of address space and data
 *   inherit.c    what a forked child gets
 *   start.c      program, stack and heap at start
 */
#ifndef KERNEL_MM_MM_H
#define KERNEL_MM_MM_H

#include <lull/maps.h>

#include "sync.h"
#include "types.h"

#define PROT_READ 1u
#define PROT_WRITE 2u
#define PROT_EXEC 4u
#define PROT_ANY 7u
#define PROT_GROWSDOWN 0x01000000u

#define MAP_SHARED 0x01u
#define MAP_PRIVATE 0x02u
#define MAP_SHARED_VALIDATE 0x03u
#define MAP_DROPPABLE 0x08u
#define MAP_TYPE 0x0fu
#define MAP_FIXED 0x10u
#define MAP_ANONYMOUS 0x20u
#define MAP_32BIT 0x40u
#define MAP_GROWSDOWN 0x100u
#define MAP_NORESERVE 0x4000u
#define MAP_HUGETLB 0x40000u
#define MAP_HUGE_SHIFT 26
#define MAP_POPULATE 0x8000u
#define MAP_NONBLOCK 0x10000u
#define MAP_STACK 0x20000u
#define MAP_LOCKED 0x2000u
#define MAP_FIXED_NOREPLACE 0x100000u
#define MAP_KNOWN 0x7c07f9f3u /* what MAP_SHARED_VALIDATE takes everywhere (linux/mman.h) */

#define IS_LAZY(flags) ((flags) & (LULL_MAP_STACK | LULL_MAP_LAZY))
#define MEMORY_STATE (LULL_MAP_STALE | LULL_MAP_TOUCHED) /* of a closed mapping */

extern spinlock mm_lock; /* guards everything below but the system calls */

/* vma.c: sorted, disjoint */
struct lull_map *vma_at(u64 addr);                        /* containing addr, or NULL */
struct lull_map *vma_next(u64 addr);                      /* first that ends behind addr, or NULL */
struct lull_map *vma_following(const struct lull_map *v); /* or NULL */
bool vma_covered(u64 start, u64 end, u32 prot); /* every page mapped, with at least these rights */
u64 vma_readable_end(u64 addr, u64 max, u32 prot);     /* end of the run of such pages from addr */
u64 vma_gap(u64 from, u64 to, u64 len, u64 align);     /* start of a free range, or 0 */
struct lull_map *vma_before(const struct lull_map *v); /* or NULL */
bool vma_room(unsigned more);
bool vma_full(unsigned more); /* the program has no right to that many more */
void vma_insert(struct lull_map m);
struct lull_map vma_piece(const struct lull_map *m, u64 from, u64 to); /* of it, inside */
void vma_remove(u64 start, u64 end);
void vma_replace(struct lull_map m); /* what is there becomes m */
void vma_forget_peaks(void);         /* of lull_maps: in a forked child */
u64 vma_locked(void);                /* lull_maps.locked */
u64 vma_size(void);                  /* lull_maps.size */
void vma_change_begin(void);         /* the proxy sees what is between the two at once; they nest */
void vma_change_end(void);

/* pagetable.c */
int pt_map(u64 start, u64 end, u32 prot); /* 0 or -ENOMEM */
void pt_unmap(u64 start, u64 end);
void pt_flush(void); /* after mapping changed: what became stale, on all cores */
void pt_init(void);
void *pt_page(void); /* 4 KiB of zeroes for a table of the kernel, for ever; NULL: no more */
void pt_drop(u64 start, u64 end);  /* tables of blocks without mappings; flush afterwards */
int pt_alias(u64 at, u64 block);   /* a second, writable view of a whole block; 0 or -ENOMEM */
bool pt_allows(u64 addr, u64 err); /* the tables permit the access of a #PF with this error */

/* block.c */
int blocks_prepare(u64 start, u64 end, bool lazy); /* 0 or -ENOMEM */
bool blocks_used(u64 start, u64 end);              /* pages not mapped may hold old data */
bool blocks_lazy(u64 start, u64 end);              /* pages not mapped have to be zero, in some */
void blocks_zero_used(u64 start, u64 end);         /* zeroes what may hold old data */
void blocks_mark_used(u64 start, u64 end);
void blocks_discard(u64 start, u64 end); /* give pages back: zero at the next touch */
void blocks_init(u64 bytes_loaded);
bool in_ram(u64 start, u64 end);

/* advice.c: zero again, as MADV_DONTNEED makes it. Under mm_lock */
void mm_wipe(u64 start, u64 end);
/* What Linux populates as it is touched is there now. 0 or -errno. Under mm_lock */
long mm_populate(u64 start, u64 end, bool write);

/*
 * lock.c. Memory of an isle that lull may lock is locked anyway, so what counts here is what the
 * program is told, and windows. The first takes mm_lock and may sleep, the others are under it.
 */
/* 0, -EPERM or -EAGAIN: `len` bytes more may be mapped, `asked`: with MAP_LOCKED. *flags: of
   LULL_MAP_LOCK, what the mapping gets. */
long lock_may_map(u64 len, bool asked, u32 *flags);
void lock_mapped(u64 start, u64 end, u32 flags); /* a new mapping; flags as above */
void lock_grown(u64 start, u64 end);             /* a mapping became longer by this */
u64 lock_limit(void); /* RLIMIT_MEMLOCK in bytes, LULL_UNLIMITED with CAP_IPC_LOCK. Sleeps */
u64 lock_first(u64 start, u64 end); /* the first locked page, or end */
/* The mappings get these flags of LULL_MAP_LOCK; as Linux, those before a hole. 0 or -ENOMEM. */
long lock_mark(u64 start, u64 end, u32 flags);
/* As munlock(2): 0, or -ENOMEM if there is a hole. */
long lock_clear(u64 start, u64 end);
void lock_forked(void); /* in the child nothing is locked */

/* seal.c, under mm_lock */
bool sealed_in(u64 start, u64 end); /* some page is sealed */

/* guard.c, under mm_lock */
bool guard_in(u64 start, u64 end);
long guard_install(u64 start, u64 end); /* -ENOMEM: there is a hole; -EINVAL, -ENOSYS */
long guard_remove(u64 start, u64 end);

/* inherit.c */
bool mm_advice_is_of_fork(u32 advice);
long mm_advise_fork(u64 start, u64 end, u32 advice); /* under mm_lock */
void mm_forked(void);                                /* in the child; no other core runs yet */

/* expand.c: under mm_lock */
/* RLIMIT_AS and RLIMIT_DATA allow len more bytes; what they replace at `start` (0: nothing) does
   not count twice. */
bool mm_may_expand(u64 start, u64 len, u32 prot, u32 flags);
bool mm_may_become_data(const struct lull_map *v, u64 len, u32 prot); /* by mprotect */
struct lull_limits *limit_table(void);                                /* sys/limits.c */

/* grow.c */
/* Where a mapping below v ends at the latest unless MAP_FIXED puts it there. */
u64 vma_guarded_start(const struct lull_map *v);
/* Extends the mapping above addr down to it if it is one that grows. Under mm_lock. */
bool mm_grow(u64 addr);
bool mm_grow_fault(u64 addr); /* the same, and takes mm_lock itself */

/* mmap.c */
void mm_init(void);
int mm_map(u64 start, u64 end, u32 prot, u32 flags); /* fresh zero pages; under mm_lock */
void mm_unmap(u64 start, u64 end);
long map_anonymous(u64 hint, u64 len, u32 prot, u32 flags, u64 *out); /* takes mm_lock itself */
bool mm_fixed_ok(u64 start, u64 end); /* the isle has memory of its own there for a mapping */
bool in_image(u64 start, u64 end);    /* of the program as it was loaded, its stub area included */
/* Where a mapping goes, by hint and flags. 0 or -errno. Under mm_lock. */
long mm_place(u64 hint, u64 len, u32 flags, u64 *out);
u64 mm_hint(u64 hint);                              /* as Linux takes it, or 0 */
bool mm_range_decode(u64 start, u64 len, u64 *end); /* page aligned, no overflow */
/* mprotect(2) of [from, to) of mapping v; the caller flushes. 0 or -errno. Under mm_lock. */
long mm_protect(struct lull_map v, u64 from, u64 to, u32 prot);
u32 map_rights(const struct lull_map *m); /* those that the program gave it */
struct thread *program_start(void);

/* window.c: memory shared with Linux. All but the first under mm_lock. */
long map_window(struct frame *f, u64 len, u32 prot, u64 *out);
/* mmap(2) of a window with the descriptor and offset in f. 0, -errno, or LULL_IS_HUGETLB. */
long window_new(const struct frame *f, u64 hint, u32 flags, u64 len, u32 prot, u64 *out);
bool in_windows(u64 start, u64 end);
/* The isle has no memory of its own in [start, end), or not in all of it: any mapping there is a
   window. */
bool window_only(u64 start, u64 end);
long window_floor(u64 start); /* 0: a mapping may begin there, or -EPERM, -ENOSYS: it is too low */
i64 window_call(u64 op, u64 start, u64 len, u64 a3, u64 a4, u64 a5); /* LULL_OP_WINDOW */
long window_back(u64 start, u64 end); /* a reservation is opened: memory for it. 0 or -errno */
/* A part of window m whose translations are gone. */
void window_unmap(const struct lull_map *m, u64 start, u64 end);
long window_find(u64 hint, u64 len, u32 flags, u64 *out); /* a place for one. 0 or -ENOMEM */
long window_move(struct lull_map m, u64 old_len, u64 to, u64 new_len, bool stays);
long window_remap(struct lull_map m, u64 old_len, u64 new_len, u32 flags);
long windows_sync(u64 start, u64 end, u64 how); /* msync(2) of what is shared. 0 or -errno */
void windows_recheck(void);                     /* some file was cut short; takes mm_lock itself */
/* A fault at addr: true when there is memory now; takes mm_lock itself. */
bool window_fault(u64 addr, u64 err);
/* Where a window of `len` bytes goes: multiples of `align`, of LULL_PAGE if that is 0. */
long window_place(u64 hint, u64 len, u32 flags, u64 align, u64 *out);
long window_open(struct lull_map m, u64 answer); /* tables and rights; answer as of LULL_WIN_MAP */
long sys_shmat(struct frame *f);
long sys_shmdt(struct frame *f);

/* hugetlb.c: huge pages of Linux's pool, which lie in windows. All but map_hugetlb() under
   mm_lock. */
/* mmap(2) of pages of 1 << shift bytes; it takes mm_lock itself. */
long map_hugetlb(struct frame *f, u32 prot, u32 shift, u64 *out);
long hugetlb_default(u32 flags); /* log2 of the page size that MAP_HUGETLB means, or -EINVAL */
u64 map_page(const struct lull_map *m);   /* bytes of a page of the mapping */
bool hugetlb_divides(u64 start, u64 end); /* start or end lies inside of a huge page */
long hugetlb_remap(const struct lull_map *m, u64 old, u64 old_len, u64 new_len, u32 flags, u64 to);
/* madvise(2) of the huge pages in the range: 0 or -errno. */
long hugetlb_advise(u64 start, u64 end, u32 advice);

/* far.c: under mm_lock */
long far_need(u64 start, u64 end); /* 0: a window may come there; -ENOMEM */
bool in_far(u64 start, u64 end);   /* far_need() has been here, and nobody else's need since */
u64 far_gpa(u64 va);               /* in_far(): where the isle's machine has it */

/* file.c */
/* mm_lock, and if `flags` has MAP_FIXED nobody copies a file to [start, start + len). Sleeps. */
void mm_lock_unfilled(u64 start, u64 len, u32 flags);
long map_private_file(struct frame *f, u64 len, u32 prot, u64 *out);
/* The private file mappings in the range are as the file is again. 0, or -ENOSYS. Sleeps. */
long file_dontneed(u64 start, u64 end);
/* A private mapping of a file, [old, old + old_len) of m, becomes longer. Under mm_lock, which is
   given up meanwhile. `room`: where it is. */
long file_grow(struct lull_map m, u64 old_len, u64 new_len, bool room);

/* policy.c: policies by number, 0: none. Under mm_lock but for the first three */
void policy_init(void);
u32 policy_first(void);                                 /* of the first thread */
bool policy_known(u32 number, struct lull_policy *out); /* false: none */
void policy_for_exec(void);                             /* the calling thread's goes with it */
long policy_number(const struct lull_policy *p);        /* > 0, or -ENOMEM */
/*
 * Memory in [start, end) comes from the policy's nodes, and what is there moves. 0 or -errno. Where
 * the isle has one node, all its memory is there whatever the policy says, and Linux is not asked,
 * because moving pages waits for a kernel thread on every CPU (lru_add_drain_all()): behind the
 * cores of another isle that can be minutes.
 */
bool policy_one_node(void);
long policy_apply(u64 start, u64 end, u32 number, u64 flags);
/* The same, and Linux is told in any case: of a window that other processes see. */
long policy_tell(u64 start, u64 end, u32 number, u64 flags);
u32 policy_placed(u64 start, u64 end); /* new memory of the thread's: what its lull_map says */
void policy_forget(const struct lull_map *m, u64 start, u64 end); /* it is unmapped */
/* lull_map.policy: the number that mbind(2) gave, and the one that Linux has of the memory */
#define POLICY_OF(word) ((word)&0xffffu)
#define POLICY_WORD(asked, placed) ((asked) | (placed) << 16)

/* numa.c */
long sys_mbind(struct frame *f);
long sys_set_mempolicy(struct frame *f);
long sys_get_mempolicy(struct frame *f);
long sys_set_mempolicy_home_node(struct frame *f);
long sys_migrate_pages(struct frame *f);
long sys_move_pages(struct frame *f);

long sys_mmap(struct frame *f);
long sys_munmap(struct frame *f);
long sys_mprotect(struct frame *f);
long sys_mremap(struct frame *f);
long sys_madvise(struct frame *f);
long sys_mincore(struct frame *f);
long sys_msync(struct frame *f);
long sys_mlock(struct frame *f);
long sys_munlock(struct frame *f);
long sys_mseal(struct frame *f);
long sys_remap_file_pages(struct frame *f);
long sys_mlock2(struct frame *f);
long sys_mlockall(struct frame *f);
long sys_munlockall(struct frame *f);
long sys_brk(struct frame *f);

#endif
