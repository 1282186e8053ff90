/* SPDX-License-Identifier: MIT */
#include "carve/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "carve/launcher.h"
#include "carve/memory.h"
#include "message.h"

hwloc_obj_t machine_node_of(hwloc_topology_t t, unsigned cpu)
{
    hwloc_obj_t node = NULL, best = NULL;
    /* memory without CPUs may be counted to CPUs too: to more of them, or under a later number */
    while ((node = hwloc_get_next_obj_by_type(t, HWLOC_OBJ_NUMANODE, node))) {
        if (!hwloc_bitmap_isset(node->cpuset, cpu))
            continue;
        int more =
            best ? hwloc_bitmap_weight(node->cpuset) - hwloc_bitmap_weight(best->cpuset) : -1;
        if (more < 0 || (more == 0 && node->os_index < best->os_index))
            best = node;
    }
    return best;
}

/* A topology without plugins (GPUs, PCI), which are kept out by a path without any. */
static hwloc_topology_t new_topology(void)
{
    hwloc_topology_t t = NULL;
    bool plugins = getenv("HWLOC_PLUGINS_PATH") != NULL;
    if (!plugins)
        setenv("HWLOC_PLUGINS_PATH", "/dev/null", 0);
    int rc = hwloc_topology_init(&t);
    if (!plugins)
        unsetenv("HWLOC_PLUGINS_PATH");
    if (rc != 0)
        return NULL;
    static const hwloc_obj_type_t kept[] = {HWLOC_OBJ_PACKAGE, HWLOC_OBJ_L3CACHE, HWLOC_OBJ_L2CACHE,
                                            HWLOC_OBJ_CORE};
    hwloc_topology_set_all_types_filter(t, HWLOC_TYPE_FILTER_KEEP_NONE);
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
        hwloc_topology_set_type_filter(t, kept[i], HWLOC_TYPE_FILTER_KEEP_ALL);
    /* a node that is part of a package hangs on a group; without, it would have all of the package
     */
    hwloc_topology_set_type_filter(t, HWLOC_OBJ_GROUP, HWLOC_TYPE_FILTER_KEEP_STRUCTURE);
    return t;
}

/*
 * This machine, as little of it as is needed: loads in 0.3 ms instead of 3. The x86 component would
 * visit every CPU, and hwloc's look for kinds opens files of each.
 */
static hwloc_topology_t load_here(void)
{
    hwloc_topology_t t = new_topology();
    if (!t)
        return NULL;
    hwloc_topology_set_components(t, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, "x86");
    hwloc_topology_set_flags(t, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED |
                                    HWLOC_TOPOLOGY_FLAG_NO_MEMATTRS |
                                    HWLOC_TOPOLOGY_FLAG_NO_CPUKINDS);
    if (hwloc_topology_load(t) == 0) {
        machine_add_kinds(t, "");
        return t;
    }
    hwloc_topology_destroy(t);
    return NULL;
}

/* Nodes, ascending. Free memory: all there is. */
static void read_nodes(struct machine *m)
{
    hwloc_const_nodeset_t allowed = hwloc_topology_get_allowed_nodeset(m->topology);
    hwloc_const_nodeset_t all = hwloc_topology_get_topology_nodeset(m->topology);
    m->nnodes = 0;
    m->free = 0;
    for (int n = hwloc_bitmap_first(all); n >= 0; n = hwloc_bitmap_next(all, n)) {
        hwloc_obj_t obj = hwloc_get_numanode_obj_by_os_index(m->topology, (unsigned)n);
        if (!obj || n >= OPTIONS_MAX_NODE || m->nnodes == CARVE_MAX_NODES)
            continue;
        uint64_t bytes =
            hwloc_bitmap_isset(allowed, (unsigned)n) ? obj->attr->numanode.local_memory : 0;
        m->node[m->nnodes++] =
            (struct machine_node){.node = (uint16_t)n, .bytes = bytes, .free = bytes, .obj = obj};
        m->free += bytes;
    }
    hwloc_obj_t pu = NULL;
    while ((pu = hwloc_get_next_obj_by_type(m->topology, HWLOC_OBJ_PU, pu))) {
        hwloc_obj_t node = machine_node_of(m->topology, pu->os_index);
        for (unsigned i = 0; node && i < m->nnodes; i++)
            m->node[i].cpus = m->node[i].cpus || m->node[i].obj == node;
    }
}

int machine_read(struct machine *m)
{
    *m = (struct machine){.here = true, .topology = load_here(), .allowed = hwloc_bitmap_alloc()};
    if (!m->topology || !m->allowed) {
        message("hwloc cannot read this machine's topology: %s", strerror(errno));
        goto fail;
    }
    int rc = launcher_affinity(0, m->allowed);
    if (rc != 0) {
        message("cannot read the affinity mask: %s", strerror(-rc));
        goto fail;
    }
    hwloc_bitmap_and(m->allowed, m->allowed, hwloc_topology_get_allowed_cpuset(m->topology));
    read_nodes(m);
    rc = memory_available("", &m->free);
    if (rc != 0) {
        message("cannot read /proc/meminfo: %s", strerror(-rc));
        goto fail;
    }
    for (unsigned i = 0; i < m->nnodes; i++) {
        struct machine_node *n = &m->node[i];
        /* of one node Linux says the same more exactly, for the whole machine */
        if (n->bytes > 0 && (m->nnodes == 1 || memory_available_on("", n->node, &n->free) != 0))
            n->free = m->free;
    }
    return 0;
fail:
    machine_free(m);
    return LULL_EXIT_FAILED;
}

