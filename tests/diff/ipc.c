/* SPDX-License-Identifier: MIT */
/* Shared memory, semaphores and queues, of System V and POSIX. */
#include "diff.h"

#include <mqueue.h>
#include <semaphore.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

CASE(ipc, shm_sysv)
{
    struct shmid_ds d;
    int id = shmget(IPC_PRIVATE, 8192, 0600);
    char *p, *q;

    OK(id);
    q = shmat(id, NULL, 0);
    p = shmat(id, NULL, 0);
    MAPPED(p);
    if (p != (char *)-1) {
        p[5000] = 'x';
        SHOW(q[5000]);
        R(shmctl(id, IPC_STAT, &d));
        SHOW(d.shm_segsz);
        SHOW(d.shm_nattch);
        R(shmdt(q));
        R(shmdt(q));
        R(shmdt(p));
    }
    R(shmctl(id, IPC_RMID, NULL));
    R(shmctl(id, IPC_RMID, NULL));
}

/* Its line of /proc/self/maps names the key, and the segment's number is the inode. */
CASE(ipc, shm_sysv_in_maps)
{
    char line[256], rights[8], name[64], deleted[16];
    int id = shmget(0x51de, 2 * PAGE, IPC_CREAT | 0600);
    char *p = shmat(id, NULL, 0);
    unsigned long start, end, offset, inode;
    unsigned major, minor;
    FILE *f = fopen("/proc/self/maps", "r");

    R(shmctl(id, IPC_RMID, NULL));
    while (f && fgets(line, sizeof line, f)) {
        if (sscanf(line, "%lx-%lx %7s %lx %x:%x %lu %63s %15s", &start, &end, rights, &offset,
                   &major, &minor, &inode, name, deleted) == 9 &&
            start == (uintptr_t)p)
            printf("%lu %s %lx %x:%x %d %s %s\n", end - start, rights, offset, major, minor,
                   inode == (unsigned long)id, name, deleted);
    }
}

CASE(ipc, shm_sysv_errors)
{
    R(shmget(IPC_PRIVATE, 0, 0600));
    R(shmget(0x7e57ab1e, 8192, 0600));
    OK(shmat(-1, NULL, 0));
    R(shmdt((void *)4096));
    R(shmctl(-1, IPC_RMID, NULL));
}

CASE(ipc, sem_sysv)
{
    struct sembuf up = {0, 2, 0}, down = {0, -1, IPC_NOWAIT}, bad = {9, 1, 0};
    struct timespec t = {0, 20000000};
    int id = semget(IPC_PRIVATE, 2, 0600);

    OK(id);
    R(semop(id, &up, 1));
    R(semctl(id, 0, GETVAL));
    R(semop(id, &down, 1));
    R(semop(id, &down, 1));
    R(semop(id, &down, 1));
    R(semop(id, &bad, 1));
    down.sem_flg = 0;
    R(semtimedop(id, &down, 1, &t));
    R(semctl(id, 1, SETVAL, 7));
    R(semctl(id, 1, GETVAL));
    R(semctl(id, 9, GETVAL));
    R(semop(id, &up, 0));
    R(semctl(id, 0, IPC_RMID));
    R(semctl(id, 0, GETVAL));
    R(semget(IPC_PRIVATE, -1, 0600));
}

CASE(ipc, sem_sysv_eintr)
{
    struct sembuf down = {0, -1, 0};
    int id = semget(IPC_PRIVATE, 1, 0600);

    OK(id);
    poke_begin(50, SA_RESTART);
    R(semop(id, &down, 1));
    SHOW(poke_end());
    R(semctl(id, 0, IPC_RMID));
}

CASE(ipc, msg_sysv)
{
    struct {
        long type;
        char text[16];
    } m = {3, "hello"}, got = {0, ""};
    int id = msgget(IPC_PRIVATE, 0600);

    OK(id);
    R(msgsnd(id, &m, 6, 0));
    m.type = 5;
    R(msgsnd(id, &m, 2, 0));
    R(msgrcv(id, &got, 16, 5, 0));
    SHOW(got.type);
    R(msgrcv(id, &got, 2, 0, 0));
    R(msgrcv(id, &got, 2, 0, MSG_NOERROR));
    R(msgrcv(id, &got, 16, 0, IPC_NOWAIT));
    m.type = 0;
    R(msgsnd(id, &m, 2, 0));
    R(msgctl(id, IPC_RMID, NULL));
    R(msgsnd(id, &m, 2, 0));
}

CASE(ipc, shm_posix)
{
    char *p, c = 0;
    int fd;

    shm_unlink("/lull-diff-shm");
    R(fd = shm_open("/lull-diff-shm", O_RDWR | O_CREAT | O_EXCL, 0600));
    R(shm_open("/lull-diff-shm", O_RDWR | O_CREAT | O_EXCL, 0600));
    R(ftruncate(fd, 4096));
    p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    MAPPED(p);
    if (p != MAP_FAILED) {
        p[0] = 'x';
        R(pread(fd, &c, 1, 0));
        SHOW(c);
    }
    R(shm_unlink("/lull-diff-shm"));
    R(shm_unlink("/lull-diff-shm"));
}

CASE(ipc, sem_posix_named)
{
    sem_t *s;
    int v = -1;

    sem_unlink("/lull-diff-sem");
    s = sem_open("/lull-diff-sem", O_CREAT | O_EXCL, 0600, 1);
    if (s == SEM_FAILED) {
        puts(strerrorname_np(errno));
        return;
    }
    R(sem_wait(s));
    R(sem_trywait(s));
    R(sem_post(s));
    R(sem_getvalue(s, &v));
    SHOW(v);
    R(sem_close(s));
    R(sem_unlink("/lull-diff-sem"));
}

static void *post_later(void *arg)
{
    sleep_ms(50);
    sem_post(arg);
    return NULL;
}

CASE(ipc, sem_posix)
{
    struct timespec past = {1, 0};
    pthread_t t;
    sem_t s;

    R(sem_init(&s, 1, 0));
    R(sem_trywait(&s));
    R(sem_timedwait(&s, &past));
    pthread_create(&t, NULL, post_later, &s);
    R(sem_wait(&s));
    pthread_join(t, NULL);
    poke_begin(50, 0);
    R(sem_wait(&s));
    SHOW(poke_end());
}

CASE(ipc, mq_posix)
{
    struct mq_attr a = {0, 4, 16, 0, {0}}, got;
    char buf[32] = "";
    unsigned prio = 0;
    mqd_t q;

    mq_unlink("/lull-diff-mq");
    R(q = mq_open("/lull-diff-mq", O_RDWR | O_CREAT | O_EXCL | O_NONBLOCK, 0600, &a));
    if (q < 0)
        return;
    R(mq_send(q, "low", 3, 1));
    R(mq_send(q, "high", 4, 9));
    R(mq_getattr(q, &got));
    SHOW(got.mq_curmsgs);
    R(mq_receive(q, buf, 16, &prio));
    SHOW(prio);
    R(mq_receive(q, buf, 3, &prio));
    R(mq_receive(q, buf, 16, &prio));
    R(mq_receive(q, buf, 16, &prio));
    R(mq_send(q, buf, 17, 0));
    R(mq_unlink("/lull-diff-mq"));
}
