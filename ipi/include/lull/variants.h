/* SPDX-License-Identifier: MIT */
/*
 * Calls whose arguments depend on a command among them. Both sides look here: the kernel for the
 * application's rights, the proxy for sizes. Layouts: linux/keyctl.h, linux/mount.h, linux/quota.h,
 * linux/dqblk_xfs.h of Linux 6.18.
 */
#ifndef LULL_VARIANTS_H
#define LULL_VARIANTS_H

#include <stdint.h>

/*
 * One letter for each argument from the first:
 * v: passed as it is; z: 0 is passed; f: descriptor; s: string; p: path;
 * i, o: buffer that is read, written, whose length is the next argument; arg[LULL_ARG_HAVE]: how
 * much of it may be written, if not all (0: all);
 * r: the same of `size` bytes;
 * I, O: `size` bytes that are read, written.
 */
struct lull_variant {
    uint16_t nr;
    uint16_t size; /* bytes */
    uint32_t command;
    const char *kinds;
};

#define LULL_VARIANT_ANY UINT32_MAX /* every other command; the last row of a call */

#define LULL_NR_SYSFS 139
#define LULL_NR_QUOTACTL 179
#define LULL_NR_KEYCTL 250
#define LULL_NR_FSCONFIG 431
#define LULL_NR_QUOTACTL_FD 443

/* A row for quotactl and one for quotactl_fd. */
#define LULL_QUOTA(command, size, kind)                                                            \
    {LULL_NR_QUOTACTL, size, command, "vpv" kind},                                                 \
    {                                                                                              \
        LULL_NR_QUOTACTL_FD, size, command, "fvv" kind                                             \
    }

