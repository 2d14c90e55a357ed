/* xxh64.c: the 64-bit hash XXH64 (Yann Collet's specification, xxhash.com), seed 0.
 *
 * Names patterns of spikes: equal patterns get equal memories in every process and on every
 * machine, so the hash must be a published one.  Not for keys that an opponent chooses.  Input is
 * read as little-endian words. */
#include <string.h>

#include "internal.h"

#define PRIME_1 0x9E3779B185EBCA87u
#define PRIME_2 0xC2B2AE3D27D4EB4Fu
#define PRIME_3 0x165667B19E3779F9u
#define PRIME_4 0x85EBCA77C2B2AE63u
#define PRIME_5 0x27D4EB2F165667C5u

static uint64_t turn(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static uint64_t word64(const uint8_t *at)
{
    uint64_t word = 0;

    for (int i = 7; i >= 0; i--) word = word << 8 | at[i];
    return word;
}

static uint64_t word32(const uint8_t *at)
{
    return (uint64_t)at[0] | (uint64_t)at[1] << 8 | (uint64_t)at[2] << 16 | (uint64_t)at[3] << 24;
}

static uint64_t stir(uint64_t lane, uint64_t word)
{
    return turn(lane + word * PRIME_2, 31) * PRIME_1;
}

static uint64_t finish(uint64_t hash, const uint8_t *at, uint64_t left)
{
    for (; left >= 8; left -= 8, at += 8)
        hash = turn(hash ^ stir(0, word64(at)), 27) * PRIME_1 + PRIME_4;
    if (left >= 4) {
        hash = turn(hash ^ word32(at) * PRIME_1, 23) * PRIME_2 + PRIME_3;
        left -= 4;
        at += 4;
    }
    for (; left > 0; left--, at++) hash = turn(hash ^ *at * PRIME_5, 11) * PRIME_1;
    hash = (hash ^ hash >> 33) * PRIME_2;
    hash = (hash ^ hash >> 29) * PRIME_3;
    return hash ^ hash >> 32;
}

uint64_t ql_xxh64(const void *data, uint64_t size_bytes)
{
    const uint8_t *at = data;
    uint64_t lanes[4] = {PRIME_1 + PRIME_2, PRIME_2, 0, 0u - PRIME_1};
    uint64_t left = size_bytes;
    uint64_t hash;

    if (left < 32) return finish(PRIME_5 + size_bytes, at, left);
    for (; left >= 32; left -= 32, at += 32)
        for (int i = 0; i < 4; i++) lanes[i] = stir(lanes[i], word64(at + 8 * i));
    hash = turn(lanes[0], 1) + turn(lanes[1], 7) + turn(lanes[2], 12) + turn(lanes[3], 18);
    for (int i = 0; i < 4; i++) hash = (hash ^ stir(0, lanes[i])) * PRIME_1 + PRIME_4;
    return finish(hash + size_bytes, at, left);
}