/* CPUs of a synthetic description, as far as its numbers say: "pack:2 [numa] core:4 pu:2" is 16. */
static bool too_many(const char *text)
{
    unsigned long long product = 1;
    unsigned bracket = 0;
    for (const char *p = text; *p; p++) {
        bracket += *p == '(' || *p == '[';
        bracket -= (*p == ')' || *p == ']') && bracket > 0;
        if (bracket > 0 || *p < '0' || *p > '9' || (p > text && !strchr(": ", p[-1])))
            continue;
        unsigned long n = strtoul(p, NULL, 10);
        if (n > MACHINE_CPUS_MAX)
            return true;
        product *= n > 0 ? n : 1;
        if (product > MACHINE_CPUS_MAX)
            return true;
    }
    return false;
}

/* The whole of a file; NULL after one message(). */
static char *read_file(const char *path, size_t *size)
{
    struct stat st;
    char *text = NULL;
    ssize_t n;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st) != 0) {
        message("--topology %s: cannot read it: %s", path, strerror(errno));
        goto out;
    }
    if (S_ISREG(st.st_mode) && st.st_size > MACHINE_XML_MAX)
        goto huge;
    text = malloc(MACHINE_XML_MAX + 2);
    if (!text) {
        message("--topology %s: no memory for it", path);
        goto out;
    }
    *size = 0;
    while ((n = read(fd, text + *size, MACHINE_XML_MAX + 1 - *size)) > 0)
        *size += (size_t)n;
    if (n < 0) {
        message("--topology %s: cannot read it: %s", path, strerror(errno));
        goto fail;
    }
    if (*size > MACHINE_XML_MAX)
        goto huge;
    text[(*size)++] = '\0'; /* hwloc counts it */
    goto out;
huge:
    message("--topology %s: larger than %u MiB, no topology is", path, MACHINE_XML_MAX >> 20);
fail:
    free(text);
    text = NULL;
out:
    if (fd >= 0)
        close(fd);
    return text;
}

/* A topology's text: XML, or a description when `xml` is NULL. */
struct source {
    const char *text, *xml;
    size_t size;
};

/* hwloc says on stderr what it finds wrong in a file, at length; one line of ours is enough. */
static bool load(hwloc_topology_t t, const struct source *s)
{
    bool hide = getenv("HWLOC_HIDE_ERRORS") != NULL;
    if (!hide)
        setenv("HWLOC_HIDE_ERRORS", "2", 0);
    int rc = s->xml ? hwloc_topology_set_xmlbuffer(t, s->xml, (int)s->size)
                    : hwloc_topology_set_synthetic(t, s->text);
    if (rc == 0)
        rc = hwloc_topology_load(t);
    if (!hide)
        unsetenv("HWLOC_HIDE_ERRORS");
    return rc == 0 && hwloc_get_nbobjs_by_type(t, HWLOC_OBJ_PU) > 0;
}

/* hwloc 2.9 crashes over some files that it did not write: a child tries first. */
static bool load_safely(hwloc_topology_t t, const struct source *s)
{
    int status = 0;
    pid_t child = s->xml ? fork() : -1;
    if (child == 0) {
        static const struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        alarm(60);
        _exit(load(t, s) ? 0 : 1);
    }
    if (child > 0)
        while (waitpid(child, &status, 0) < 0 && errno == EINTR)
            ;
    return status == 0 && load(t, s);
}

int machine_read_text(struct machine *m, const char *text)
{
    struct source s = {.text = text};
    char *xml = NULL;
    *m = (struct machine){.topology = new_topology(), .allowed = hwloc_bitmap_alloc()};
    if (!m->topology || !m->allowed) {
        message("hwloc cannot begin: %s", strerror(errno));
        goto fail;
    }
    hwloc_topology_set_flags(m->topology, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED);
    bool file =
        access(text, F_OK) == 0 || errno != ENOENT || strchr(text, '/') || !strchr(text, ':');
    if (file)
        s.xml = xml = read_file(text, &s.size);
    if (file && !xml)
        goto fail;
    bool many = !file && too_many(text);
    if (!many && !load_safely(m->topology, &s)) {
        if (file)
            message("--topology %s: no topology as hwloc writes it; make one: lstopo FILE.xml",
                    text);
        else
            message("--topology '%.100s': no file, and no description such as 'pack:2 core:4 pu:2'",
                    text);
        goto fail;
    }
    if (many || hwloc_get_nbobjs_by_type(m->topology, HWLOC_OBJ_PU) > (int)MACHINE_CPUS_MAX) {
        message("--topology '%.100s': more than %u CPUs", text, MACHINE_CPUS_MAX);
        goto fail;
    }
    hwloc_bitmap_copy(m->allowed, hwloc_topology_get_allowed_cpuset(m->topology));
    read_nodes(m);
    free(xml);
    return 0;
fail:
    free(xml);
    machine_free(m);
    return LULL_EXIT_FAILED;
}

bool machine_memory_unknown(const struct machine *m)
{
    return !m->here && m->free == 0;
}

void machine_free(struct machine *m)
{
    hwloc_bitmap_free(m->allowed);
    if (m->topology)
        hwloc_topology_destroy(m->topology);
    *m = (struct machine){.nnodes = 0};
}
