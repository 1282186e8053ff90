/* SPDX-License-Identifier: MIT */
/*
 * The ioctl(2) requests that are forwarded, and what the third argument of each is. Both sides look
 * here: the kernel for the application's rights, the proxy for sizes. Everything else is refused:
 * a request's number does not say whether there are pointers in what it points to. Numbers:
 * asm-generic/ioctls.h, linux/fs.h, linux/sockios.h of Linux 6.1.
 */
#ifndef LULL_IOCTLS_H
#define LULL_IOCTLS_H

#include <stdint.h>

/* Points to a struct ifconf, which points to the list. */
#define LULL_SIOCGIFCONF 0x8912u
/* Points to a struct fiemap, which the list follows. */
#define LULL_FIEMAP 0xc020660bu
/* Points to a structure that begins with its size and has the address of a name. */
#define LULL_PROCMAP_QUERY 0xc0686611u
#define LULL_PROCMAP_SIZE 104u     /* bytes of the structure in Linux 6.11 .. 6.18 */
#define LULL_PROCMAP_NAME_SIZE 80u /* where the u32 of the name's length is, and its address */
#define LULL_PROCMAP_NAME 88u

enum lull_ioctl_kind {
    LULL_IOCTL_NONE,   /* not looked at */
    LULL_IOCTL_VALUE,  /* a number */
    LULL_IOCTL_FD,     /* a descriptor */
    LULL_IOCTL_IN,     /* pointer to `size` bytes that are read */
    LULL_IOCTL_OUT,    /* to bytes that are written, and perhaps read */
    LULL_IOCTL_IN_FD,  /* to bytes that are read; the first four of them are a descriptor */
    LULL_IOCTL_NEW_FD, /* not looked at; the answer is a new descriptor */
};

struct lull_ioctl {
    uint32_t request;
    uint16_t kind;
    uint16_t size; /* bytes */
};

