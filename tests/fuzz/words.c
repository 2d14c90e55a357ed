/* words.c: fuzz a segment of postings.  Input: the file. */
#include "common.h"

#define DOCUMENTS 300
#define ANALYSER 5

int seed(const char *name)
{
    static const char *const words[] = {"wolf", "lake", "tree", "a", "bb", "rare", "wolf", "wolf"};
    static char texts[DOCUMENTS * 64];
    uint64_t offsets[DOCUMENTS + 1] = {0};
    uint32_t nodes[DOCUMENTS];
    uint8_t gone[DOCUMENTS] = {0};
    ql_words_builder *builder;

    for (uint32_t i = 0; i < DOCUMENTS; i++) {
        nodes[i] = 3 * i;
        gone[i] = i % 17 == 5;
        offsets[i + 1] = offsets[i];
        for (uint32_t j = 0; j < i % 9; j++)
            offsets[i + 1] += (uint64_t)sprintf(texts + offsets[i + 1], "%s ", words[(i + j * j) % 8]);
    }
    want(ql_words_builder_create(1, &builder) == QL_OK, "a builder");
    want(ql_words_builder_add(builder, nodes, (const uint8_t *)texts, offsets, gone, DOCUMENTS) == QL_OK, "texts");
    want(ql_words_builder_write(builder, name, uuid, ANALYSER) == QL_OK, "a segment");
    ql_words_builder_close(builder);
    return 0;
}

static void search(ql_words *words, uint32_t mode)
{
    static const uint32_t offsets[3] = {0, 4, 8};
    static const double weights[2] = {1.5, 0.7};
    static const uint32_t phrase[2] = {0, 1};
    ql_words_query query = {2, mode, (const uint8_t *)"wolflake", offsets, weights, phrase, 2, 5, 1.2, 0.75, 4, 0, NULL};
    const ql_words *const segments[1] = {words};
    const uint64_t *const live[1] = {NULL};
    uint32_t nodes[5];
    float scores[5];
    uint32_t found = 0;
    ql_cost cost;

    ql_words_search(segments, live, 1, &query, nodes, scores, &found, &cost);
}

static void merge(ql_words *words)
{
    uint32_t documents = ql_words_documents(words);
    uint32_t *map = ql_alloc((size_t)documents + 1, sizeof *map);
    const ql_words *const segments[1] = {words};
    const uint32_t *const maps[1] = {map};

    want(map != NULL, "memory");
    for (uint32_t i = 0; i < documents; i++) map[i] = i;
    ql_words_merge(segments, maps, 1, ql_words_nodes(words), ql_words_lengths(words), documents, file_path("merged.post"),
                   uuid, ANALYSER);
    ql_free(map);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    static const uint32_t offsets[3] = {0, 4, 8};
    static const uint32_t dead[2] = {1, 7};
    uint32_t frequencies[2];
    ql_words *words;

    file_write("words.post", data, size_bytes);
    if (ql_words_open(file_path("words.post"), uuid, ANALYSER, &words) != QL_OK) return 0;
    ql_words_frequencies(words, (const uint8_t *)"wolflake", offsets, 2, dead, 2, frequencies);
    search(words, QL_WORDS_ANY);
    search(words, QL_WORDS_ALL);
    if (ql_words_has_positions(words)) search(words, QL_WORDS_PHRASE);
    merge(words);
    ql_words_check(words);
    ql_words_close(words);
    return 0;
}
