/* disk_shim.c: stands between a process and its disk, by LD_PRELOAD; compiled and used by the tests.
 *
 * Every call that changes files below $QL_SHIM_ROOT is counted, and
 *   - written to $QL_SHIM_LOG, if that is set, for test_power_loss.py, which replays parts of it;
 *   - made to fail when its number is the one that shim_fail armed, for test_failing_calls.py.
 *
 * A record is a line "op inode offset size path", then `size` bytes of data:
 *   C create   D mkdir   U unlink   R rename (data: the new path)   W write   P write through O_DSYNC
 *   T truncate to offset   A allocate up to offset   B a sync begins   S it has ended   F a folder's sync
 * Only what was written before B is durable after S.  Files that end in "-lock" are left out: they
 * mean nothing after a restart. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define FILES_MAX 4096
#define REAL(type, name, ...)                          \
    static type (*real)(__VA_ARGS__);                  \
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, name)

enum { TRACKED = 1, SYNCED = 2, FOLDER = 4 };

static unsigned char kinds[FILES_MAX];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_file = -1;
static long calls;
static long failing; /* the call that fails; 0: none */
static int failing_code; /* its errno; 0: it does half of what it was asked */

long shim_calls(void)
{
    return __atomic_load_n(&calls, __ATOMIC_SEQ_CST);
}

/* Let the n-th call from now on fail with a code; 0: none. */
void shim_fail(long nth, int code)
{
    failing_code = code;
    __atomic_store_n(&failing, nth ? shim_calls() + nth : 0, __ATOMIC_SEQ_CST);
}

static int fails(void)
{
    long mine = __atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST);

    return mine == __atomic_load_n(&failing, __ATOMIC_SEQ_CST);
}

/* 1 with errno set if this call is to fail. */
static int refused(void)
{
    if (!fails()) return 0;
    errno = failing_code ? failing_code : EIO;
    return 1;
}

static int is_ours(const char *path)
{
    const char *root = getenv("QL_SHIM_ROOT");
    size_t size = strlen(path);

    if (!root || strncmp(path, root, strlen(root)) != 0) return 0;
    return size < 5 || strcmp(path + size - 5, "-lock") != 0;
}

static int kind_of(int fd)
{
    return fd >= 0 && fd < FILES_MAX ? kinds[fd] : 0;
}

static void write_all(int fd, const void *data, size_t size)
{
    REAL(ssize_t, "write", int, const void *, size_t);
    const char *at = data;

    while (size) {
        ssize_t done = real(fd, at, size);
        if (done <= 0) abort();
        at += done;
        size -= (size_t)done;
    }
}

static void note(char op, unsigned long inode, long offset, const void *data, size_t size, const char *path)
{
    char line[4096 + 128];
    const char *name = getenv("QL_SHIM_LOG");
    int saved = errno;

    if (!name) return;
    if (log_file < 0) {
        REAL(int, "open", const char *, int, ...);
        log_file = real(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    }
    int length = snprintf(line, sizeof line, "%c %lu %ld %zu %s\n", op, inode, offset, size, path);
    write_all(log_file, line, (size_t)length);
    if (size) write_all(log_file, data, size);
    errno = saved;
}

static unsigned long inode_of(int fd)
{
    struct stat info;

    return fstat(fd, &info) == 0 ? (unsigned long)info.st_ino : 0;
}

static void path_of(int fd, char *path)
{
    char link[64];

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, 4095);
    path[size > 0 ? size : 0] = 0;
}

/* ---- names ---- */

static int opened(int fd, int flags, int existed)
{
    char path[4096];
    struct stat info;

    if (fd < 0 || fd >= FILES_MAX) return fd;
    int saved = errno;
    kinds[fd] = 0;
    path_of(fd, path);
    if (is_ours(path) && fstat(fd, &info) == 0) {
        kinds[fd] = TRACKED | (flags & O_DSYNC ? SYNCED : 0) | (S_ISDIR(info.st_mode) ? FOLDER : 0);
        if (!existed) note('C', (unsigned long)info.st_ino, 0, NULL, 0, path);
        else if (flags & O_TRUNC) note('T', (unsigned long)info.st_ino, 0, NULL, 0, path);
    }
    errno = saved;
    return fd;
}

static int open_any(const char *path, int flags, mode_t mode)
{
    REAL(int, "open", const char *, int, ...);
    int existed = access(path, F_OK) == 0;

    if (is_ours(path) && flags & O_CREAT && refused()) return -1;
    pthread_mutex_lock(&lock);
    int fd = opened(real(path, flags, mode), flags, existed);
    pthread_mutex_unlock(&lock);
    return fd;
}

#define OPEN(name)                              \
    int name(const char *path, int flags, ...)  \
    {                                           \
        va_list more;                           \
        va_start(more, flags);                  \
        mode_t mode = va_arg(more, mode_t);     \
        va_end(more);                           \
        return open_any(path, flags, mode);     \
    }
OPEN(open)
OPEN(open64)

int close(int fd)
{
    REAL(int, "close", int);
    if (fd >= 0 && fd < FILES_MAX) kinds[fd] = 0;
    return real(fd);
}

