/* test_list.c: the intrusive list against what a list must be. */
#include "embed.h"

typedef struct {
    int number;
    fbl_link link;
} item;

static int numbers_in(const fbl_link *head, int *numbers)
{
    int count = 0;
    for (const fbl_link *link = head->next; link != head; link = link->next) {
        CHECK(link->prev->next == link && link->next->prev == link);
        numbers[count++] = fbl_container_of(link, const item, link)->number;
    }
    return count;
}

static void a_fresh_link_is_in_no_list(void)
{
    fbl_link link;
    fbl_list_init(&link);
    CHECK(!fbl_list_has(&link));
    CHECK(fbl_list_is_empty(&link));
    fbl_list_remove(&link);
    CHECK(!fbl_list_has(&link));
}

static void append_goes_to_the_end_and_prepend_to_the_front(void)
{
    fbl_link head;
    item items[4] = {{.number = 0}, {.number = 1}, {.number = 2}, {.number = 3}};
    int found[4];
    fbl_list_init(&head);
    fbl_list_append(&head, &items[1].link);
    fbl_list_append(&head, &items[2].link);
    fbl_list_prepend(&head, &items[0].link);
    fbl_list_append(&head, &items[3].link);
    CHECK_EQUAL(numbers_in(&head, found), 4);
    for (int i = 0; i < 4; i++)
        CHECK_EQUAL(found[i], i);
}

static void removing_twice_is_removing_once(void)
{
    fbl_link head;
    item items[3] = {{.number = 0}, {.number = 1}, {.number = 2}};
    int found[3];
    fbl_list_init(&head);
    for (int i = 0; i < 3; i++)
        fbl_list_append(&head, &items[i].link);
    fbl_list_remove(&items[1].link);
    fbl_list_remove(&items[1].link);
    CHECK(!fbl_list_has(&items[1].link));
    CHECK_EQUAL(numbers_in(&head, found), 2);
    CHECK_EQUAL(found[0], 0);
    CHECK_EQUAL(found[1], 2);
}

#define ITEMS 40

/* The same operations on an array of numbers. */
static void model_remove(int *model, int *count, int number)
{
    int kept = 0;
    for (int i = 0; i < *count; i++) {
        if (model[i] != number)
            model[kept++] = model[i];
    }
    *count = kept;
}

static void random_operations_agree_with_an_array(void)
{
    uint64_t seed = test_seed(20260101), state = seed;
    fbl_link head;
    item items[ITEMS];
    int model[ITEMS + 1], found[ITEMS + 1], count = 0;
    fbl_list_init(&head);
    for (int i = 0; i < ITEMS; i++) {
        items[i].number = i;
        fbl_list_init(&items[i].link);
    }
    for (int step = 0; step < 20000 && test_failures == 0; step++) {
        int number = (int)(test_random(&state) % ITEMS);
        bool was_listed = fbl_list_has(&items[number].link);
        fbl_list_remove(&items[number].link);
        model_remove(model, &count, number);
        if (test_random(&state) % 2 == 0) {
            fbl_list_append(&head, &items[number].link);
            model[count++] = number;
        } else if (!was_listed) {
            fbl_list_prepend(&head, &items[number].link);
            memmove(model + 1, model, (size_t)count++ * sizeof *model);
            model[0] = number;
        }
        CHECK_EQUAL(numbers_in(&head, found), count);
        CHECK(memcmp(found, model, (size_t)count * sizeof *model) == 0);
    }
    if (test_failures != 0)
        printf("SEED=%llu\n", (unsigned long long)seed);
}

int main(void)
{
    RUN(a_fresh_link_is_in_no_list);
    RUN(append_goes_to_the_end_and_prepend_to_the_front);
    RUN(removing_twice_is_removing_once);
    RUN(random_operations_agree_with_an_array);
    return test_end();
}
