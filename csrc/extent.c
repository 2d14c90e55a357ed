/* extent.c: the edges of 4,096 consecutive rows in one direction, as one block of bytes, in memory
 * as on disk.
 *
 * Layout of a block (64-byte aligned in a file; every column starts at a multiple of 4 after the
 * 64-byte header): offset        u32 (rows + 1)    edges of row first + i are offset[i] .. offset[i
 * + 1] other         u32 (edges)       the other end, sorted by (type, other) inside a row weight
 * values f32 (values)      empty if weights stand plainly weight codes  0, 1, 2 or 4 bytes per
 * edge: constant, index into the values (u8 or u16), or the float itself type values   u16 (values)
 * empty if types stand plainly; the highest bit of a type is QL_EDGE_DATA type codes    0, 1 or 2
 * bytes per edge, likewise
 *
 * Weights are never rounded: what was linked is what is read.  Real graphs have few distinct
 * weights and types, so the codes take 0 or 1 bytes and both directions of an edge 8 to 12 bytes,
 * plus 4 per row and direction; distinct random weights take 4 each.  Compressing the other ends
 * (about 2 bytes less) was left out: a row would no longer be an array.
 *
 * Invariant: whoever holds a ql_extent may read every row without checks; blocks from a file are
 * checked whole first. */
#include <math.h>
#include <string.h>

#include "graph.h"

#define EXTENT_MAGIC 0x58454c51u /* "QLEX" */
#define DICTIONARY_MAX 65535u
#define SAMPLE 64u
#define SLOTS 131072u /* of the table of distinct weights: twice DICTIONARY_MAX, a power of two */

_Static_assert(sizeof(ql_extent_header) == 64, "extent header");

static uint64_t column_end(uint64_t start, uint64_t count, uint32_t width)
{
    return (start + count * width + 3) & ~3ull;
}

typedef struct layout { /* byte offsets of the columns, and the size of the block */
    uint64_t offset, other, weight_values, weight, type_values, type, size_bytes;
} layout;

static layout layout_of(const ql_extent_header *header)
{
    layout at;
    at.offset = sizeof *header;
    at.other = column_end(at.offset, (uint64_t)header->rows + 1, sizeof(uint32_t));
    at.weight_values = column_end(at.other, header->edges, sizeof(uint32_t));
    at.weight = column_end(at.weight_values, header->weight_values, sizeof(float));
    at.type_values = column_end(at.weight, header->edges, header->weight_width);
    at.type = column_end(at.type_values, header->type_values, sizeof(uint16_t));
    at.size_bytes = (column_end(at.type, header->edges, header->type_width) + 63) & ~63ull;
    return at;
}

static uint32_t block_checksum(const ql_extent_header *header)
{
    ql_extent_header plain = *header;
    plain.checksum = 0;
    uint32_t checksum = ql_crc32c(0, &plain, sizeof plain);
    return ql_crc32c(checksum, header + 1, header->size_bytes - sizeof *header);
}

static void columns_set(ql_extent *extent, const ql_extent_header *header)
{
    layout at = layout_of(header);
    const char *base = (const char *)header;
    extent->header = header;
    extent->first = header->first;
    extent->rows = header->rows;
    extent->weight_width = header->weight_width;
    extent->type_width = header->type_width;
    extent->offset = (const uint32_t *)(base + at.offset);
    extent->other = (const uint32_t *)(base + at.other);
    extent->weight_values = (const float *)(base + at.weight_values);
    extent->weight = base + at.weight;
    extent->type_values = (const uint16_t *)(base + at.type_values);
    extent->type = base + at.type;
}

void ql_extent_release(ql_extent *extent)
{
    if (!extent || atomic_fetch_sub_explicit(&extent->owners, 1, memory_order_acq_rel) != 1) return;
    if (extent->map) ql_extent_map_release(extent->map);
    else ql_free((void *)extent->header);
    ql_free(extent);
}

/* ---- Encoding ---- */

/* Whether a sample says that nearly every edge has a weight of its own, which no dictionary makes
 * smaller. */
static bool weights_random(const ql_extent_builder *build)
{
    uint32_t distinct = 0;
    if (build->count < 4 * SAMPLE) return false;
    for (uint32_t i = 0; i < SAMPLE; i++) {
        float weight = build->weight[(uint64_t)i * build->count / SAMPLE];
        uint32_t j = 0;
        while (j < i && build->weight[(uint64_t)j * build->count / SAMPLE] != weight) j++;
        distinct += j == i;
    }
    return distinct == SAMPLE;
}

/* Codes of up to DICTIONARY_MAX distinct weights; *distinct is DICTIONARY_MAX + 1 when they are not
 * worth it. */
