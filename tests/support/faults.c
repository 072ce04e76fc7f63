/* The faults of a disk, for tests/disk_faults.rs: a library that LD_PRELOAD puts between a process and the
 * kernel. It follows the operations on one database's files and on their folder, and writes each to a trace.
 *
 *   FAULT_DB     the database, as an absolute path without links
 *   FAULT_TRACE  the trace; each operation is a line, each write its bytes after that
 *   FAULT_AT     the number of the operation at which the fault happens, from 1; a fault that does not fit
 *                that operation waits for the next that it fits
 *   FAULT_KIND   which fault:
 *     enospc  writes and new files find no space, from there on
 *     torn    half of one write is written, then as enospc
 *     eio     one operation fails
 *     dead    each operation fails, from there on
 *     short   half of one write is written, and the call returns that length
 *     kill    the process is killed before the operation
 *     half    half of one write is written, then the process is killed
 *     read    one read, or one opening of a file, fails; reads have numbers of their own
 *
 * An operation is a write, a change of length, a sync, a map of shared memory, a new name or a removed one;
 * neither SQLite nor settle renames these files. Memory that is mapped is written without a trace: SQLite maps -shm only, which it makes anew.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FILES = 1024 };
enum kind { NONE, ENOSPC_, TORN, EIO_, DEAD, SHORT, KILL, HALF, READ };
enum what { WRITES, CREATES, CHANGES, READS };
enum fate { GOES_ON, FAILS, HALVES };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static char database[PATH_MAX], folder[PATH_MAX];
static char *paths[FILES]; /* of the descriptors that are followed */
static long at, operations, reads;
static enum kind kind;
static int has_happened, trace = -1;

__attribute__((constructor)) static void begin(void) {
    static const char *const names[] = {"",      "enospc", "torn", "eio", "dead",
                                        "short", "kill",   "half", "read"};
    const char *db = getenv("FAULT_DB"), *file = getenv("FAULT_TRACE"), *fault = getenv("FAULT_KIND");
    if (!db || !file || strlen(db) >= sizeof database) return;
    strcpy(database, db);
    strcpy(folder, db);
    *strrchr(folder, '/') = 0;
    for (int index = 1; fault && index <= READ; index++)
        if (!strcmp(fault, names[index])) kind = index;
    if (getenv("FAULT_AT")) at = atol(getenv("FAULT_AT"));
    int opened = syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    trace = fcntl(opened, F_DUPFD_CLOEXEC, FILES); /* a number that no file of the process has */
    if (trace < 0) trace = opened;
    else syscall(SYS_close, opened);
}

static int is_followed(const char *path) {
    return *database && path &&
           (!strncmp(path, database, strlen(database)) || !strcmp(path, folder));
}

static const char *path_of(int fd) { return fd >= 0 && fd < FILES ? paths[fd] : NULL; }

static void note(const char *format, ...) {
    char line[2 * PATH_MAX + 64];
    va_list values;
    va_start(values, format);
    int length = vsnprintf(line, sizeof line, format, values);
    va_end(values);
    syscall(SYS_write, trace, line, (size_t)length);
}

static int fits(enum what what) {
    switch (kind) {
    case ENOSPC_: return what == WRITES || what == CREATES;
    case TORN: return what == WRITES || (has_happened && what == CREATES);
    case SHORT:
    case HALF: return what == WRITES;
    case EIO_:
    case KILL: return what != READS;
    case DEAD: return what != READS || has_happened;
    case READ: return what == READS;
    default: return 0;
    }
}

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

