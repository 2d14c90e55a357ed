/* graph_log.c: the file of associations, `graph.log`: append-only, the truth about every
 * association.
 *
 * Layout, little-endian, offsets in bytes:
 *   0     header page, 4,096 bytes: magic "QLGRAPH\0" (8), format u32, record size u32, store uuid
 * (16), crc32c of these 32 bytes u32, zeros up to 4,096 4096  batches without gaps, each magic u32
 * | count u32 | commit u64 | sequence u64 | crc32c u32 | zero u32      (32 bytes) count records:
 * source u32 | target u32 | type u16 | flags u16 | weight f32     (16 bytes each)
 *
 * One batch is one commit. `sequence` counts all records before the batch, so that a batch which
 * was moved, repeated or left out does not fit. The checksum starts from the header page's, so that
 * a batch of another store does not fit. How much of the file is committed stands in the catalog;
 * bytes after that mean nothing and are overwritten.
 *
 * The header of a batch is written after its records: only one pass over the records is needed, and
 * order does not matter, because nothing is read before it was synced and its length committed. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "graph.h"

#define BATCH_MAGIC 0x42454c51u /* "QLEB" */
#define PIECE_RECORDS 16384u    /* records per read or write: 256 KiB */

typedef struct log_header {
    char magic[8];
    uint32_t format;
    uint32_t record_bytes;
    uint8_t uuid[16];
    uint32_t checksum;
} log_header;
_Static_assert(sizeof(log_header) == 36, "log header");
_Static_assert(offsetof(log_header, checksum) == 32, "log header");

static log_header header_of(const char *magic, const uint8_t *uuid)
{
    log_header header = {.format = QL_FORMAT, .record_bytes = sizeof(ql_edge)};
    memcpy(header.magic, magic, sizeof header.magic);
    memcpy(header.uuid, uuid, sizeof header.uuid);
    header.checksum = ql_crc32c(0, &header, offsetof(log_header, checksum));
    return header;
}

static int header_write(int fd, const log_header *header)
{
    uint8_t page[QL_LOG_HEADER_BYTES] = {0};
    memcpy(page, header, sizeof *header);
    QL_TRY(ql_file_write(fd, page, sizeof page, 0));
    return ql_file_sync(fd);
}

/* The page must be exactly what header_of makes, zeros included. */
static int header_verify(int fd, const log_header *header)
{
    uint8_t page[QL_LOG_HEADER_BYTES];
    uint8_t wanted[QL_LOG_HEADER_BYTES] = {0};
    QL_TRY(ql_file_read(fd, page, sizeof page, 0));
    memcpy(wanted, header, sizeof *header);
    return memcmp(page, wanted, sizeof page) == 0 ? QL_OK : QL_E_CORRUPT;
}

int ql_log_size(const ql_log *log, uint64_t *size_bytes)
{
    struct stat status;
    if (fstat(log->fd, &status) != 0) return QL_E_IO;
    *size_bytes = (uint64_t)status.st_size;
    return QL_OK;
}

/* A file that ends inside its header page was being created when the process or the machine died:
 * no batch was ever written, so a writer starts it again. */
int ql_log_open(const char *path, const char *magic, const uint8_t *uuid, bool writable,
                ql_log *log)
{
    ql_log opened;
    opened.fd = open(path, (writable ? O_RDWR | O_CREAT : O_RDONLY) | O_CLOEXEC, 0666);
    if (opened.fd < 0) return QL_E_IO;

    log_header header = header_of(magic, uuid);
    opened.magic = magic;
    memcpy(opened.uuid, uuid, sizeof opened.uuid);
    opened.seed = header.checksum;
    uint64_t size_bytes;
    int status = ql_log_size(&opened, &size_bytes);
    if (status == QL_OK && writable && size_bytes < QL_LOG_HEADER_BYTES)
        status = header_write(opened.fd, &header);
    if (status == QL_OK) status = header_verify(opened.fd, &header);
    if (status != QL_OK) {
        ql_log_close(&opened);
        return status;
    }
    *log = opened;
    return QL_OK;
}

