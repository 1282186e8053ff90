/* SPDX-License-Identifier: MIT */
/*
 * Windows: pages of Linux's at the isle's addresses. Address space for them is reserved, and known
 * to the engine, in chunks; a file is mapped over a part of it. The engine's machine follows the
 * proxy's mappings, so nothing more has to be said to it.
 */
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "isle/isle_priv.h"
#include "sigstate.h"

#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 0x08 /* linux/mman.h */
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

static bool in_near(uint64_t start, uint64_t len)
{
    return start >= LULL_WIN_BASE && start < LULL_WIN_END && len <= LULL_WIN_END - start;
}

static bool in_windows(uint64_t start, uint64_t len)
{
    return in_near(start, len) || far_has(start, len);
}

/* Neither accessible nor anybody else's. */
static int reserve(uint64_t start, uint64_t len, int how)
{
    void *p = mmap((void *)start, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | how,
                   -1, 0);
    return p == MAP_FAILED ? -errno : 0;
}

static int chunks_need(struct isle *isle, uint64_t start, uint64_t len)
{
    uint64_t first = (start - LULL_WIN_BASE) / LULL_CHUNK,
             last = (start + len - 1 - LULL_WIN_BASE) / LULL_CHUNK;
    for (uint64_t i = first; i <= last; i++) {
        uint64_t at = LULL_WIN_BASE + i * LULL_CHUNK;
        if (isle->win_chunk[i])
            continue;
        int r = reserve(at, LULL_CHUNK, MAP_FIXED_NOREPLACE);
        if (r)
            return r;
        isle->win_chunk[i] = 1;
    }
    return isle_announce(isle, start, len);
}

/* [start, start + len) may be replaced by a window. */
static int range_need(struct isle *isle, uint64_t start, uint64_t len)
{
    if (!len || (start | len) & (LULL_PAGE - 1))
        return -EINVAL;
    if (in_near(start, len))
        return chunks_need(isle, start, len);
    if (far_has(start, len))
        return 0;
    if (start < LULL_RAM_BASE || !isle_app_range(isle, (isle_addr){start}, len))
        return -EINVAL;
    int r = isle_announce(isle, start, len);
    if (r == 0 && start % LULL_HUGE)
        r = isle_huge_break(isle, start);
    return r == 0 && (start + len) % LULL_HUGE ? isle_huge_break(isle, start + len) : r;
}

/* Bytes of the file from `offset` on, at most len. */
static uint64_t covered(int fd, uint64_t offset, uint64_t len)
{
    struct stat st;
    if (fd < 0 || fstat(fd, &st))
        return len;
    if (!S_ISREG(st.st_mode)) /* shared /dev/zero */
        return len;
    uint64_t size = (uint64_t)st.st_size;
    if (size <= offset)
        return 0;
    return size - offset < len ? size - offset : len;
}

static int64_t unmap(struct isle *isle, uint64_t start, uint64_t len);

/* Huge pages. The rights that the program asks for first, because a file that is mapped for writing
   grows; then all that Linux permits, because the isle's tables restrict them. */
static int64_t map_huge(struct isle *isle, uint64_t start, uint64_t len, int fd, uint64_t offset,
                        uint32_t prot)
{
    unsigned shift = LULL_PROT_PAGE(prot);
    uint64_t mask = (1ull << shift) - 1;
    int how = (prot & LULL_PROT_PRIVATE ? MAP_PRIVATE : MAP_SHARED) |
              (fd < 0 ? MAP_ANONYMOUS | MAP_HUGETLB | (int)(shift << 26) : 0) |
              (prot & LULL_PROT_NORESERVE ? MAP_NORESERVE : 0) |
              (prot & LULL_PROT_POPULATE ? MAP_POPULATE : 0);
    if (shift < 12 || shift > 40 || (start | len | offset) & mask)
        return -EINVAL;
    pthread_mutex_lock(&isle->lock);
    int64_t r = range_need(isle, start, len);
    if (r == 0) {
        int rights = (int)prot & (PROT_READ | PROT_WRITE | PROT_EXEC);
        bool readonly = false;
        if (hugetlb_map(start, len, rights, how, fd, offset, shift) == MAP_FAILED) {
            r = -errno;
            unmap(isle, start, len); /* Linux may have left a hole */
        } else {
            isle_huge_replaced(isle, start, len);
            if (prot & LULL_PROT_PRIVATE) /* a shared file has one policy for all its users */
                isle_numa_place(isle, start, len);
            if (mprotect((void *)start, len, rights | PROT_READ | PROT_WRITE)) {
                readonly = true;
                mprotect((void *)start, len, rights | PROT_READ);
            }
            r = (int64_t)(covered(fd, offset, len) | (readonly ? LULL_WIN_READONLY : 0));
        }
    }
    pthread_mutex_unlock(&isle->lock);
    return r;
}