/* What becomes of an operation; sets errno where it fails. */
static enum fate fate(enum what what, const char *name, const char *path) {
    long number = what == READS ? ++reads : ++operations;
    if (what == READS) note("read\n");
    int lasts = kind == ENOSPC_ || kind == TORN || kind == DEAD;
    long reached = kind == READ ? reads : operations;
    if (!fits(what) || (has_happened ? !lasts : reached < at)) return GOES_ON;
    int is_first = !has_happened;
    has_happened = 1;
    note("fault %ld %s %s\n", number, name, path);
    errno = kind == ENOSPC_ || kind == TORN ? ENOSPC : EIO;
    if (kind == KILL) die();
    return kind == SHORT || kind == HALF || (kind == TORN && is_first) ? HALVES : FAILS;
}

static int opened(int at_folder, const char *path, int flags, mode_t mode) {
    char absolute[PATH_MAX];
    if (path && *path != '/' && at_folder == AT_FDCWD && getcwd(absolute, sizeof absolute)) {
        size_t length = strlen(absolute);
        snprintf(absolute + length, sizeof absolute - length, "/%s", path);
    } else {
        snprintf(absolute, sizeof absolute, "%s", path ? path : "");
    }
    if (!is_followed(absolute)) return syscall(SYS_openat, at_folder, path, flags, mode);
    pthread_mutex_lock(&mutex);
    int creates = (flags & O_CREAT) && syscall(SYS_faccessat, AT_FDCWD, absolute, F_OK) != 0;
    int fd = -1;
    if (fate(creates ? CREATES : READS, creates ? "create" : "open", absolute) == GOES_ON) {
        fd = syscall(SYS_openat, at_folder, path, flags, mode);
        if (fd >= 0 && fd < FILES) {
            free(paths[fd]);
            paths[fd] = strdup(absolute);
            note("%s %d %s\n", creates ? "create" : "open", fd, absolute);
        }
    }
    pthread_mutex_unlock(&mutex);
    return fd;
}

#define MODE                                                                                                 \
    mode_t mode = 0;                                                                                         \
    if (flags & (O_CREAT | O_TMPFILE)) {                                                                     \
        va_list values;                                                                                      \
        va_start(values, flags);                                                                             \
        mode = va_arg(values, mode_t);                                                                       \
        va_end(values);                                                                                      \
    }
int open(const char *path, int flags, ...) { MODE return opened(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE return opened(AT_FDCWD, path, flags, mode); }
int openat(int folder_fd, const char *path, int flags, ...) {
    MODE return opened(folder_fd, path, flags, mode);
}
int openat64(int folder_fd, const char *path, int flags, ...) {
    MODE return opened(folder_fd, path, flags, mode);
}

int close(int fd) {
    if (path_of(fd)) {
        pthread_mutex_lock(&mutex);
        note("close %d\n", fd);
        free(paths[fd]);
        paths[fd] = NULL;
        pthread_mutex_unlock(&mutex);
    }
    return syscall(SYS_close, fd);
}

/* Writes at an offset, or at the position of the file if `offset` is -1. */
static ssize_t put(int fd, const void *bytes, size_t length, off_t offset) {
#define PUT(size)                                                                                            \
    (offset < 0 ? syscall(SYS_write, fd, bytes, (size_t)(size))                                              \
                : syscall(SYS_pwrite64, fd, bytes, (size_t)(size), offset))
    const char *path = path_of(fd);
    if (!path) return PUT(length);
    pthread_mutex_lock(&mutex);
    off_t place = offset < 0 ? lseek(fd, 0, SEEK_CUR) : offset;
    enum fate of_it = fate(WRITES, "write", path);
    ssize_t written = -1;
    if (of_it != FAILS) {
        size_t part = of_it == HALVES ? (length + 1) / 2 : length;
        written = PUT(part);
        if (written > 0) {
            note("write %d %lld %zd\n", fd, (long long)place, written);
            syscall(SYS_write, trace, bytes, (size_t)written);
        }
        if (of_it == HALVES && kind == HALF) die();
    }
    pthread_mutex_unlock(&mutex);
    return written;
}
ssize_t write(int fd, const void *bytes, size_t length) { return put(fd, bytes, length, -1); }
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) {
    return put(fd, bytes, length, offset);
}
ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) {
    return put(fd, bytes, length, offset);
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
    if (!path_of(fd) || count < 1) return syscall(SYS_writev, fd, parts, count);
    return put(fd, parts[0].iov_base, parts[0].iov_len, -1); /* the caller writes the rest */
}