static void weights_code(ql_extent_builder *build, uint32_t *distinct)
{
    uint32_t worth = build->count / 2 < DICTIONARY_MAX ? build->count / 2 : DICTIONARY_MAX;
    uint32_t n = 0;
    uint32_t last_bits = 0;
    uint16_t last_code = 0;
    *distinct = DICTIONARY_MAX + 1;
    if (weights_random(build)) return;
    build->stamp++;
    for (uint32_t i = 0; i < build->count; i++) {
        uint32_t bits;
        memcpy(&bits, &build->weight[i], sizeof bits);
        if (n > 0 && bits == last_bits) {
            build->code[i] = last_code;
            continue;
        }
        uint32_t at = (bits * 0x9e3779b1u) >> 15;
        while (build->slots[at % SLOTS].stamp == build->stamp &&
               build->slots[at % SLOTS].bits != bits)
            at++;
        ql_weight_slot *slot = &build->slots[at % SLOTS];
        if (slot->stamp != build->stamp) {
            if (n > 0 && n >= worth) return;
            *slot = (ql_weight_slot){build->stamp, bits, (uint16_t)n};
            build->values[n++] = build->weight[i];
        }
        last_bits = bits;
        last_code = slot->code;
        build->code[i] = last_code;
    }
    *distinct = n;
}

/* Codes of up to 256 distinct types; 257 when there are more. */
static uint32_t types_code(ql_extent_builder *build)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < build->count; i++) {
        uint16_t type = build->type[i];
        uint16_t code = build->type_code_of[type];
        /* Stale codes point at other types. */
        if (code < n && build->type_values[code] == type) continue;
        if (n == 256) return 257;
        build->type_values[n] = type;
        build->type_code_of[type] = (uint16_t)n++;
    }
    return n;
}

static uint8_t width_of(uint32_t distinct, uint8_t plain)
{
    return distinct == 1                             ? 0
           : distinct <= 256                         ? 1
           : distinct <= DICTIONARY_MAX && plain > 2 ? 2
                                                     : plain;
}

static void codes_write(const ql_extent_builder *build, const ql_extent_header *header, char *base)
{
    layout at = layout_of(header);
    memcpy(base + at.offset, build->offset + header->first,
           ((size_t)header->rows + 1) * sizeof(uint32_t));
    memcpy(base + at.other, build->other, build->count * sizeof(uint32_t));
    memcpy(base + at.weight_values, build->values, header->weight_values * sizeof(float));
    memcpy(base + at.type_values, build->type_values, header->type_values * sizeof(uint16_t));
    if (header->weight_width == 4)
        memcpy(base + at.weight, build->weight, build->count * sizeof(float));
    if (header->weight_width == 2)
        memcpy(base + at.weight, build->code, build->count * sizeof(uint16_t));
    uint8_t *weight = (uint8_t *)base + at.weight;
    for (uint32_t i = 0; header->weight_width == 1 && i < build->count; i++)
        weight[i] = (uint8_t)build->code[i];
    if (header->type_width == 2)
        memcpy(base + at.type, build->type, build->count * sizeof(uint16_t));
    uint8_t *type = (uint8_t *)base + at.type;
    for (uint32_t i = 0; header->type_width == 1 && i < build->count; i++) {
        type[i] = (uint8_t)build->type_code_of[build->type[i]];
    }
}

int ql_extent_make(ql_extent_builder *build, uint32_t group, int side, ql_extent **extent)
{
    assert(build->count > 0);
    uint32_t first = 0;
    uint32_t last = QL_GROUP_ROWS - 1;
    while (build->offset[first + 1] == 0) first++;
    while (build->offset[last] == build->count) last--;
    uint32_t weights;
    weights_code(build, &weights);
    uint32_t types = types_code(build);

    ql_extent_header header = {.magic = EXTENT_MAGIC,
                               .group = group,
                               .side = (uint8_t)side,
                               .first = first,
                               .rows = last - first + 1,
                               .edges = build->count};
    header.weight_width = width_of(weights, sizeof(float));
    header.weight_values = header.weight_width == 4 ? 0 : weights;
    header.type_width = width_of(types, sizeof(uint16_t));
    header.type_values = header.type_width == 2 ? 0 : types;
    header.size_bytes = layout_of(&header).size_bytes;

    ql_extent *made = ql_alloc(1, sizeof *made);
    char *base = made ? ql_alloc(1, header.size_bytes) : NULL;
    if (!base) {
        ql_free(made);
        return QL_E_MEMORY;
    }
    memcpy(base, &header, sizeof header);
    codes_write(build, &header, base);
    ((ql_extent_header *)base)->checksum = block_checksum((const ql_extent_header *)base);
    atomic_init(&made->owners, 1);
    columns_set(made, (const ql_extent_header *)base);
    *extent = made;
    return QL_OK;
}