/* A ring of packet(7): ordinary memory, which Linux maps page by page. */
static bool is_ring(int fd, const struct stat *st)
{
    int domain = 0;
    socklen_t len = sizeof domain;
    return S_ISSOCK(st->st_mode) && !getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) &&
           domain == AF_PACKET;
}

/* Neither a regular file nor /dev/zero: what Linux says of it; devices that it would map are
 * refused.
 */
static int64_t odd_file(uint64_t len, int fd, uint64_t offset, uint32_t prot)
{
    int rights = (int)prot & (PROT_READ | PROT_WRITE | PROT_EXEC);
    void *p = mmap(NULL, len, rights, MAP_SHARED, fd, (off_t)offset);
    if (p == MAP_FAILED)
        return -errno;
    munmap(p, len);
    return -ENOSYS;
}

int64_t isle_window_map(struct isle *isle, uint64_t start, uint64_t len, int fd, uint64_t offset,
                        uint32_t prot)
{
    struct stat st;
    if (fd >= 0 && fstat(fd, &st) == 0 && !S_ISREG(st.st_mode) &&
        !(S_ISCHR(st.st_mode) && st.st_rdev == 0x105) && !is_ring(fd, &st))
        return odd_file(len, fd, offset, prot);
    unsigned page = LULL_PROT_PAGE(prot), is = hugetlb_shift(fd);
    if (fd >= 0 && is != page)
        return is ? LULL_IS_HUGETLB | is : -EINVAL;
    if (page)
        return map_huge(isle, start, len, fd, offset, prot);
    pthread_mutex_lock(&isle->lock);
    int64_t r = range_need(isle, start, len);
    if (r == 0) {
        bool private = prot & LULL_PROT_PRIVATE;
        int how = prot & LULL_PROT_DROPPABLE ? MAP_DROPPABLE
                  : private                  ? MAP_PRIVATE | MAP_NORESERVE
                                             : MAP_SHARED;
        if (fd < 0)
            how |= MAP_ANONYMOUS | (private ? 0 : MAP_POPULATE);
        int rights = PROT_READ | PROT_WRITE | (prot & LULL_PROT_EXEC ? PROT_EXEC : 0);
        void *p = hugetlb_map(start, len, rights, how, fd, offset, 0);
        bool readonly = false;
        if (p == MAP_FAILED && errno == EACCES && !private && !(prot & LULL_PROT_WRITE)) {
            readonly = true;
            p = hugetlb_map(start, len, rights & ~PROT_WRITE, how, fd, offset, 0);
        }
        if (p != MAP_FAILED)
            isle_huge_replaced(isle, start, len);
        r = p == MAP_FAILED
                ? -errno
                : (int64_t)(covered(fd, offset, len) | (readonly ? LULL_WIN_READONLY : 0));
    }
    pthread_mutex_unlock(&isle->lock);
    return r;
}

int64_t isle_window_shm_size(int id)
{
    struct shmid_ds ds;
    if (shmctl(id, IPC_STAT, &ds))
        return -errno;
    return (int64_t)((ds.shm_segsz + LULL_PAGE - 1) & ~(LULL_PAGE - 1));
}

int64_t isle_window_shm(struct isle *isle, uint64_t start, uint64_t len, int id, int flags,
                        uint64_t room)
{
    int64_t size = isle_window_shm_size(id);
    if (size < 0 || (uint64_t)size != len || room < len)
        return size < 0 ? size : -EINVAL;
    pthread_mutex_lock(&isle->lock);
    int64_t r = range_need(isle, start, len);
    if (r == 0 && room > len)
        r = range_need(isle, start, room);
    if (r == 0) {
        unsigned shift;
        r = hugetlb_attach(start, len, room, id, flags & (SHM_RDONLY | SHM_EXEC), &shift);
        if (r == 0) {
            len = (len + (1ull << shift) - 1) >> shift << shift;
            isle_huge_replaced(isle, start, len);
            r = (int64_t)(len | shift | (flags & SHM_RDONLY ? LULL_WIN_READONLY : 0));
        }
    }
    pthread_mutex_unlock(&isle->lock);
    return r;
}