void ql_log_close(ql_log *log)
{
    int saved = errno; /* A failed open reports its own errno, not close's. */
    close(log->fd);
    log->fd = -1;
    errno = saved;
}

int ql_log_header_check(const ql_log *log)
{
    log_header header = header_of(log->magic, log->uuid);
    return header_verify(log->fd, &header);
}

bool ql_edge_valid(const ql_edge *edge)
{
    return edge->source != QL_NONE && edge->target != QL_NONE && edge->type < QL_TYPES_MAX &&
           (edge->flags & ~(QL_EDGE_REMOVE | QL_EDGE_DATA)) == 0 && isfinite(edge->weight);
}

int ql_log_write(const ql_log *log, uint64_t offset, ql_log_batch batch,
                 void (*fill)(void *context, ql_edge *piece, uint32_t n), void *context)
{
    ql_edge *piece = ql_alloc(PIECE_RECORDS, sizeof *piece);
    if (!piece) return QL_E_MEMORY;

    batch.magic = BATCH_MAGIC;
    batch.checksum = 0;
    batch.reserved = 0;
    uint32_t checksum = ql_crc32c(log->seed, &batch, sizeof batch);
    int status = QL_OK;
    for (uint64_t done = 0; done < batch.count && status == QL_OK;) {
        uint32_t n = batch.count - done < PIECE_RECORDS ? (uint32_t)(batch.count - done)
                                                        : PIECE_RECORDS;
        fill(context, piece, n);
        checksum = ql_crc32c(checksum, piece, n * sizeof *piece);
        status = ql_file_write(log->fd, piece, n * sizeof *piece,
                               offset + sizeof batch + done * sizeof *piece);
        done += n;
    }
    batch.checksum = checksum;
    if (status == QL_OK) status = ql_file_write(log->fd, &batch, sizeof batch, offset);
    ql_free(piece);
    return status;
}

static bool batch_fits(const ql_log_batch *batch, uint64_t room, uint64_t sequence)
{
    return batch->magic == BATCH_MAGIC && batch->count > 0 &&
           batch->count <= room / sizeof(ql_edge) && batch->sequence == sequence &&
           batch->reserved == 0;
}

int ql_log_read(const ql_log *log, uint64_t offset, uint64_t until, uint64_t sequence,
                int (*take)(void *context, const ql_edge *piece, uint32_t n), void *context,
                ql_log_batch *batch)
{
    ql_log_batch head;
    if (until < offset || until - offset < sizeof head) return QL_E_CORRUPT;
    QL_TRY(ql_file_read(log->fd, &head, sizeof head, offset));
    if (!batch_fits(&head, until - offset - sizeof head, sequence)) return QL_E_CORRUPT;
    ql_edge *piece = ql_alloc(PIECE_RECORDS, sizeof *piece);
    if (!piece) return QL_E_MEMORY;

    ql_log_batch plain = head;
    plain.checksum = 0;
    uint32_t checksum = ql_crc32c(log->seed, &plain, sizeof plain);
    int status = QL_OK;
    for (uint64_t done = 0; done < head.count && status == QL_OK;) {
        uint32_t n = head.count - done < PIECE_RECORDS ? (uint32_t)(head.count - done)
                                                       : PIECE_RECORDS;
        status = ql_file_read(log->fd, piece, n * sizeof *piece,
                              offset + sizeof head + done * sizeof *piece);
        if (status != QL_OK) break;
        checksum = ql_crc32c(checksum, piece, n * sizeof *piece);
        for (uint32_t i = 0; i < n; i++) {
            if (!ql_edge_valid(&piece[i])) status = QL_E_CORRUPT;
        }
        if (status == QL_OK && take) status = take(context, piece, n);
        done += n;
    }
    ql_free(piece);
    if (status == QL_OK && checksum != head.checksum) status = QL_E_CORRUPT;
    if (status == QL_OK) *batch = head;
    return status;
}
