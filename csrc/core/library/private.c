/*
 * private.c: thread-local variables of libraries that each fiber has of its own.
 *
 * Many a library keeps "the call that is going on" in a thread-local variable, for its callbacks to
 * find. Threads may do such calls at the same time; fibers of one thread would find each other's.
 *
 * The idea: it is as with exceptions in flight (cxx.c). Who leaves keeps the variables on its own
 * stack, and leaves what the loader gives a new thread: the library's image of them. So nothing
 * belongs to a fiber but its stack, one that starts finds what a thread that starts would, and one
 * that has not called the library is asked to compare a few words.
 *
 *      library's file   .tdata | .tbss       what a new thread gets: image_bytes, then zeros
 *                          |
 *      each thread      block of the module  <- __tls_get_addr(module, offset): hub->privates[i]
 *
 * Invariants: ranges are only added, under the embedder's lock; a hub looks at no more than
 * private_count of them, which it has found in its own thread. A library that is named is never
 * unloaded. Do not add: libraries that are not named. What has destructors that the thread runs, or
 * is a cache that must be freed, or belongs to an allocator, must not be taken away.
 */
#define _GNU_SOURCE 1 /* dlinfo and dl_iterate_phdr; fibril.c says the same */

#include "core/core.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <string.h>

typedef struct {
    size_t module;      /* the loader's number of the library's block in each thread */
    size_t offset;      /* where in that block */
    size_t bytes;       /* how many */
    const char *image;  /* what they begin as, in the library's own memory */
    size_t image_bytes; /* so many of them; the rest is zeros */
    bool is_limit;      /* tells where the stack ends that its owner runs on: see limit.c */
} private_range;

static private_range private_ranges[FBL_PRIVATE_RANGES_MAX];
static uint32_t private_range_count; /* guests read it without the lock */
static bool private_has_limit;       /* so is one of them */
static size_t private_bytes; /* of all of them */

/* The loader's function to find a variable of the calling thread, which it gives its block if it
 * has none. */
typedef struct {
    unsigned long module; /* as above */
    unsigned long offset; /* as above */
} private_index;
extern void *__tls_get_addr(private_index *index);

typedef struct {
    ElfW(Addr) base;     /* in: which library */
    private_range range; /* out: all of its block; no bytes: it has none */
} private_search;

static int private_find_block(struct dl_phdr_info *info, size_t size, void *argument)
{
    (void)size;
    private_search *search = argument;
    if (info->dlpi_addr != search->base)
        return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        if (header->p_type != PT_TLS)
            continue;
        search->range.module = info->dlpi_tls_modid;
        search->range.bytes = header->p_memsz;
        search->range.image = (const char *)(info->dlpi_addr + header->p_vaddr);
        search->range.image_bytes = header->p_filesz;
    }
    return 1;
}

static bool private_has(const private_range *range)
{
    for (uint32_t i = 0; i < private_range_count; i++)
        if (private_ranges[i].module == range->module && private_ranges[i].offset == range->offset)
            return true;
    return false;
}

/* From the block of a library to a part of it. */
static void private_narrow(private_range *range, size_t offset, size_t bytes)
{
    size_t skipped = offset < range->image_bytes ? offset : range->image_bytes;
    range->image += skipped;
    range->image_bytes -= skipped;
    range->offset = offset;
    range->bytes = bytes;
    if (range->image_bytes > bytes)
        range->image_bytes = bytes;
}

/* All of the block of the loaded library at `path`, and an address inside of that library. Returns
 * 0 or an error, as below. */
static int private_search_library(const char *path, private_range *range, const void **inside)
{
    struct link_map *map = NULL;
    /* The handle is kept: the library stays as long as we do. */
    void *library = dlopen(path, RTLD_LAZY | RTLD_NOLOAD);
    if (library == NULL || dlinfo(library, RTLD_DI_LINKMAP, &map) < 0)
        return -ENOENT;
    private_search search = {.base = map->l_addr};
    dl_iterate_phdr(private_find_block, &search);
    *range = search.range;
    *inside = map->l_ld;
    return range->bytes == 0 ? -ENODATA : 0;
}

/* From now on each fiber has the thread-local variables of the loaded library at `path` of its own:
 * so many bytes of them, from an offset on; 0 bytes: all. `is_limit`: they tell where the stack
 * ends. Returns how many, or -ENOENT: it is not loaded; -ENODATA: it has none, or not there;
 * -E2BIG: more than fibers can keep. */