/* Memory of the isle's own again. */
static int memory_again(uint64_t start, uint64_t len)
{
    void *p = mmap((void *)start, len, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    return p == MAP_FAILED ? -errno : 0;
}

/* Windows went: where the program's image has been its memory comes back. */
static int unmap_low(const struct isle *isle, uint64_t start, uint64_t end)
{
    uint64_t from = start > isle->low_start ? start : isle->low_start,
             to = end < isle->low_end ? end : isle->low_end;
    if (from >= to)
        return reserve(start, end - start, MAP_FIXED);
    int r = memory_again(from, to - from);
    if (r == 0 && start < from)
        r = reserve(start, from - start, MAP_FIXED);
    if (r == 0 && to < end)
        r = reserve(to, end - to, MAP_FIXED);
    return r;
}

/* Under isle->lock. 0 or -errno. */
static int64_t unmap(struct isle *isle, uint64_t start, uint64_t len)
{
    if (start < LULL_RAM_BASE)
        return unmap_low(isle, start, start + len);
    if (in_windows(start, len))
        return reserve(start, len, MAP_FIXED);
    int r = memory_again(start, len);
    if (r == 0) /* as the blocks around it */
        isle_populate(isle, start, len);
    return r;
}

/*
 * A window becomes longer where it is. Linux would find the addresses behind it taken by their
 * reservation, so the longer mapping is made elsewhere first: a second view, or, of a private one
 * that has none, the mapping itself; an access meanwhile fails and is tried again.
 */
static int64_t grow(struct isle *isle, uint64_t start, uint64_t len, uint64_t to_len)
{
    void *at = (void *)start, *view = mremap(at, 0, to_len, MREMAP_MAYMOVE);
    bool private = view == MAP_FAILED && errno == EINVAL;
    if (private)
        view = mremap(at, len, to_len, MREMAP_MAYMOVE);
    if (view == MAP_FAILED)
        return -errno;
    if (mremap(view, to_len, to_len, MREMAP_MAYMOVE | MREMAP_FIXED, at) == MAP_FAILED) {
        int error = errno;
        if (private)
            mremap(view, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, at);
        munmap(view, to_len);
        return -error;
    }
    isle_huge_replaced(isle, start, to_len);
    return 0;
}

/* The pages go with it; where it was is reserved again, unless it stays. */
static int64_t move(struct isle *isle, uint64_t start, uint64_t len, uint64_t to, uint64_t to_len,
                    bool stays)
{
    int64_t r = range_need(isle, to, to_len);
    if (r)
        return r;
    if (to == start)
        return to_len > len && !stays ? grow(isle, start, len, to_len) : -EINVAL;
    if (to < start + len && start < to + to_len)
        return -EINVAL;
    int how = MREMAP_MAYMOVE | MREMAP_FIXED | (stays && len ? MREMAP_DONTUNMAP : 0);
    if (mremap((void *)start, len, to_len, how, (void *)to) == MAP_FAILED)
        return -errno;
    isle_huge_replaced(isle, to, to_len);
    return stays || !len ? 0 : unmap(isle, start, len);
}

/* mlock(2) without its question for RLIMIT_MEMLOCK, which the isle has answered: where Linux does
   not lock for the proxy, the pages are there all the same. */
static int64_t lock(uint64_t start, uint64_t len, uint64_t how)
{
    syscall(SYS_mlock2, start, len, MLOCK_ONFAULT);
    if (how == LULL_LOCK_ONFAULT)
        return 0;
    int advice = how == LULL_LOCK_WRITE ? MADV_POPULATE_WRITE : MADV_POPULATE_READ;
    return madvise((void *)start, len, advice) && errno != EINVAL ? -ENOMEM : 0;
}

static int64_t resident_bits(uint64_t start, uint64_t len)
{
    unsigned char there[LULL_WIN_RESIDENT_MAX];
    uint64_t n = len / LULL_PAGE, bits = 0;
    n = n < sizeof there ? n : sizeof there;
    if (mincore((void *)start, n * LULL_PAGE, there))
        return -errno;
    for (uint64_t i = 0; i < n; i++)
        bits |= (uint64_t)(there[i] & 1) << i;
    return (int64_t)bits;
}

/* What asks about memory and changes none, in RAM too. */
static bool ask_op(struct isle *isle, const uint64_t arg[6], int64_t *answer)
{
    uint64_t op = arg[0], start = arg[1], len = arg[2];
    if (op == LULL_WIN_ADVISE && !len) {
        *answer = madvise(NULL, 0, (int)arg[3]) ? -errno : 0;
        return true;
    }
    if (op != LULL_WIN_LOCK && op != LULL_WIN_UNLOCK && op != LULL_WIN_RESIDENT)
        return false;
    if (!len || (start | len) & (LULL_PAGE - 1) || !isle_app_range(isle, (isle_addr){start}, len)) {
        *answer = -EINVAL;
    } else if (op == LULL_WIN_LOCK) {
        *answer = lock(start, len, arg[3]);
    } else if (op == LULL_WIN_UNLOCK) {
        if (in_windows(start, len) || !isle->locked)
            munlock((void *)start, len);
        *answer = 0;
    } else {
        *answer = resident_bits(start, len);
    }
    return true;
}

int64_t isle_window_op(struct isle *isle, const uint64_t arg[6])
{
    uint64_t op = arg[0], start = arg[1], len = arg[2];
    void *at = (void *)start;
    int64_t answer;
    pthread_mutex_lock(&isle->lock);
    if (ask_op(isle, arg, &answer)) {
        pthread_mutex_unlock(&isle->lock);
        return answer;
    }
    /* a second view needs a mapped page to be one of */
    int64_t r = range_need(isle, start, op == LULL_WIN_MOVE && !len ? LULL_PAGE : len);
    if (r == 0) {
        switch (op) {
        case LULL_WIN_UNMAP:
            r = unmap(isle, start, len);
            break;
        case LULL_WIN_MOVE:
            r = move(isle, start, len, arg[3], arg[4], arg[5] & 1);
            break;
        case LULL_WIN_SYNC:
            r = msync(at, len, (int)arg[3]) ? -errno : 0;
            break;
        case LULL_WIN_REMOVE:
            r = madvise(at, len, MADV_REMOVE) ? -errno : 0;
            break;
        case LULL_WIN_PROBE:
            if (!arg[3]) {
                at = (char *)at + len - LULL_PAGE;
                len = LULL_PAGE;
            }
            r = madvise(at, len, arg[3] ? MADV_POPULATE_WRITE : MADV_POPULATE_READ) ? -errno : 0;
            break;
        case LULL_WIN_DONTNEED:
            r = madvise(at, len, isle->dontneed ? MADV_DONTNEED_LOCKED : MADV_DONTNEED) ? -errno
                                                                                        : 0;
            break;
        case LULL_WIN_ADVISE:
            r = arg[3] != MADV_DONTNEED && arg[3] != MADV_POPULATE_READ &&
                        arg[3] != MADV_POPULATE_WRITE && arg[3] != MADV_MERGEABLE &&
                        arg[3] != MADV_UNMERGEABLE
                    ? -EINVAL
                : madvise(at, len, (int)arg[3]) ? -errno
                                                : 0;
            break;
        case LULL_WIN_REMAP:
            r = syscall(SYS_remap_file_pages, start, len, 0, arg[3], 0) ? -errno : 0;
            if (r == 0)
                isle_huge_replaced(isle, start, len);
            break;
        default:
            r = -EINVAL;
        }
    }
    pthread_mutex_unlock(&isle->lock);
    return r;
}

/*
 * The proxy itself meets a page that is not there: a file was cut short after the program's pointer
 * was checked, or the pointer was never right. A page of zeroes comes there, and the call goes on.
 */
static void on_fault(int signo, siginfo_t *info, void *context)
{
    uint64_t at = (uint64_t)info->si_addr & ~(LULL_PAGE - 1);
    if (sigstate_was_sent(signo, info, context))
        return;
    static const uint64_t sizes[] = {LULL_PAGE, LULL_HUGE, LULL_CHUNK}; /* or a huge page */
    for (size_t i = 0; (in_near(at, LULL_PAGE) || far_had(at)) && i < 3; i++) {
        if (at >= sizes[i] && mmap((void *)(at & ~(sizes[i] - 1)), sizes[i], PROT_READ | PROT_WRITE,
                                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED)
            return;
    }
    signal(signo, SIG_DFL); /* it happens again, and is the end */
}

void isle_window_guard(void)
{
    struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigemptyset(&sa.sa_mask);
    sigaction(SIGBUS, &sa, NULL);
    sigaction(SIGSEGV, &sa, NULL);
}