/* No letters: refused. Ends with number 0. */
static const struct lull_variant lull_variants[] = {
    {LULL_NR_SYSFS, 0, 1, "vs"},
    {LULL_NR_SYSFS, 64, 2, "vvr"},
    {LULL_NR_SYSFS, 0, LULL_VARIANT_ANY, "vzz"},

    LULL_QUOTA(0x800001, 0, "z"),  /* Q_SYNC */
    LULL_QUOTA(0x800002, 0, "p"),  /* Q_QUOTAON */
    LULL_QUOTA(0x800003, 0, "z"),  /* Q_QUOTAOFF */
    LULL_QUOTA(0x800004, 4, "O"),  /* Q_GETFMT */
    LULL_QUOTA(0x800005, 24, "O"), /* Q_GETINFO */
    LULL_QUOTA(0x800006, 24, "I"), /* Q_SETINFO */
    LULL_QUOTA(0x800007, 72, "O"), /* Q_GETQUOTA */
    LULL_QUOTA(0x800008, 72, "I"), /* Q_SETQUOTA */
    LULL_QUOTA(0x800009, 72, "O"), /* Q_GETNEXTQUOTA */
    LULL_QUOTA(0x5801, 4, "I"),    /* Q_XQUOTAON */
    LULL_QUOTA(0x5802, 4, "I"),    /* Q_XQUOTAOFF */
    LULL_QUOTA(0x5803, 112, "O"),  /* Q_XGETQUOTA */
    LULL_QUOTA(0x5804, 112, "I"),  /* Q_XSETQLIM */
    LULL_QUOTA(0x5805, 80, "O"),   /* Q_XGETQSTAT */
    LULL_QUOTA(0x5806, 4, "I"),    /* Q_XQUOTARM */
    LULL_QUOTA(0x5807, 0, "z"),    /* Q_XQUOTASYNC */
    LULL_QUOTA(0x5808, 168, "O"),  /* Q_XGETQSTATV */
    LULL_QUOTA(0x5809, 112, "O"),  /* Q_XGETNEXTQUOTA */
    {LULL_NR_QUOTACTL, 0, LULL_VARIANT_ANY, "vpvz"},
    {LULL_NR_QUOTACTL_FD, 0, LULL_VARIANT_ANY, "fvvz"},

    {LULL_NR_KEYCTL, 0, 0, "vvvzz"},  /* GET_KEYRING_ID */
    {LULL_NR_KEYCTL, 0, 2, "vvivz"},  /* UPDATE */
    {LULL_NR_KEYCTL, 0, 3, "vvzzz"},  /* REVOKE */
    {LULL_NR_KEYCTL, 0, 4, "vvvvz"},  /* CHOWN */
    {LULL_NR_KEYCTL, 0, 5, "vvvzz"},  /* SETPERM */
    {LULL_NR_KEYCTL, 0, 6, "vvovz"},  /* DESCRIBE */
    {LULL_NR_KEYCTL, 0, 7, "vvzzz"},  /* CLEAR */
    {LULL_NR_KEYCTL, 0, 8, "vvvzz"},  /* LINK */
    {LULL_NR_KEYCTL, 0, 9, "vvvzz"},  /* UNLINK */
    {LULL_NR_KEYCTL, 0, 10, "vvssv"}, /* SEARCH */
    {LULL_NR_KEYCTL, 0, 11, "vvovz"}, /* READ */
    {LULL_NR_KEYCTL, 0, 12, "vvivv"}, /* INSTANTIATE */
    {LULL_NR_KEYCTL, 0, 13, "vvvvz"}, /* NEGATE */
    {LULL_NR_KEYCTL, 0, 14, "vvzzz"}, /* SET_REQKEY_KEYRING */
    {LULL_NR_KEYCTL, 0, 15, "vvvzz"}, /* SET_TIMEOUT */
    {LULL_NR_KEYCTL, 0, 16, "vvzzz"}, /* ASSUME_AUTHORITY */
    {LULL_NR_KEYCTL, 0, 17, "vvovz"}, /* GET_SECURITY */
    {LULL_NR_KEYCTL, 0, 19, "vvvvv"}, /* REJECT */
    {LULL_NR_KEYCTL, 0, 21, "vvzzz"}, /* INVALIDATE */
    {LULL_NR_KEYCTL, 0, 22, "vvvzz"}, /* GET_PERSISTENT */
    {LULL_NR_KEYCTL, 0, 29, "vvssz"}, /* RESTRICT_KEYRING */
    {LULL_NR_KEYCTL, 0, 30, "vvvvv"}, /* MOVE */
    {LULL_NR_KEYCTL, 0, 31, "vovzz"}, /* CAPABILITIES */
    {LULL_NR_KEYCTL, 0, 1, ""},       /* JOIN_SESSION_KEYRING: children would not have it */
    {LULL_NR_KEYCTL, 0, 18, ""},      /* SESSION_TO_PARENT */
    {LULL_NR_KEYCTL, 0, 20, ""},      /* INSTANTIATE_IOV */
    {LULL_NR_KEYCTL, 0, 23, ""},      /* DH_COMPUTE */
    {LULL_NR_KEYCTL, 0, 24, ""},      /* PKEY_QUERY, _ENCRYPT, _DECRYPT, _SIGN, _VERIFY */
    {LULL_NR_KEYCTL, 0, 25, ""},
    {LULL_NR_KEYCTL, 0, 26, ""},
    {LULL_NR_KEYCTL, 0, 27, ""},
    {LULL_NR_KEYCTL, 0, 28, ""},
    {LULL_NR_KEYCTL, 0, 32, ""}, /* WATCH_KEY */
    {LULL_NR_KEYCTL, 0, LULL_VARIANT_ANY, "vzzzz"},

    {LULL_NR_FSCONFIG, 0, 0, "fvsvv"}, /* SET_FLAG: anything but 0 in the last two is EINVAL */
    {LULL_NR_FSCONFIG, 0, 1, "fvssv"}, /* SET_STRING */
    {LULL_NR_FSCONFIG, 0, 2, "fvsiv"}, /* SET_BINARY */
    {LULL_NR_FSCONFIG, 0, 3, "fvspf"}, /* SET_PATH */
    {LULL_NR_FSCONFIG, 0, 4, "fvspf"}, /* SET_PATH_EMPTY */
    {LULL_NR_FSCONFIG, 0, 5, "fvsvf"}, /* SET_FD */
    {LULL_NR_FSCONFIG, 0, 6, "fvvvv"}, /* CMD_CREATE: anything but 0 is EINVAL */
    {LULL_NR_FSCONFIG, 0, 7, "fvvvv"}, /* CMD_RECONFIGURE */
    {LULL_NR_FSCONFIG, 0, 8, "fvvvv"}, /* CMD_CREATE_EXCL */
    {LULL_NR_FSCONFIG, 0, LULL_VARIANT_ANY, "fvzzz"},
    {0, 0, 0, 0},
};

/* The command of such a call; args: the call's arguments. */
static inline uint32_t lull_variant_command(uint32_t nr, const uint64_t *args)
{
    switch (nr) {
    case LULL_NR_QUOTACTL:
        return (uint32_t)args[0] >> 8;
    case LULL_NR_QUOTACTL_FD:
        return (uint32_t)args[1] >> 8;
    case LULL_NR_FSCONFIG:
        return (uint32_t)args[1];
    default:
        return (uint32_t)args[0];
    }
}

/* 0: no such row. */
static inline const struct lull_variant *lull_variant_find(uint32_t nr, const uint64_t *args)
{
    uint32_t command = lull_variant_command(nr, args);
    for (const struct lull_variant *v = lull_variants; v->nr; v++)
        if (v->nr == nr && (v->command == command || v->command == LULL_VARIANT_ANY))
            return v;
    return 0;
}

#endif
