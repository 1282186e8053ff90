/* SPDX-License-Identifier: MIT */
/*
 * The first and only process of a Linux that lull-bench noise boots under QEMU: runs fwq on one
 * CPU, sends what came of it through the second serial port, and powers off.
 * Arguments, on the kernel's command line behind "--": CPU SECONDS FWQ-ARGUMENTS...
 * What is sent: "@NAME LENGTH\n" and so many bytes, several times; "@end 0\n" is the last.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define PORT "/dev/ttyS1"
static int port = -1;

static void send_bytes(const char *p, size_t len)
{
    while (len > 0) {
        ssize_t n = write(port, p, len);
        if (n < 0 && errno != EINTR)
            return; /* lull-bench misses the end */
        p += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
}

static void send_section(const char *name, const char *data, size_t len)
{
    char head[64];
    send_bytes(head, (size_t)snprintf(head, sizeof head, "@%s %zu\n", name, len));
    send_bytes(data, len);
}

/* The whole of a file; one in /proc has no length to ask for. */
static void send_file(const char *name, const char *path)
{
    size_t len = 0, room = 0;
    char *data = NULL;
    int fd = open(path, O_RDONLY);
    for (ssize_t n = 1; fd >= 0 && n > 0; len += (size_t)n) {
        if (len == room) {
            char *more = realloc(data, room = room ? 2 * room : 65536);
            if (!more)
                break;
            data = more;
        }
        n = read(fd, data + len, room - len);
        if (n < 0)
            break;
    }
    send_section(name, data, len);
    if (fd >= 0)
        close(fd);
    free(data);
}

__attribute__((noreturn)) static void power_off(void)
{
    if (port >= 0) {
        send_section("end", "", 0);
        tcdrain(port);
    }
    reboot(RB_POWER_OFF);
    _exit(1); /* the kernel panics, QEMU ends */
}

__attribute__((noreturn)) static void fail(const char *what)
{
    char text[256];
    int n = snprintf(text, sizeof text, "%s: %s", what, strerror(errno));
    fprintf(stderr, "noise init: %s\n", text);
    if (port >= 0)
        send_section("error", text, (size_t)n);
    power_off();
}

static void mount_all(void)
{
    mkdir("/proc", 0755);
    mkdir("/sys", 0755);
    mkdir("/dev", 0755);
    mkdir("/out", 0755);
    if (mount("proc", "/proc", "proc", 0, NULL) || mount("sysfs", "/sys", "sysfs", 0, NULL) ||
        mount("devtmpfs", "/dev", "devtmpfs", 0, NULL))
        fail("mount");
}

static void open_port(void)
{
    struct termios t;
    port = open(PORT, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (port < 0 || tcgetattr(port, &t))
        fail(PORT);
    cfmakeraw(&t);
    cfsetspeed(&t, B115200);
    t.c_cflag |= CLOCAL;
    if (tcsetattr(port, TCSANOW, &t))
        fail(PORT);
}

__attribute__((noreturn)) static void exec_fwq(int cpu, char **args, int n)
{
    cpu_set_t set;
    char *argv[64] = {"/fwq", "--out", "/out/samples", "--interrupts", "/out/interrupts"};
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    int fd = open("/out/text", O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0)
        _exit(124);
    if (sched_setaffinity(0, sizeof set, &set)) {
        perror("noise init: sched_setaffinity");
        _exit(125);
    }
    for (int i = 0; i < n; i++)
        argv[5 + i] = args[i];
    execv(argv[0], argv);
    perror("noise init: fwq");
    _exit(126);
}

static void send_all(int status)
{
    struct utsname u;
    char text[32];
    if (uname(&u) == 0)
        send_section("kernel", u.release, strlen(u.release));
    send_section("status", text, (size_t)snprintf(text, sizeof text, "%d", status));
    send_file("cmdline", "/proc/cmdline");
    send_file("clocksource", "/sys/devices/system/clocksource/clocksource0/current_clocksource");
    send_file("online", "/sys/devices/system/cpu/online");
    send_file("nohz_full", "/sys/devices/system/cpu/nohz_full");
    send_file("isolated", "/sys/devices/system/cpu/isolated");
    send_file("text", "/out/text");
    send_file("before", "/out/interrupts.before");
    send_file("after", "/out/interrupts.after");
    send_file("samples", "/out/samples");
}

int main(int argc, char **argv)
{
    int status = 0;
    if (getpid() != 1) { /* what follows ends with the machine's power off */
        fprintf(stderr, "noise init: only for a machine of its own, as process 1\n");
        return 2;
    }
    mount_all();
    open_port();
    if (argc < 3 || argc > 40) {
        errno = EINVAL;
        fail("command line");
    }
    sleep((unsigned)atoi(argv[2])); /* what the kernel still does after its start is over then */
    pid_t pid = fork();
    if (pid == 0)
        exec_fwq(atoi(argv[1]), argv + 3, argc - 3);
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        fail("fwq");
    send_all(status);
    power_off();
}