static ssize_t got(int fd, void *bytes, size_t length, off_t offset) {
    const char *path = path_of(fd);
    if (path) {
        pthread_mutex_lock(&mutex);
        enum fate of_it = fate(READS, "read", path);
        pthread_mutex_unlock(&mutex);
        if (of_it != GOES_ON) return -1;
    }
    return offset < 0 ? syscall(SYS_read, fd, bytes, length)
                      : syscall(SYS_pread64, fd, bytes, length, offset);
}
ssize_t read(int fd, void *bytes, size_t length) { return got(fd, bytes, length, -1); }
ssize_t pread(int fd, void *bytes, size_t length, off_t offset) { return got(fd, bytes, length, offset); }
ssize_t pread64(int fd, void *bytes, size_t length, off64_t offset) { return got(fd, bytes, length, offset); }

static int truncated(int fd, off_t length) {
    const char *path = path_of(fd);
    if (!path) return syscall(SYS_ftruncate, fd, length);
    pthread_mutex_lock(&mutex);
    int done = -1;
    if (fate(CHANGES, "truncate", path) == GOES_ON) {
        done = syscall(SYS_ftruncate, fd, length);
        if (!done) note("truncate %d %lld\n", fd, (long long)length);
    }
    pthread_mutex_unlock(&mutex);
    return done;
}
int ftruncate(int fd, off_t length) { return truncated(fd, length); }
int ftruncate64(int fd, off64_t length) { return truncated(fd, length); }

/* The files of a test need not reach its disk: what is synced counts in the trace. */
static int synced(int fd) {
    const char *path = path_of(fd);
    if (!path) return syscall(SYS_fsync, fd);
    pthread_mutex_lock(&mutex);
    int done = fate(CHANGES, "sync", path) == GOES_ON ? 0 : -1;
    note("%s %d\n", done ? "unsynced" : "sync", fd);
    pthread_mutex_unlock(&mutex);
    return done;
}
int fsync(int fd) { return synced(fd); }
int fdatasync(int fd) { return synced(fd); }

static int removed(int at_folder, const char *path, int flags) {
    if (!is_followed(path)) return syscall(SYS_unlinkat, at_folder, path, flags);
    pthread_mutex_lock(&mutex);
    int done = -1;
    if (syscall(SYS_faccessat, AT_FDCWD, path, F_OK)) {
        errno = ENOENT;
    } else if (fate(CHANGES, "unlink", path) == GOES_ON) {
        done = syscall(SYS_unlinkat, at_folder, path, flags);
        if (!done) note("unlink %s\n", path);
    }
    pthread_mutex_unlock(&mutex);
    return done;
}
int unlink(const char *path) { return removed(AT_FDCWD, path, 0); }
int unlinkat(int folder_fd, const char *path, int flags) { return removed(folder_fd, path, flags); }

static void *mapped(void *address, size_t length, int protection, int flags, int fd, off_t offset) {
    const char *path = path_of(fd);
    if (path) {
        pthread_mutex_lock(&mutex);
        enum fate of_it = fate(CHANGES, "map", path);
        if (of_it == GOES_ON) note("map %d\n", fd);
        pthread_mutex_unlock(&mutex);
        if (of_it != GOES_ON) {
            errno = ENOMEM;
            return MAP_FAILED;
        }
    }
    return (void *)syscall(SYS_mmap, address, length, protection, flags, fd, offset);
}
void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset) {
    return mapped(address, length, protection, flags, fd, offset);
}
void *mmap64(void *address, size_t length, int protection, int flags, int fd, off64_t offset) {
    return mapped(address, length, protection, flags, fd, offset);
}
