/* file.c: whole-or-error input and output, and address space that never moves.
 *
 * The operating system may interrupt a call, or do less than it was asked; nobody else in the core
 * wants to know.  Every function here does all of it or returns a status with the cause in errno.
 *
 * Two rules keep a full disk an error and never a SIGBUS: blocks are allocated (posix_fallocate)
 * before anything maps or writes them, and a map is only read below a length that was compared with
 * the file's size. Address space is reserved once, as large as a log may ever become, and files are
 * mapped into it at their place: a pointer to a row stays valid until the log is closed, and
 * reserving costs no memory. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "internal.h"

/* The largest single request: Linux moves at most 0x7ffff000 bytes at once. */
#define REQUEST_BYTES_MAX ((size_t)1 << 30)
#define HUGE_BYTES ((size_t)1 << 21)

int ql_file_write(int fd, const void *data, size_t size_bytes, uint64_t offset)
{
    const char *at = data;

    while (size_bytes) {
        size_t ask = size_bytes < REQUEST_BYTES_MAX ? size_bytes : REQUEST_BYTES_MAX;
        ssize_t done = pwrite(fd, at, ask, (off_t)offset);
        if (done < 0 && errno == EINTR) continue;
        if (done == 0) errno = EIO; /* Never seen on regular files; would loop for ever. */
        if (done <= 0) return QL_E_IO;
        at += done;
        offset += (uint64_t)done;
        size_bytes -= (size_t)done;
    }
    return QL_OK;
}

int ql_file_read(int fd, void *data, size_t size_bytes, uint64_t offset)
{
    char *at = data;

    while (size_bytes) {
        size_t ask = size_bytes < REQUEST_BYTES_MAX ? size_bytes : REQUEST_BYTES_MAX;
        ssize_t done = pread(fd, at, ask, (off_t)offset);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return QL_E_IO;
        if (done == 0) return QL_E_CORRUPT;
        at += done;
        offset += (uint64_t)done;
        size_bytes -= (size_t)done;
    }
    return QL_OK;
}

int ql_file_allocate(int fd, uint64_t size_bytes)
{
    int code;

    do code = posix_fallocate(fd, 0, (off_t)size_bytes);
    while (code == EINTR);
    if (code == 0) return QL_OK;
    errno = code; /* posix_fallocate returns its error instead of setting errno. */
    return QL_E_IO;
}

int ql_file_sync(int fd)
{
    int code;

    do code = fdatasync(fd);
    while (code != 0 && errno == EINTR);
    return code == 0 ? QL_OK : QL_E_IO;
}

static int map_anonymous(size_t size_bytes, int protection, void **base)
{
    void *map = mmap(NULL, size_bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
                     0);

    if (map == MAP_FAILED) return QL_E_MEMORY;
    *base = map;
    return QL_OK;
}

int ql_map_reserve(size_t size_bytes, void **base)
{
    return map_anonymous(size_bytes, PROT_NONE, base);
}

int ql_map_zero(size_t size_bytes, void **base)
{
    return map_anonymous(size_bytes, PROT_READ | PROT_WRITE, base);
}

int ql_map_zero_like(size_t size_bytes, uint64_t offset, void **base)
{
    size_t whole = size_bytes + HUGE_BYTES;
    void *map;
    size_t before;

    if (whole < size_bytes) return QL_E_MEMORY;
    QL_TRY(ql_map_zero(whole, &map));
    before = (size_t)(offset - (uintptr_t)map) % HUGE_BYTES;
    *base = (char *)map + before;
    if (before) munmap(map, before);
    munmap((char *)*base + size_bytes, whole - before - size_bytes);
    return QL_OK;
}

int ql_map_file(int fd, uint64_t offset, size_t size_bytes, int private, void *at)
{
    int protection = private ? PROT_READ | PROT_WRITE : PROT_READ;
    int flags = MAP_FIXED | (private ? MAP_PRIVATE | MAP_NORESERVE : MAP_SHARED);

    if (!size_bytes) return QL_OK;
    return mmap(at, size_bytes, protection, flags, fd, (off_t)offset) == at ? QL_OK : QL_E_IO;
}

void ql_map_release(void *base, size_t size_bytes)
{
    if (base) munmap(base, size_bytes);
}
