/* crc32c.c: the checksum of every file of the store (Castagnoli's polynomial; RFC 3720, appendix
 * B.4).
 *
 * ql_crc32c(0, data, size) is the checksum of data, and ql_crc32c(ql_crc32c(0, a, n), b, m) that of
 * a followed by b. The active table does the work: slicing-by-8 here (Kounavis and Berry 2005:
 * eight lookups per eight bytes that do not wait for each other), the CPU's own instruction in the
 * other tables.
 *
 * lookup[s][v] is the remainder of byte v followed by s zero bytes.  The remainder is linear over
 * xor, so each of the eight tables is spanned by its entries at the powers of two, and the compiler
 * fills in the rest from these 64 numbers. */
#include "internal.h"

#define ENTRY(v, b0, b1, b2, b3, b4, b5, b6, b7)                                             \
    (((v) & 1 ? b0 : 0u) ^ ((v) & 2 ? b1 : 0u) ^ ((v) & 4 ? b2 : 0u) ^ ((v) & 8 ? b3 : 0u) ^ \
     ((v) & 16 ? b4 : 0u) ^ ((v) & 32 ? b5 : 0u) ^ ((v) & 64 ? b6 : 0u) ^ ((v) & 128 ? b7 : 0u))
#define FOUR(v, ...)                                                             \
    ENTRY(v, __VA_ARGS__), ENTRY(v + 1, __VA_ARGS__), ENTRY(v + 2, __VA_ARGS__), \
        ENTRY(v + 3, __VA_ARGS__)
#define SIXTEEN(v, ...)                                                       \
    FOUR(v, __VA_ARGS__), FOUR(v + 4, __VA_ARGS__), FOUR(v + 8, __VA_ARGS__), \
        FOUR(v + 12, __VA_ARGS__)
#define SIXTY_FOUR(v, ...)                                                               \
    SIXTEEN(v, __VA_ARGS__), SIXTEEN(v + 16, __VA_ARGS__), SIXTEEN(v + 32, __VA_ARGS__), \
        SIXTEEN(v + 48, __VA_ARGS__)
#define TABLE(...)                                                                         \
    SIXTY_FOUR(0, __VA_ARGS__), SIXTY_FOUR(64, __VA_ARGS__), SIXTY_FOUR(128, __VA_ARGS__), \
        SIXTY_FOUR(192, __VA_ARGS__)

static const uint32_t lookup[8][256] = {
    {TABLE(0xf26b8303, 0xe13b70f7, 0xc79a971f, 0x8ad958cf, 0x105ec76f, 0x20bd8ede, 0x417b1dbc,
           0x82f63b78)},
    {TABLE(0x13a29877, 0x274530ee, 0x4e8a61dc, 0x9d14c3b8, 0x3fc5f181, 0x7f8be302, 0xff17c604,
           0xfbc3faf9)},
    {TABLE(0xa541927e, 0x4f6f520d, 0x9edea41a, 0x38513ec5, 0x70a27d8a, 0xe144fb14, 0xc76580d9,
           0x8b277743)},
    {TABLE(0xdd45aab8, 0xbf672381, 0x7b2231f3, 0xf64463e6, 0xe964b13d, 0xd725148b, 0xaba65fe7,
           0x52a0c93f)},
    {TABLE(0x38116fac, 0x7022df58, 0xe045beb0, 0xc5670b91, 0x8f2261d3, 0x1ba8b557, 0x37516aae,
           0x6ea2d55c)},
    {TABLE(0xef306b19, 0xdb8ca0c3, 0xb2f53777, 0x6006181f, 0xc00c303e, 0x85f4168d, 0x0e045beb,
           0x1c08b7d6)},
    {TABLE(0x68032cc8, 0xd0065990, 0xa5e0c5d1, 0x4e2dfd53, 0x9c5bfaa6, 0x3d5b83bd, 0x7ab7077a,
           0xf56e0ef4)},
    {TABLE(0x493c7d27, 0x9278fa4e, 0x211d826d, 0x423b04da, 0x847609b4, 0x0d006599, 0x1a00cb32,
           0x34019664)},
};

uint32_t ql_crc32c(uint32_t crc, const void *data, uint64_t size_bytes)
{
    assert(data || size_bytes == 0);
    return ql_kernels_active()->crc32c(crc, data, (size_t)size_bytes);
}

uint32_t ql_crc32c_portable(uint32_t crc, const uint8_t *data, size_t size_bytes)
{
    crc = ~crc;
    for (; size_bytes >= 8; size_bytes -= 8, data += 8) {
        uint32_t low = crc ^ ((uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 |
                              (uint32_t)data[3] << 24);

        crc = lookup[7][low & 255] ^ lookup[6][low >> 8 & 255] ^ lookup[5][low >> 16 & 255] ^
              lookup[4][low >> 24] ^ lookup[3][data[4]] ^ lookup[2][data[5]] ^ lookup[1][data[6]] ^
              lookup[0][data[7]];
    }
    while (size_bytes--) crc = crc >> 8 ^ lookup[0][(crc ^ *data++) & 255];
    return ~crc;
}
