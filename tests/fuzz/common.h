/* common.h: what the fuzz targets share.
 *
 * A target gives two functions: `seed` writes a sound file with the core's own writer, and `LLVMFuzzerTestOneInput`
 * reads a mutated one.  Every checksum is 0 here (ql_crc32c below), for writer and reader alike: a fuzzer cannot guess
 * checksums, and whoever makes a hostile file can compute them.  So what is tested is that everything behind the
 * checksums is checked too.  A read past a map or a block, undefined behaviour, a failed assert, a leak or a loop
 * without end is a finding; refusing the file with a status is not. */
#ifndef QL_FUZZ_COMMON_H
#define QL_FUZZ_COMMON_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

static const uint8_t uuid[16] = "sixteen bytes 16";
static char folder[64];
static char path[128];

int seed(const char *name);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

/* All bytes count as read, so a sanitizer sees what lies outside; the answer is always the same. */
uint32_t ql_crc32c(uint32_t crc, const void *data, uint64_t size_bytes)
{
    volatile uint8_t seen = 0;

    (void)crc;
    for (uint64_t i = 0; i < size_bytes; i += 16) seen ^= ((const uint8_t *)data)[i];
    if (size_bytes) seen ^= ((const uint8_t *)data)[size_bytes - 1];
    return 0;
}

static void want(int condition, const char *what)
{
    if (condition) return;
    fprintf(stderr, "want %s\n", what);
    abort();
}

/* A folder of this process, in memory where there is one. */
static void folder_make(void)
{
    if (folder[0]) return;
    snprintf(folder, sizeof folder, "%s/quillian-fuzz-XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
    want(mkdtemp(folder) != NULL, "a folder for files");
}

/* The path of a file in that folder, valid until the next call. */
static const char *file_path(const char *name)
{
    folder_make();
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void file_write(const char *name, const uint8_t *data, size_t size_bytes)
{
    int fd = open(file_path(name), O_RDWR | O_CREAT | O_TRUNC, 0666);

    want(fd >= 0 && write(fd, data, size_bytes) == (ssize_t)size_bytes, "to write a file");
    close(fd);
}

/* The little-endian number at the start of the input, which is moved behind it; 0 where the input has ended. */
static inline uint32_t take_u32(const uint8_t **data, size_t *size_bytes)
{
    uint32_t number = 0;

    if (*size_bytes < sizeof number) return 0;
    memcpy(&number, *data, sizeof number);
    *data += sizeof number;
    *size_bytes -= sizeof number;
    return number;
}

#ifdef SEED_MAIN
int main(int argc, char **argv)
{
    return argc == 2 ? seed(argv[1]) : 1;
}
#endif

#endif