#define NAMED(name, op, parameters, arguments)                                   \
    int name parameters                                                          \
    {                                                                            \
        static int (*real) parameters;                                            \
        if (!real) *(void **)&real = dlsym(RTLD_NEXT, #name);                    \
        if (!is_ours(path)) return real arguments;                               \
        if (refused()) return -1;                                                \
        pthread_mutex_lock(&lock);                                               \
        int code = real arguments;                                               \
        const char *other = to;                                                  \
        if (code == 0) note(op, 0, 0, other, other ? strlen(other) : 0, path);   \
        pthread_mutex_unlock(&lock);                                             \
        return code;                                                             \
    }
NAMED(rename, 'R', (const char *path, const char *to), (path, to))
static const char *const to = NULL;
NAMED(unlink, 'U', (const char *path), (path))
NAMED(rmdir, 'U', (const char *path), (path))
NAMED(mkdir, 'D', (const char *path, mode_t mode), (path, mode))

/* shutil.rmtree and pathlib go through folders' descriptors. */
int unlinkat(int folder, const char *name, int flags)
{
    REAL(int, "unlinkat", int, const char *, int);
    char path[8192] = "";

    if (folder >= 0 && name[0] != '/') path_of(folder, path);
    if (path[0]) strcat(path, "/");
    strncat(path, name, 4000);
    if (!is_ours(path)) return real(folder, name, flags);
    if (refused()) return -1;
    pthread_mutex_lock(&lock);
    int code = real(folder, name, flags);
    if (code == 0) note('U', 0, 0, NULL, 0, path);
    pthread_mutex_unlock(&lock);
    return code;
}

/* ---- content ---- */

static ssize_t written(int fd, const void *data, size_t size, off_t offset, int placed)
{
    REAL(ssize_t, "pwrite", int, const void *, size_t, off_t);
    static ssize_t (*append)(int, const void *, size_t);
    if (!append) *(void **)&append = dlsym(RTLD_NEXT, "write");
    int kind = kind_of(fd);

    if (!kind) return placed ? real(fd, data, size, offset) : append(fd, data, size);
    if (fails()) {
        if (failing_code) {
            errno = failing_code;
            return -1;
        }
        size = size > 1 ? size / 2 : size;
    }
    pthread_mutex_lock(&lock);
    if (!placed) offset = lseek(fd, 0, SEEK_CUR);
    ssize_t done = placed ? real(fd, data, size, offset) : append(fd, data, size);
    if (done > 0) note(kind & SYNCED ? 'P' : 'W', inode_of(fd), offset, data, (size_t)done, "-");
    pthread_mutex_unlock(&lock);
    return done;
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) { return written(fd, data, size, offset, 1); }
ssize_t pwrite64(int fd, const void *data, size_t size, off_t offset) { return written(fd, data, size, offset, 1); }
ssize_t write(int fd, const void *data, size_t size) { return written(fd, data, size, 0, 0); }

static ssize_t written_parts(int fd, const struct iovec *parts, int count, off_t offset)
{
    ssize_t total = 0;

    for (int i = 0; i < count; i++) {
        ssize_t done = written(fd, parts[i].iov_base, parts[i].iov_len, offset + total, 1);
        if (done < 0) return total ? total : done;
        total += done;
        if ((size_t)done < parts[i].iov_len) break;
    }
    return total;
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    REAL(ssize_t, "pwritev", int, const struct iovec *, int, off_t);
    return kind_of(fd) ? written_parts(fd, parts, count, offset) : real(fd, parts, count, offset);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    REAL(ssize_t, "writev", int, const struct iovec *, int);
    if (!kind_of(fd)) return real(fd, parts, count);
    ssize_t done = written_parts(fd, parts, count, lseek(fd, 0, SEEK_CUR));
    if (done > 0) lseek(fd, done, SEEK_CUR);
    return done;
}

static int sized(int fd, off_t size)
{
    REAL(int, "ftruncate", int, off_t);
    if (!kind_of(fd)) return real(fd, size);
    if (refused()) return -1;
    pthread_mutex_lock(&lock);
    int code = real(fd, size);
    if (code == 0) note('T', inode_of(fd), size, NULL, 0, "-");
    pthread_mutex_unlock(&lock);
    return code;
}

int ftruncate(int fd, off_t size) { return sized(fd, size); }
int ftruncate64(int fd, off_t size) { return sized(fd, size); }

static int allocated(int fd, off_t offset, off_t size)
{
    REAL(int, "posix_fallocate", int, off_t, off_t);
    if (!kind_of(fd)) return real(fd, offset, size);
    if (fails()) return failing_code ? failing_code : ENOSPC;
    pthread_mutex_lock(&lock);
    int code = real(fd, offset, size);
    if (code == 0) note('A', inode_of(fd), offset + size, NULL, 0, "-");
    pthread_mutex_unlock(&lock);
    return code;
}

int posix_fallocate(int fd, off_t offset, off_t size) { return allocated(fd, offset, size); }
int posix_fallocate64(int fd, off_t offset, off_t size) { return allocated(fd, offset, size); }

static void noted(char op, int fd)
{
    char path[4096];

    pthread_mutex_lock(&lock);
    path_of(fd, path);
    note(op, inode_of(fd), 0, NULL, 0, path);
    pthread_mutex_unlock(&lock);
}

#define SYNC(name)                                           \
    int name(int fd)                                         \
    {                                                        \
        REAL(int, #name, int);                               \
        int kind = kind_of(fd);                              \
        if (!kind) return real(fd);                          \
        if (refused()) return -1;                            \
        if (!(kind & FOLDER)) noted('B', fd);                \
        int code = real(fd);                                 \
        if (code == 0) noted(kind & FOLDER ? 'F' : 'S', fd); \
        return code;                                         \
    }
SYNC(fsync)
SYNC(fdatasync)

#define MAP(name)                                                                    \
    void *name(void *at, size_t size, int protection, int flags, int fd, off_t offset) \
    {                                                                                \
        REAL(void *, #name, void *, size_t, int, int, int, off_t);                   \
        if (kind_of(fd) && refused()) return MAP_FAILED;                             \
        return real(at, size, protection, flags, fd, offset);                        \
    }
MAP(mmap)
MAP(mmap64)
