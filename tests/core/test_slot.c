/* test_slot.c: another function is called by one library, as long as it is in that one's slots. */
#include "embed.h"

static const void *here = (const void *)&test_hub; /* in this program, not in the C library */

static uid_t answer(void) { return 12345; }

static void it_is_called_until_the_former_is_put_back(void)
{
    void *former = NULL, *ours = NULL;
    uid_t before = geteuid();
    CHECK(fbl_slot_exchange(here, "geteuid", (void *)(uintptr_t)answer, &former) > 0);
    CHECK_EQUAL(geteuid(), 12345);
    CHECK(former != NULL && former != (void *)(uintptr_t)answer);
    CHECK(fbl_slot_exchange(here, "geteuid", former, &ours) > 0);
    CHECK(ours == (void *)(uintptr_t)answer);
    CHECK_EQUAL(geteuid(), before);
}

static void the_former_may_not_have_been_called_yet(void)
{
    void *former = NULL;
    CHECK(fbl_slot_exchange(here, "getegid", (void *)(uintptr_t)answer, &former) > 0);
    CHECK_EQUAL(getegid(), 12345);
    CHECK(fbl_slot_exchange(here, "getegid", former, &former) > 0);
    CHECK(getegid() != 12345);
}

static void who_never_calls_it_has_no_slot(void)
{
    void *former = (void *)(uintptr_t)1;
    CHECK_EQUAL(fbl_slot_exchange(here, "no_such_function", NULL, &former), 0);
    CHECK(former == NULL);
    CHECK_EQUAL(fbl_slot_exchange((void *)(uintptr_t)16, "geteuid", NULL, &former), -ENOENT);
}

int main(void)
{
    RUN(it_is_called_until_the_former_is_put_back);
    RUN(the_former_may_not_have_been_called_yet);
    RUN(who_never_calls_it_has_no_slot);
    return test_end();
}