int fbl_private_add(const char *path, size_t offset, size_t bytes, bool is_limit)
{
    private_range range;
    const void *inside;
    int rc = private_search_library(path, &range, &inside);
    if (rc < 0)
        return rc;
    if (offset >= range.bytes || bytes > range.bytes - offset)
        return -ENODATA;
    private_narrow(&range, offset, bytes != 0 ? bytes : range.bytes - offset);
    range.is_limit = is_limit;
    if (private_has(&range))
        return (int)range.bytes;
    if (range.bytes > FBL_PRIVATE_BYTES_MAX - private_bytes ||
        private_range_count == FBL_PRIVATE_RANGES_MAX)
        return -E2BIG;
    private_ranges[private_range_count] = range;
    private_bytes += range.bytes;
    private_has_limit |= is_limit;
    __atomic_store_n(&private_range_count, private_range_count + 1, __ATOMIC_RELEASE);
    return (int)range.bytes;
}

/* The calling thread's block of that library, for limit.c to look at. 0 or an error, as above. */
int fbl_private_look(const char *path, fbl_private_block *block)
{
    private_range range;
    int rc = private_search_library(path, &range, &block->inside);
    if (rc < 0)
        return rc;
    private_index index = {range.module, 0};
    block->at = __tls_get_addr(&index);
    block->bytes = range.bytes;
    block->image = range.image;
    block->image_bytes = range.image_bytes;
    return 0;
}

/* A part of it becomes again what a new thread finds. */
void fbl_private_reset(const fbl_private_block *block, size_t offset, size_t bytes)
{
    for (size_t i = offset; i < offset + bytes; i++)
        block->at[i] = i < block->image_bytes ? block->image[i] : 0;
}

bool fbl_private_is_wanted(void) { return private_range_count > 0; }
bool fbl_private_has_limit(void) { return private_has_limit; }

/* Finds in the calling thread, which is the hub's, what was added since. */
static void private_find(fbl_hub *hub)
{
    uint32_t count = __atomic_load_n(&private_range_count, __ATOMIC_ACQUIRE);
    for (uint32_t i = hub->private_count; i < count; i++) {
        private_index index = {private_ranges[i].module, private_ranges[i].offset};
        hub->privates[i] = __tls_get_addr(&index);
    }
    hub->private_count = count;
}

/* Has the library something there that a new thread would not find? */
static bool private_is_used(const private_range *range, const char *at)
{
    if (range->image_bytes > 0 && memcmp(at, range->image, range->image_bytes) != 0)
        return true;
    uint64_t word, all = 0; /* byte by byte it takes ten times as long */
    size_t i = range->image_bytes;
    for (; i + sizeof word <= range->bytes; i += sizeof word) {
        memcpy(&word, at + i, sizeof word);
        all |= word;
    }
    for (; i < range->bytes; i++)
        all |= (unsigned char)at[i];
    return all != 0;
}

/* Has the current fiber anything to keep? */
bool fbl_private_is_laden(fbl_hub *hub)
{
    if (fbl_unlikely(hub->private_count < private_range_count))
        private_find(hub);
    for (uint32_t i = 0; i < hub->private_count; i++)
        if (fbl_unlikely(private_is_used(&private_ranges[i], hub->privates[i])))
            return true;
    return false;
}

static char *private_take(fbl_hub *hub, uint32_t i, char *place)
{
    const private_range *range = &private_ranges[i];
    memcpy(place, hub->privates[i], range->bytes);
    memcpy(hub->privates[i], range->image, range->image_bytes);
    memset(hub->privates[i] + range->image_bytes, 0, range->bytes - range->image_bytes);
    return place + range->bytes;
}

static const char *private_give(fbl_hub *hub, uint32_t i, const char *place)
{
    memcpy(hub->privates[i], place, private_ranges[i].bytes);
    return place + private_ranges[i].bytes;
}

/* Moves all of it to `place`, FBL_PRIVATE_BYTES_MAX bytes. Returns of how many ranges. */
uint32_t fbl_private_take(fbl_hub *hub, char *place)
{
    for (uint32_t i = 0; i < hub->private_count; i++)
        place = private_take(hub, i, place);
    return hub->private_count;
}

/* And back, in the same fiber. Whoever ran meanwhile has left nothing behind. */
void fbl_private_give(fbl_hub *hub, const char *place, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        place = private_give(hub, i, place);
}

/* The same for limits only: the current fiber goes on, but on another stack. */
uint32_t fbl_private_take_limits(fbl_hub *hub, char *place)
{
    if (hub->private_count < __atomic_load_n(&private_range_count, __ATOMIC_ACQUIRE))
        private_find(hub);
    for (uint32_t i = 0; i < hub->private_count; i++)
        if (private_ranges[i].is_limit)
            place = private_take(hub, i, place);
    return hub->private_count;
}

/* And is back on its own. */
void fbl_private_give_limits(fbl_hub *hub, const char *place, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (private_ranges[i].is_limit)
            place = private_give(hub, i, place);
}
