/*
 * cxx.c: exceptions of C++ in flight: where they are kept, and the switch that keeps them apart.
 *
 * C++'s run-time library may be loaded at any time, by whoever loads an extension written in C++,
 * and fibril must not load it itself: another version than the extension wants could be found.
 * Until it is there, the sign (cxx.h) is the end of the list of loaded libraries: null until
 * another one is loaded, and then somebody looks which. From then on it is the thread's exceptions.
 *
 * Once a library is named whose thread-local variables each fiber has of its own (private.c), the
 * sign is never zero, and every switch of every thread asks here for both.
 *
 * Limits: a C++ library that is linked into an extension statically cannot be found, and of two
 * different ones only the first of the table is looked after.
 * Callers: the hub's own thread. Do not add: anything about Python's exceptions.
 */
#include "core/switch/cxx.h"
#include "core/switch/enter.h"

#include <dlfcn.h>
#include <limits.h>
#include <link.h>

/* What the C++ ABI has in each thread (__cxa_eh_globals). */
typedef struct {
    void *caught;      /* exceptions that are being handled, innermost first */
    unsigned uncaught; /* how many are on their way to a catch block */
} cxx_globals;

static const char cxx_nothing[8];             /* the sign where there is nothing to look at */
static const char cxx_always[8] = "private";  /* the sign where there always is */
static const char *cxx_end = cxx_nothing;     /* where the loader notes the next library */
static cxx_globals *(*cxx_get_globals)(void); /* NULL until the library is loaded */

static void cxx_find_library(void)
{
    static const char *const names[] = {"libstdc++.so.6", "libc++abi.so.1"};
    for (size_t i = 0; i < sizeof names / sizeof *names && cxx_get_globals == NULL; i++) {
        void *library = dlopen(names[i], RTLD_LAZY | RTLD_NOLOAD);
        void *symbol = library == NULL ? NULL : dlsym(library, "__cxa_get_globals");
        /* The handle is kept: the library stays as long as we do. */
        memcpy(&cxx_get_globals, &symbol, sizeof symbol);
    }
}

static int cxx_note_name(struct dl_phdr_info *info, size_t size, void *name)
{
    (void)size;
    size_t length = strnlen(info->dlpi_name, PATH_MAX - 1);
    memcpy(name, info->dlpi_name, length);
    ((char *)name)[length] = '\0';
    return 0; /* go on to the last */
}

/* Where the loader will note the library that it loads next. */
static const char *cxx_end_of_libraries(void)
{
    char name[PATH_MAX];
    struct link_map *last = NULL;
    dl_iterate_phdr(cxx_note_name, name);
    /* SAFE: RTLD_NODELETE: what the sign points into is never unmapped. */
    void *library = dlopen(name, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
    if (library == NULL || dlinfo(library, RTLD_DI_LINKMAP, &last) < 0)
        return cxx_nothing;
    return (const char *)&last->l_next;
}

/* Chooses what this thread's switches look at. */
void fbl_cxx_watch(fbl_hub *hub)
{
    if (cxx_get_globals == NULL)
        cxx_find_library();
    if (cxx_get_globals == NULL)
        cxx_end = cxx_end_of_libraries();
    if (fbl_private_is_wanted()) {
        hub->cxx_sign = cxx_always;
        return;
    }
    if (cxx_get_globals == NULL) {
        hub->cxx_sign = cxx_end;
        return;
    }
    /* Bytes 2 to 9: all of the pointer but its lowest 16 bits, and the lowest 16 bits of the count.
     * No exception lies in the first 64 KiB of memory, and nobody throws 65,536 at once. */
    _Static_assert(offsetof(cxx_globals, uncaught) == 8, "the count follows the pointer");
    hub->cxx_sign = (const char *)cxx_get_globals() + 2;
}

/* Leaves, and keeps the exceptions that are in flight. */
static void cxx_keep_switch(fbl_fiber *target)
{
    /* SAFE: the thread's own, and a fiber never leaves its thread. */
    cxx_globals *globals = cxx_get_globals == NULL ? NULL : cxx_get_globals();
    if (globals == NULL || (globals->caught == NULL && globals->uncaught == 0)) {
        fbl_fiber_pass_switch(target);
        return;
    }
    cxx_globals kept = *globals;
    *globals = (cxx_globals){0};
    fbl_fiber_pass_switch(target);
    *globals = kept;
}

/* The same, and keeps the thread-local variables that are its own. */
static __attribute__((noinline)) void cxx_keep_privates_switch(fbl_fiber *target)
{
    char kept[FBL_PRIVATE_BYTES_MAX];
    fbl_hub *hub = target->hub;
    uint32_t count = fbl_private_take(hub, kept);
    cxx_keep_switch(target);
    fbl_private_give(hub, kept, count);
}

/* What fbl_fiber_enter_switch does when the sign is not zero. */
void fbl_cxx_enter_switch(fbl_fiber *target)
{
    fbl_hub *hub = target->hub;
    uint64_t next_library;
    memcpy(&next_library, cxx_end, sizeof next_library);
    if (hub->cxx_sign != cxx_always || (cxx_get_globals == NULL && next_library != 0))
        fbl_cxx_watch(hub);
    if (fbl_private_is_laden(hub))
        cxx_keep_privates_switch(target);
    else
        cxx_keep_switch(target);
}

/* A fiber has ended and another one begins on its stack without a switch: it leaves nothing. */
void fbl_cxx_forget(fbl_hub *hub)
{
    char unwanted[FBL_PRIVATE_BYTES_MAX];
    if (fbl_private_is_laden(hub))
        (void)fbl_private_take(hub, unwanted);
}
