/* npu_check.c: the golden sheet of the spiking simulation, by every instruction set, way and number of threads.
 *
 * Prints the instruction set and whether all of its runs gave the 159,135 spikes with the hash 150022505739114 (see
 * spiking_cases.py).  Runs under qemu, for machines that are not at hand. */
#include <stdio.h>

#include "internal.h"
#include "quillian.h"

#define SIDE 60

static int connect_all(ql_npu *npu)
{
    static const int steps[8][3] = {{1, 0, 0},  {-1, 0, 0}, {0, 1, 0},  {2, 1, 0},
                                    {-3, 2, 0}, {0, -1, 1}, {1, -1, 1}, {-2, -2, 1}};
    const uint8_t weight = 1, psp = 5;

    for (int s = 0; s < 8; s++)
        for (int x = 0; x < SIDE; x++)
            for (int y = 0; y < SIDE; y++) {
                const int a = x + steps[s][0], b = y + steps[s][1];
                const uint32_t source = (uint32_t)(x * SIDE + y), target = (uint32_t)(a * SIDE + b);
                const uint8_t inhibitory = (uint8_t)steps[s][2];
                if (a < 0 || a >= SIDE || b < 0 || b >= SIDE) continue;
                QL_TRY(ql_npu_connect(npu, &source, &target, &weight, &psp, &inhibitory, 1, 0));
            }
    return QL_OK;
}

static int set_up(ql_npu *npu)
{
    const float threshold = 14, leak = 0.2f, chance = 0.6f;
    const uint16_t refractory = 1, limit = 3;

    QL_TRY(ql_npu_set_floats(npu, QL_NPU_THRESHOLD, &threshold, 1));
    QL_TRY(ql_npu_set_floats(npu, QL_NPU_LEAK, &leak, 1));
    QL_TRY(ql_npu_set_floats(npu, QL_NPU_EXCITABILITY, &chance, 1));
    QL_TRY(ql_npu_set_shorts(npu, QL_NPU_REFRACTORY, &refractory, 1));
    QL_TRY(ql_npu_set_shorts(npu, QL_NPU_FIRE_LIMIT, &limit, 1));
    return connect_all(npu);
}

static int runs(uint32_t threads, int method, uint64_t *count, uint64_t *hash)
{
    const float power = 5;
    ql_npu *npu;
    int status;

    QL_TRY(ql_npu_open(SIDE * SIDE, 7, 1, 0, &npu));
    status = set_up(npu);
    *count = *hash = 0;
    for (uint32_t t = 1; status == QL_OK && t <= 200; t++) {
        ql_spikes *spikes = NULL;
        uint64_t sum = 0;
        if (t == 2) status = ql_npu_drive(npu, NULL, &power, 0, 0);
        if (status == QL_OK) status = ql_npu_run(npu, 1, 0, threads, method, &spikes);
        for (uint64_t k = 0; status == QL_OK && k < spikes->offsets[1]; k++) sum += spikes->ids[k];
        if (status == QL_OK) *count += spikes->offsets[1];
        *hash = (*hash * 1000003 + sum) & (((uint64_t)1 << 48) - 1);
        ql_spikes_free(spikes);
    }
    ql_npu_close(npu);
    return status;
}

int main(void)
{
    static const char *const names[] = {"portable", "avx2", "avx512", "neon"};

    for (int i = 0; i < 4; i++) {
        int equal = 0;
        if (ql_isa_use(names[i]) != QL_OK) continue;
        for (int method = QL_NPU_AUTO; method <= QL_NPU_PULL; method++)
            for (uint32_t threads = 1; threads <= 2; threads++) {
                uint64_t count, hash;
                equal += runs(threads, method, &count, &hash) == QL_OK && count == 159135 && hash == 150022505739114u;
            }
        printf("%s %d of 8 equal\n", names[i], equal);
    }
    return 0;
}