/* ---- Decoding ---- */

/* One loop per width: the choice stands outside, so each is a copy or a gather. */
void ql_row_decode(const ql_row *row, uint32_t start, uint32_t count, uint32_t *other,
                   float *weight, uint16_t *type)
{
    if (count == 0) return; /* The columns of an empty row may be NULL. */
    memcpy(other, row->other + start, count * sizeof *other);
    const uint8_t *bytes = row->weight;
    const uint16_t *words = row->weight;
    const float *plain = row->weight;
    switch (row->weight_width) {
    case 0:
        for (uint32_t i = 0; i < count; i++) weight[i] = row->weight_values[0];
        break;
    case 1:
        for (uint32_t i = 0; i < count; i++) weight[i] = row->weight_values[bytes[start + i]];
        break;
    case 2:
        for (uint32_t i = 0; i < count; i++) weight[i] = row->weight_values[words[start + i]];
        break;
    default:
        memcpy(weight, plain + start, count * sizeof *weight);
    }
    const uint8_t *codes = row->type;
    const uint16_t *types = row->type;
    switch (row->type_width) {
    case 0:
        for (uint32_t i = 0; i < count; i++) type[i] = row->type_values[0];
        break;
    case 1:
        for (uint32_t i = 0; i < count; i++) type[i] = row->type_values[codes[start + i]];
        break;
    default:
        memcpy(type, types + start, count * sizeof *type);
    }
}

static bool header_right(const ql_extent_header *header, uint64_t room, uint32_t group, int side)
{
    if (header->magic != EXTENT_MAGIC || header->group != group || header->side != side)
        return false;
    if (header->edges == 0 || header->rows == 0 || header->first >= QL_GROUP_ROWS) return false;
    if (header->rows > QL_GROUP_ROWS - header->first) return false;
    if (header->weight_width == 3 || header->weight_width > 4 || header->type_width > 2)
        return false;
    if (header->weight_values > DICTIONARY_MAX || header->type_values > 256) return false;
    return header->size_bytes <= room && header->size_bytes == layout_of(header).size_bytes;
}

/* Rows ascend, other ends are nodes, codes point at values, and values keep to their ranges. */
static bool columns_right(const ql_extent *extent)
{
    const ql_extent_header *header = extent->header;
    if (extent->offset[0] != 0 || extent->offset[header->rows] != header->edges) return false;
    bool right = true;
    for (uint32_t i = 0; i < header->rows; i++) right &= extent->offset[i] <= extent->offset[i + 1];
    for (uint32_t i = 0; i < header->edges; i++) right &= extent->other[i] != QL_NONE;
    if (header->weight_width < 4 && header->weight_values == 0) return false;
    if (header->type_width < 2 && header->type_values == 0) return false;
    for (uint32_t i = 0; header->weight_width == 1 && i < header->edges; i++) {
        right &= ((const uint8_t *)extent->weight)[i] < header->weight_values;
    }
    for (uint32_t i = 0; header->weight_width == 2 && i < header->edges; i++) {
        right &= ((const uint16_t *)extent->weight)[i] < header->weight_values;
    }
    for (uint32_t i = 0; header->weight_width == 4 && i < header->edges; i++) {
        right &= isfinite(((const float *)extent->weight)[i]) != 0;
    }
    for (uint32_t i = 0; header->type_width == 1 && i < header->edges; i++) {
        right &= ((const uint8_t *)extent->type)[i] < header->type_values;
    }
    for (uint32_t i = 0; header->type_width == 2 && i < header->edges; i++) {
        right &= (((const uint16_t *)extent->type)[i] & QL_TYPE_MASK) < QL_TYPES_MAX;
    }
    for (uint32_t i = 0; i < header->weight_values; i++)
        right &= isfinite(extent->weight_values[i]) != 0;
    for (uint32_t i = 0; i < header->type_values; i++) {
        right &= (extent->type_values[i] & QL_TYPE_MASK) < QL_TYPES_MAX;
    }
    return right;
}

int ql_extent_open(ql_extent_map *map, const void *block, uint64_t room, uint32_t group, int side,
                   ql_extent **extent)
{
    const ql_extent_header *header = block;
    if (room < sizeof *header || !header_right(header, room, group, side)) return QL_E_CORRUPT;
    if (block_checksum(header) != header->checksum) return QL_E_CORRUPT;
    ql_extent *opened = ql_alloc(1, sizeof *opened);
    if (!opened) return QL_E_MEMORY;
    atomic_init(&opened->owners, 1);
    columns_set(opened, header);
    if (!columns_right(opened)) {
        ql_free(opened);
        return QL_E_CORRUPT;
    }
    opened->map = map;
    *extent = opened;
    return QL_OK;
}