/* Ends with request 0. */
static const struct lull_ioctl lull_ioctls[] = {
    {0x5451, LULL_IOCTL_NONE, 0},       /* FIOCLEX */
    {0x5450, LULL_IOCTL_NONE, 0},       /* FIONCLEX */
    {0x5421, LULL_IOCTL_IN, 4},         /* FIONBIO */
    {0x5452, LULL_IOCTL_IN, 4},         /* FIOASYNC */
    {0x541b, LULL_IOCTL_OUT, 4},        /* FIONREAD */
    {0x5460, LULL_IOCTL_OUT, 8},        /* FIOQSIZE */
    {0x0002, LULL_IOCTL_OUT, 4},        /* FIGETBSZ */
    {0x40049409, LULL_IOCTL_FD, 0},     /* FICLONE */
    {0x80086601, LULL_IOCTL_OUT, 4},    /* FS_IOC_GETFLAGS */
    {0x40086602, LULL_IOCTL_IN, 4},     /* FS_IOC_SETFLAGS */
    {0x80087601, LULL_IOCTL_OUT, 4},    /* FS_IOC_GETVERSION */
    {0x5401, LULL_IOCTL_OUT, 36},       /* TCGETS */
    {0x5402, LULL_IOCTL_IN, 36},        /* TCSETS */
    {0x5403, LULL_IOCTL_IN, 36},        /* TCSETSW */
    {0x5404, LULL_IOCTL_IN, 36},        /* TCSETSF */
    {0x802c542a, LULL_IOCTL_OUT, 44},   /* TCGETS2 */
    {0x402c542b, LULL_IOCTL_IN, 44},    /* TCSETS2 */
    {0x402c542c, LULL_IOCTL_IN, 44},    /* TCSETSW2 */
    {0x402c542d, LULL_IOCTL_IN, 44},    /* TCSETSF2 */
    {0x5409, LULL_IOCTL_VALUE, 0},      /* TCSBRK */
    {0x5425, LULL_IOCTL_VALUE, 0},      /* TCSBRKP */
    {0x540a, LULL_IOCTL_VALUE, 0},      /* TCXONC */
    {0x540b, LULL_IOCTL_VALUE, 0},      /* TCFLSH */
    {0x540c, LULL_IOCTL_NONE, 0},       /* TIOCEXCL */
    {0x540d, LULL_IOCTL_NONE, 0},       /* TIOCNXCL */
    {0x540f, LULL_IOCTL_OUT, 4},        /* TIOCGPGRP */
    {0x5410, LULL_IOCTL_IN, 4},         /* TIOCSPGRP */
    {0x5429, LULL_IOCTL_OUT, 4},        /* TIOCGSID */
    {0x5411, LULL_IOCTL_OUT, 4},        /* TIOCOUTQ */
    {0x5413, LULL_IOCTL_OUT, 8},        /* TIOCGWINSZ */
    {0x5414, LULL_IOCTL_IN, 8},         /* TIOCSWINSZ */
    {0x5415, LULL_IOCTL_OUT, 4},        /* TIOCMGET */
    {0x5418, LULL_IOCTL_IN, 4},         /* TIOCMSET */
    {0x5416, LULL_IOCTL_IN, 4},         /* TIOCMBIS */
    {0x5417, LULL_IOCTL_IN, 4},         /* TIOCMBIC */
    {0x5424, LULL_IOCTL_OUT, 4},        /* TIOCGETD */
    {0x80045430, LULL_IOCTL_OUT, 4},    /* TIOCGPTN */
    {0x40045431, LULL_IOCTL_IN, 4},     /* TIOCSPTLCK */
    {0x5441, LULL_IOCTL_VALUE, 0},      /* TIOCGPTPEER */
    {0x5420, LULL_IOCTL_IN, 4},         /* TIOCPKT */
    {0x540e, LULL_IOCTL_VALUE, 0},      /* TIOCSCTTY */
    {0x5422, LULL_IOCTL_NONE, 0},       /* TIOCNOTTY */
    {0x8905, LULL_IOCTL_OUT, 4},        /* SIOCATMARK */
    {0x8914, LULL_IOCTL_IN, 40},        /* SIOCSIFFLAGS */
    {0x8916, LULL_IOCTL_IN, 40},        /* SIOCSIFADDR */
    {0x891c, LULL_IOCTL_IN, 40},        /* SIOCSIFNETMASK */
    {0x8922, LULL_IOCTL_IN, 40},        /* SIOCSIFMTU */
    {0x8970, LULL_IOCTL_OUT, 40},       /* SIOCGIFMAP */
    {0x8903, LULL_IOCTL_OUT, 4},        /* FIOGETOWN */
    {0x8904, LULL_IOCTL_OUT, 4},        /* SIOCGPGRP */
    {0x8906, LULL_IOCTL_OUT, 16},       /* SIOCGSTAMP */
    {0x8907, LULL_IOCTL_OUT, 16},       /* SIOCGSTAMPNS */
    {0x8910, LULL_IOCTL_OUT, 40},       /* SIOCGIFNAME */
    {0x8933, LULL_IOCTL_OUT, 40},       /* SIOCGIFINDEX */
    {0x8913, LULL_IOCTL_OUT, 40},       /* SIOCGIFFLAGS */
    {0x8915, LULL_IOCTL_OUT, 40},       /* SIOCGIFADDR */
    {0x8917, LULL_IOCTL_OUT, 40},       /* SIOCGIFDSTADDR */
    {0x8919, LULL_IOCTL_OUT, 40},       /* SIOCGIFBRDADDR */
    {0x891b, LULL_IOCTL_OUT, 40},       /* SIOCGIFNETMASK */
    {0x891d, LULL_IOCTL_OUT, 40},       /* SIOCGIFMETRIC */
    {0x891f, LULL_IOCTL_OUT, 40},       /* SIOCGIFMEM */
    {0x8935, LULL_IOCTL_OUT, 40},       /* SIOCGIFPFLAGS */
    {0x8921, LULL_IOCTL_OUT, 40},       /* SIOCGIFMTU */
    {0x8927, LULL_IOCTL_OUT, 40},       /* SIOCGIFHWADDR */
    {0x8942, LULL_IOCTL_OUT, 40},       /* SIOCGIFTXQLEN */
    {0x0001, LULL_IOCTL_OUT, 4},        /* FIBMAP */
    {0xc0045877, LULL_IOCTL_OUT, 4},    /* FIFREEZE */
    {0xc0045878, LULL_IOCTL_OUT, 4},    /* FITHAW */
    {0xc0185879, LULL_IOCTL_OUT, 24},   /* FITRIM */
    {0x4020940d, LULL_IOCTL_IN_FD, 32}, /* FICLONERANGE */
    {0x40087602, LULL_IOCTL_IN, 4},     /* FS_IOC_SETVERSION */
    {0x801c581f, LULL_IOCTL_OUT, 28},   /* FS_IOC_FSGETXATTR */
    {0x401c5820, LULL_IOCTL_IN, 28},    /* FS_IOC_FSSETXATTR */
    {0x81009431, LULL_IOCTL_OUT, 256},  /* FS_IOC_GETFSLABEL */
    {0x41009432, LULL_IOCTL_IN, 256},   /* FS_IOC_SETFSLABEL */
    {0x80111500, LULL_IOCTL_OUT, 17},   /* FS_IOC_GETFSUUID */
    {0x4c00, LULL_IOCTL_FD, 0},         /* LOOP_SET_FD */
    {0x4c01, LULL_IOCTL_NONE, 0},       /* LOOP_CLR_FD */
    {0x4c02, LULL_IOCTL_IN, 168},       /* LOOP_SET_STATUS */
    {0x4c03, LULL_IOCTL_OUT, 168},      /* LOOP_GET_STATUS */
    {0x4c04, LULL_IOCTL_IN, 232},       /* LOOP_SET_STATUS64 */
    {0x4c05, LULL_IOCTL_OUT, 232},      /* LOOP_GET_STATUS64 */
    {0x4c06, LULL_IOCTL_FD, 0},         /* LOOP_CHANGE_FD */
    {0x4c07, LULL_IOCTL_NONE, 0},       /* LOOP_SET_CAPACITY */
    {0x4c08, LULL_IOCTL_VALUE, 0},      /* LOOP_SET_DIRECT_IO */
    {0x4c09, LULL_IOCTL_VALUE, 0},      /* LOOP_SET_BLOCK_SIZE */
    {0x4c0a, LULL_IOCTL_IN_FD, 304},    /* LOOP_CONFIGURE */
    {0x4c80, LULL_IOCTL_VALUE, 0},      /* LOOP_CTL_ADD */
    {0x4c81, LULL_IOCTL_VALUE, 0},      /* LOOP_CTL_REMOVE */
    {0x4c82, LULL_IOCTL_NONE, 0},       /* LOOP_CTL_GET_FREE */
    {0x125d, LULL_IOCTL_IN, 4},         /* BLKROSET */
    {0x125e, LULL_IOCTL_OUT, 4},        /* BLKROGET */
    {0x125f, LULL_IOCTL_NONE, 0},       /* BLKRRPART */
    {0x1260, LULL_IOCTL_OUT, 8},        /* BLKGETSIZE */
    {0x1261, LULL_IOCTL_NONE, 0},       /* BLKFLSBUF */
    {0x1262, LULL_IOCTL_VALUE, 0},      /* BLKRASET */
    {0x1263, LULL_IOCTL_OUT, 8},        /* BLKRAGET */
    {0x1267, LULL_IOCTL_OUT, 2},        /* BLKSECTGET */
    {0x1268, LULL_IOCTL_OUT, 4},        /* BLKSSZGET */
    {0x1277, LULL_IOCTL_IN, 16},        /* BLKDISCARD */
    {0x1278, LULL_IOCTL_OUT, 4},        /* BLKIOMIN */
    {0x1279, LULL_IOCTL_OUT, 4},        /* BLKIOOPT */
    {0x127a, LULL_IOCTL_OUT, 4},        /* BLKALIGNOFF */
    {0x127b, LULL_IOCTL_OUT, 4},        /* BLKPBSZGET */
    {0x127c, LULL_IOCTL_OUT, 4},        /* BLKDISCARDZEROES */
    {0x127e, LULL_IOCTL_OUT, 2},        /* BLKROTATIONAL */
    {0x127f, LULL_IOCTL_IN, 16},        /* BLKZEROOUT */
    {0x80081270, LULL_IOCTL_OUT, 4},    /* BLKBSZGET */
    {0x40081271, LULL_IOCTL_IN, 4},     /* BLKBSZSET */
    {0x80081272, LULL_IOCTL_OUT, 8},    /* BLKGETSIZE64 */
    {0x80081280, LULL_IOCTL_OUT, 8},    /* BLKGETDISKSEQ */
    {0x0301, LULL_IOCTL_OUT, 16},       /* HDIO_GETGEO */
    {0x80045200, LULL_IOCTL_OUT, 4},    /* RNDGETENTCNT */
    {0x40045201, LULL_IOCTL_IN, 4},     /* RNDADDTOENTCNT */
    {0xff01, LULL_IOCTL_NEW_FD, 0},     /* PIDFD_GET_CGROUP_NAMESPACE ... */
    {0xff02, LULL_IOCTL_NEW_FD, 0},
    {0xff03, LULL_IOCTL_NEW_FD, 0},
    {0xff04, LULL_IOCTL_NEW_FD, 0},
    {0xff05, LULL_IOCTL_NEW_FD, 0},
    {0xff06, LULL_IOCTL_NEW_FD, 0},
    {0xff07, LULL_IOCTL_NEW_FD, 0},
    {0xff08, LULL_IOCTL_NEW_FD, 0},
    {0xff09, LULL_IOCTL_NEW_FD, 0},
    {0xff0a, LULL_IOCTL_NEW_FD, 0},   /* ... PIDFD_GET_UTS_NAMESPACE */
    {0xc004ff0b, LULL_IOCTL_OUT, 4},  /* shorter than it ever was: EINVAL */
    {0xc040ff0b, LULL_IOCTL_OUT, 64}, /* PIDFD_GET_INFO, by the length of its structure */
    {0xc048ff0b, LULL_IOCTL_OUT, 72},
    {0xc050ff0b, LULL_IOCTL_OUT, 80},
    {0xb701, LULL_IOCTL_NEW_FD, 0},    /* NS_GET_USERNS */
    {0xb702, LULL_IOCTL_NEW_FD, 0},    /* NS_GET_PARENT */
    {0xb703, LULL_IOCTL_NONE, 0},      /* NS_GET_NSTYPE */
    {0xb704, LULL_IOCTL_OUT, 4},       /* NS_GET_OWNER_UID */
    {0x8008b705, LULL_IOCTL_OUT, 8},   /* NS_GET_MNTNS_ID */
    {0x8004b706, LULL_IOCTL_VALUE, 0}, /* NS_GET_PID_FROM_PIDNS */
    {0x8004b707, LULL_IOCTL_VALUE, 0}, /* NS_GET_TGID_FROM_PIDNS */
    {0x8004b708, LULL_IOCTL_VALUE, 0}, /* NS_GET_PID_IN_PIDNS */
    {0x8004b709, LULL_IOCTL_VALUE, 0}, /* NS_GET_TGID_IN_PIDNS */
    {0x5405, LULL_IOCTL_OUT, 18},      /* TCGETA */
    {0x5406, LULL_IOCTL_IN, 18},       /* TCSETA, TCSETAW, TCSETAF */
    {0x5407, LULL_IOCTL_IN, 18},
    {0x5408, LULL_IOCTL_IN, 18},
    {0x400454ca, LULL_IOCTL_OUT, 40},  /* TUNSETIFF: the name is written back */
    {0x400454cb, LULL_IOCTL_VALUE, 0}, /* TUNSETPERSIST */
    {0x400454cc, LULL_IOCTL_VALUE, 0}, /* TUNSETOWNER */
    {0x400454ce, LULL_IOCTL_VALUE, 0}, /* TUNSETGROUP */
    {0x800454cf, LULL_IOCTL_OUT, 4},   /* TUNGETFEATURES */
    {0x400454d0, LULL_IOCTL_VALUE, 0}, /* TUNSETOFFLOAD */
    {0x800454d2, LULL_IOCTL_OUT, 40},  /* TUNGETIFF */
    {0x800454d7, LULL_IOCTL_OUT, 4},   /* TUNGETVNETHDRSZ */
    {0x400454d8, LULL_IOCTL_IN, 4},    /* TUNSETVNETHDRSZ */
    {0, LULL_IOCTL_NONE, 0},
};

/* NULL: not forwarded. */
static inline const struct lull_ioctl *lull_ioctl_find(uint32_t request)
{
    for (const struct lull_ioctl *i = lull_ioctls; i->request; i++)
        if (i->request == request)
            return i;
    return 0;
}

#endif
