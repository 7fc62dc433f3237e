/* test_heap.c: the pairing heap against a sorted array. */
#include "embed.h"

typedef struct {
    fbl_heap_node node;
    int key;
    bool is_in;
} entry;

static bool entry_is_before(const fbl_heap_node *left, const fbl_heap_node *right)
{
    return fbl_container_of(left, const entry, node)->key <
           fbl_container_of(right, const entry, node)->key;
}

/* Walks the whole heap: links are true both ways, and no parent is later than its child. */
static size_t heap_check(const fbl_heap_node *root)
{
    size_t count = 0, depth = 0;
    const fbl_heap_node *stack[4096];
    if (root == NULL)
        return 0;
    CHECK(root->back == NULL && root->next == NULL);
    stack[depth++] = root;
    while (depth > 0) {
        const fbl_heap_node *node = stack[--depth];
        const fbl_heap_node *back = node;
        count++;
        for (const fbl_heap_node *child = node->child; child != NULL; child = child->next) {
            CHECK(child->back == back);
            CHECK(!entry_is_before(child, node));
            back = child;
            stack[depth++] = child;
        }
    }
    size_t walked = 0;
    for (const fbl_heap_node *node = root; node != NULL; walked++)
        node = fbl_heap_after((fbl_heap_node *)node);
    CHECK_EQUAL(walked, count);
    return count;
}

static int key_of(const fbl_heap_node *node)
{
    return fbl_container_of(node, const entry, node)->key;
}

static void an_empty_heap_takes_one_and_gives_it_back(void)
{
    entry only = {.key = 7};
    fbl_heap_node *root = fbl_heap_insert(NULL, &only.node, entry_is_before);
    CHECK(root == &only.node);
    root = fbl_heap_remove(root, &only.node, entry_is_before);
    CHECK(root == NULL);
    CHECK(only.node.back == NULL && only.node.next == NULL && only.node.child == NULL);
}

#define ENTRIES 500

static int least_key(const entry *entries)
{
    int least = -1;
    for (int i = 0; i < ENTRIES; i++) {
        if (entries[i].is_in && (least < 0 || entries[i].key < least))
            least = entries[i].key;
    }
    return least;
}

static void random_inserts_and_removals_keep_the_least_on_top(void)
{
    uint64_t seed = test_seed(20260102), state = seed;
    static entry entries[ENTRIES];
    fbl_heap_node *root = NULL;
    size_t count = 0;
    memset(entries, 0, sizeof entries);
    for (int step = 0; step < 20000 && test_failures == 0; step++) {
        entry *chosen = &entries[test_random(&state) % ENTRIES];
        bool is_pop = test_random(&state) % 4 == 0 && root != NULL;
        if (is_pop)
            chosen = fbl_container_of(root, entry, node);
        if (chosen->is_in) {
            root = fbl_heap_remove(root, &chosen->node, entry_is_before);
            count--;
        } else {
            chosen->key = (int)(test_random(&state) % 1000); /* many ties */
            root = fbl_heap_insert(root, &chosen->node, entry_is_before);
            count++;
        }
        chosen->is_in = !chosen->is_in;
        CHECK_EQUAL(heap_check(root), count);
        CHECK_EQUAL(root == NULL ? -1 : key_of(root), least_key(entries));
    }
    if (test_failures != 0)
        printf("SEED=%llu\n", (unsigned long long)seed);
}

#define MANY 1000000

/* A recursive heap would overflow the stack here: all a million are siblings. */
static void a_million_pop_in_order_without_recursion(void)
{
    entry *entries = calloc(MANY, sizeof *entries);
    fbl_heap_node *root = NULL;
    uint64_t state = 5;
    int last = -1, count = 0;
    for (int i = 0; i < MANY; i++) {
        entries[i].key = (int)(test_random(&state) % 1000000);
        root = fbl_heap_insert(root, &entries[i].node, entry_is_before);
    }
    while (root != NULL) {
        if (key_of(root) < last)
            CHECK_EQUAL(key_of(root), last);
        last = key_of(root);
        root = fbl_heap_remove(root, root, entry_is_before);
        count++;
    }
    CHECK_EQUAL(count, MANY);
    free(entries);
}

/* What nearly every timeout does: started last, cancelled first. */
static void removing_what_was_just_inserted_restores_the_heap(void)
{
    entry first = {.key = 1}, second = {.key = 2}, late = {.key = 9}, early = {.key = 0};
    fbl_heap_node *root = fbl_heap_insert(NULL, &first.node, entry_is_before);
    root = fbl_heap_insert(root, &second.node, entry_is_before);
    root = fbl_heap_insert(root, &late.node, entry_is_before);
    root = fbl_heap_remove(root, &late.node, entry_is_before);
    CHECK_EQUAL(heap_check(root), 2);
    root = fbl_heap_insert(root, &early.node, entry_is_before);
    CHECK(root == &early.node);
    root = fbl_heap_remove(root, &early.node, entry_is_before);
    CHECK(root == &first.node);
    CHECK_EQUAL(heap_check(root), 2);
}

int main(void)
{
    RUN(an_empty_heap_takes_one_and_gives_it_back);
    RUN(removing_what_was_just_inserted_restores_the_heap);
    RUN(random_inserts_and_removals_keep_the_least_on_top);
    RUN(a_million_pop_in_order_without_recursion);
    return test_end();
}
