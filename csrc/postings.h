/* postings.h: what postings.c, postings_write.c, postings_merge.c, text.c and bm25.c share; the
 * layout in bytes stands in postings.c. */
#ifndef QL_POSTINGS_H
#define QL_POSTINGS_H

#include "internal.h"

#define WORDS_MAGIC "QLWORDS"       /* with its zero: 8 bytes */
#define WORDS_PAGE 4096             /* unit of checksums */
#define WORDS_BLOCK 128             /* postings of a full block */
#define WORDS_GROUP 64              /* blocks of a full group */
#define WORDS_IMPACTS 3             /* impacts kept per block and per group */
#define WORDS_SLACK 8 /* zero bytes after the data, so that 8-byte loads stay inside */
#define WORDS_LENGTH_MAX                                                                           \
    268435456 /* words of one document: more than any text of 16 MiB can have */
#define WORDS_POSITIONS 1           /* flag of a segment */

typedef struct ql_words_header {
    char magic[8];
    uint32_t format;
    uint32_t flags;
    uint8_t uuid[16];
    uint32_t analyser;    /* checksum of the analyser's name: segments of another one are refused */
    uint32_t documents;   /* tombstones included */
    uint32_t terms;
    uint32_t strings_bytes;
    uint64_t tokens;      /* sum of the lengths of documents */
    uint64_t nodes;       /* byte offsets of the sections, in this order */
    uint64_t lengths;
    uint64_t data;
    uint64_t data_bytes;  /* without the slack */
    uint64_t records;
    uint64_t strings;
    /* a multiple of the page; the file ends after one u32 per page before it */
    uint64_t checksums;
    uint32_t checksums_crc;
    uint32_t crc;         /* of the whole first page with this field zero */
} ql_words_header;

typedef struct ql_words_record { /* one term; a last one more marks the ends */
    uint64_t start;  /* in the data section */
    uint32_t count;  /* postings */
    uint32_t text;   /* in the strings section */
} ql_words_record;

typedef struct ql_impact { /* a posting as good as this, or worse */
    uint32_t frequency; /* 0: unused */
    uint32_t length;
} ql_impact;

typedef struct ql_words_block { /* one block, or one group of blocks */
    uint32_t last;  /* document of its last posting */
    uint32_t start; /* bytes from the term's start; 0 for groups */
    ql_impact best[WORDS_IMPACTS];
} ql_words_block;

/* An open segment. Everything but `verified` is written once, by open; `verified` is atomic: any
 * threads may read. */
struct ql_words {
    const uint8_t *base;
    uint64_t size_bytes;
    ql_words_header header;
    const uint32_t *nodes;
    const uint32_t *lengths;
    const uint32_t *checksums;
    _Atomic uint64_t *verified; /* bit per page */
};

/* A reader of one term's postings, used by one thread. A failure makes it end, and stays in
 * `status`. */
typedef struct ql_cursor {
    const ql_words *words;
    const uint8_t *data;         /* the term's bytes, data_bytes of them before its table */
    uint64_t data_bytes;
    const ql_words_block *table; /* blocks, then groups; NULL when there is one block only */
    uint32_t count;
    uint32_t blocks;
    uint32_t block;              /* where the cursor stands; blocks: at the end */
    uint32_t decoded;            /* the block in docs[]; QL_NONE: none yet */
    uint32_t filled;             /* postings in docs[] */
    uint32_t at;                 /* the posting where the cursor stands */
    uint32_t frequency_bits;     /* of a packed frequency in this block */
    uint32_t has_frequencies;
    int status;
    const uint8_t *frequencies_at;
    const uint8_t *positions;    /* of posting positions_of; stays inside [.., positions_end) */
    const uint8_t *positions_end;
    uint32_t positions_of;
    uint64_t decoded_blocks;     /* for ql_cost */
    uint64_t decoded_bytes;
    uint32_t docs[WORDS_BLOCK];
    uint32_t frequencies[WORDS_BLOCK];
} ql_cursor;

/* The bytes [offset, offset + size) of the file after their pages' checksums hold; NULL is
 * corruption. */
const uint8_t *ql_words_bytes(const ql_words *words, uint64_t offset, uint64_t size_bytes);
/* Text of the i-th term in dictionary order. */
int ql_words_text(const ql_words *words, uint32_t term, const uint8_t **text, uint32_t *size_bytes);
/* QL_NONE: absent */
int ql_words_find(const ql_words *words, const uint8_t *text, uint32_t size_bytes, uint32_t *term);

int ql_cursor_open(const ql_words *words, uint32_t term, ql_cursor *cursor);
/* Stand at the first block whose last document is >= doc, without decoding; 0: there is none. */
int ql_cursor_skip(ql_cursor *cursor, uint32_t doc);
/* The first document >= doc, or QL_NONE at the end or after a failure. */
uint32_t ql_cursor_seek(ql_cursor *cursor, uint32_t doc);
/* Of the posting where it stands; and of all in its block, which is quicker for many. */
uint32_t ql_cursor_frequency(ql_cursor *cursor);
const uint32_t *ql_cursor_frequencies(ql_cursor *cursor);
/* Positions of that posting, ascending, into out (frequency,). */
int ql_cursor_positions(ql_cursor *cursor, uint32_t *out);

/* The writer of a segment: postings of a term in order, then its text; terms in byte order. */
typedef struct ql_words_writer {
    int fd;
    char *path; /* the temporary name */
    uint32_t has_positions;
    const uint32_t *lengths;
    ql_words_header header;
    uint8_t *buffer; /* bytes of the file from `flushed` on */
    size_t buffered;
    uint64_t flushed;
    uint32_t *checksums;
    size_t checksums_capacity;
    ql_words_record *records;
    size_t records_capacity;
    uint8_t *strings;
    size_t strings_capacity;
    ql_words_block *blocks;
    size_t blocks_count;
    size_t blocks_capacity;
    uint8_t *positions;
    size_t positions_bytes;
    size_t positions_capacity;
    uint64_t term_start; /* byte offset in the file */
    uint32_t count;      /* postings of the term so far */
    uint32_t filled;     /* postings of the block so far */
    uint32_t previous;   /* last document of the block before; QL_NONE: none */
    uint32_t docs[WORDS_BLOCK];
    uint32_t frequencies[WORDS_BLOCK];
} ql_words_writer;

int ql_words_writer_open(ql_words_writer *writer, const char *path, const uint8_t *uuid,
                         uint32_t analyser, uint32_t flags, const uint32_t *nodes,
                         const uint32_t *lengths, uint32_t documents);
int ql_words_writer_posting(ql_words_writer *writer, uint32_t doc, uint32_t frequency,
                            const uint32_t *positions);
/* nothing if no posting came */
int ql_words_writer_term(ql_words_writer *writer, const uint8_t *text, uint32_t size_bytes);
int ql_words_writer_finish(ql_words_writer *writer, const char *path); /* fsync, rename */
/* after finish too; removes what is unfinished */
void ql_words_writer_close(ql_words_writer *writer);

/* Grow a block to hold `need` items; capacity in items. */
int ql_words_grow(void **block, size_t *capacity, size_t need, size_t item_bytes);

#endif
