/* Kills the process that it is preloaded into, with a signal that cannot be caught, before a chosen one of the steps by
 * which it changes a folder: KILL_IN is the folder, KILL_AT the number of the step, from one. A writing is two steps, so
 * that a file can be left with half of its bytes. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *folder;
static unsigned long at, steps;

__attribute__((constructor)) static void begin(void) {
    const char *number = getenv("KILL_AT");
    at = number ? strtoul(number, NULL, 10) : 0;
    folder = getenv("KILL_IN");
}

static void step(void) {
    if (__atomic_add_fetch(&steps, 1, __ATOMIC_SEQ_CST) == at) kill(getpid(), SIGKILL);
}

static int is_path_in_folder(const char *path) {
    return folder && strncmp(path, folder, strlen(folder)) == 0;
}

/* Whether a descriptor is the folder or a file in it. Leaves `errno` as it was. */
static int is_in_folder(int descriptor) {
    char link[32], path[4096] = {0};
    int before = errno;
    if (!folder) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    long length = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1);
    errno = before;
    return length > 0 && is_path_in_folder(path);
}

/* Not through the functions that these take the place of: nothing has to be looked up before the first call. */

static int opened(int descriptor, const char *name, int flags, mode_t mode) {
    if (flags & O_CREAT && is_in_folder(descriptor)) step();
    return (int)syscall(SYS_openat, descriptor, name, flags, mode);
}

#define OPENAT(function)                                                        \
    int function(int descriptor, const char *name, int flags, ...) {            \
        va_list more;                                                           \
        va_start(more, flags);                                                  \
        mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;               \
        va_end(more);                                                           \
        return opened(descriptor, name, flags, mode);                           \
    }
OPENAT(openat)
OPENAT(openat64)

int mkdir(const char *path, mode_t mode) {
    if (is_path_in_folder(path)) step();
    return (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}

int renameat(int from, const char *name, int to, const char *next) {
    if (is_in_folder(from) || is_in_folder(to)) step();
    return (int)syscall(SYS_renameat2, from, name, to, next, 0);
}

int unlinkat(int descriptor, const char *name, int flags) {
    if (is_in_folder(descriptor)) step();
    return (int)syscall(SYS_unlinkat, descriptor, name, flags);
}

int fsync(int descriptor) {
    if (is_in_folder(descriptor)) step();
    return (int)syscall(SYS_fsync, descriptor);
}

ssize_t write(int descriptor, const void *bytes, size_t count) {
    if (!is_in_folder(descriptor)) return syscall(SYS_write, descriptor, bytes, count);
    step();
    ssize_t first = syscall(SYS_write, descriptor, bytes, count / 2);
    if (first < 0) return first;
    step();
    ssize_t rest = syscall(SYS_write, descriptor, (const char *)bytes + first, count - (size_t)first);
    return rest < 0 ? first : first + rest;
}
