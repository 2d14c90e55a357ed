/* npu.c: fuzz what a saved network gives the core (engine/checkpoints.py reads the file, the core takes columns).
 * Input: u32 neurons, u32 synapses, u32 queued, u32 burst, then as many bytes of the columns as there are. */
#include "common.h"

#define NEURONS_MAX 64
#define SYNAPSES_MAX 256
#define DELAY 2

typedef struct columns {
    uint32_t sources[SYNAPSES_MAX];
    uint32_t targets[SYNAPSES_MAX];
    uint8_t weights[SYNAPSES_MAX];
    uint8_t psps[SYNAPSES_MAX];
    uint8_t inhibitory[SYNAPSES_MAX];
    float potentials[NEURONS_MAX];
    uint16_t countdown[NEURONS_MAX];
    uint16_t consecutive[NEURONS_MAX];
    uint32_t ids[NEURONS_MAX];
    float amounts[NEURONS_MAX];
    uint8_t flags[NEURONS_MAX];
} columns;

int seed(const char *name)
{
    static columns sound;
    uint32_t numbers[4] = {NEURONS_MAX, SYNAPSES_MAX, 5, 3};
    FILE *out = fopen(name, "wb");

    for (uint32_t i = 0; i < SYNAPSES_MAX; i++) {
        sound.sources[i] = i % NEURONS_MAX;
        sound.targets[i] = i * 7 % NEURONS_MAX;
        sound.weights[i] = sound.psps[i] = 200;
    }
    for (uint32_t i = 0; i < NEURONS_MAX; i++) {
        sound.potentials[i] = 0.5f;
        sound.ids[i] = i;
        sound.amounts[i] = 2;
    }
    fwrite(numbers, sizeof numbers, 1, out);
    fwrite(&sound, sizeof sound, 1, out);
    return fclose(out);
}

static void use(ql_npu *npu, const columns *in, uint32_t synapses, uint32_t queued, uint32_t burst)
{
    static const float threshold = 0.75f;
    uint32_t each = QL_NPU_EACH_SOURCE | QL_NPU_EACH_TARGET | QL_NPU_EACH_WEIGHT | QL_NPU_EACH_PSP |
                    QL_NPU_EACH_INHIBITORY;
    ql_spikes *spikes;

    want(ql_npu_set_floats(npu, QL_NPU_THRESHOLD, &threshold, 1) == QL_OK, "a threshold");
    ql_npu_set_flags(npu, in->flags, 1);
    ql_npu_connect(npu, in->sources, in->targets, in->weights, in->psps, in->inhibitory, synapses, each);
    ql_npu_set_floats(npu, QL_NPU_POTENTIAL, in->potentials, 1);
    ql_npu_set_shorts(npu, QL_NPU_COUNTDOWN, in->countdown, 1);
    ql_npu_set_shorts(npu, QL_NPU_CONSECUTIVE, in->consecutive, 1);
    ql_npu_burst_set(npu, burst);
    for (uint32_t age = 0; age < DELAY; age++) ql_npu_queue_set(npu, age, in->ids, in->amounts, queued);
    ql_npu_drive(npu, in->ids, in->amounts, queued, 1);
    ql_npu_inject(npu, in->ids, in->amounts, queued, 1);
    ql_npu_force(npu, in->ids, in->amounts, queued, 1);
    for (int method = QL_NPU_PUSH; method <= QL_NPU_PULL; method++)
        if (ql_npu_run(npu, 4, 0, 1, method, &spikes) == QL_OK) ql_spikes_free(spikes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    static columns in;
    uint32_t neurons = take_u32(&data, &size_bytes) % (NEURONS_MAX + 1);
    uint32_t synapses = take_u32(&data, &size_bytes) % (SYNAPSES_MAX + 1);
    uint32_t queued = take_u32(&data, &size_bytes) % (NEURONS_MAX + 1);
    uint32_t burst = take_u32(&data, &size_bytes);
    ql_npu *npu;

    memset(&in, 0, sizeof in);
    memcpy(&in, data, size_bytes < sizeof in ? size_bytes : sizeof in);
    if (ql_npu_open(neurons, burst % 7, DELAY, burst % 2, &npu) != QL_OK) return 0;
    use(npu, &in, synapses, queued, burst);
    ql_npu_close(npu);
    return 0;
}
