/*
 * bounds.c: what a library is told that asks pthread for the bounds of the stack it runs on.
 *
 * The idea: pthread knows one stack for each thread. Who asks for it while a fiber runs means the
 * fiber's: CPython does, from 3.14 on, for each thread state that is made there (sub-interpreters),
 * and compares the stack pointer with the answer. A library calls pthread through a slot of its
 * own, which the loader has filled; ours is put there instead, in the libraries that are named, and
 * in no others. It asks pthread, and corrects the answer where a fiber's stack is meant.
 *
 * Who remembers the answer for the thread, and not for the call, is not helped: see DESIGN.md.
 *
 *   object: dynamic section -> relocations: {offset of slot, symbol} -> symbol: name
 *
 * Threads: any; under the embedder's lock. Do not add: other functions than the one.
 */
#include "core.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__x86_64__)
#define SLOT_TYPES(type) ((type) == R_X86_64_JUMP_SLOT || (type) == R_X86_64_GLOB_DAT)
#else
#define SLOT_TYPES(type) ((type) == R_AARCH64_JUMP_SLOT || (type) == R_AARCH64_GLOB_DAT)
#endif

typedef int bounds_function(pthread_t thread, pthread_attr_t *attributes);

static const char bounds_name[] = "pthread_getattr_np";
static bounds_function *bounds_real; /* pthread's own, found beyond all slots */

/* Put in the place of pthread's. */
static int bounds_answer(pthread_t thread, pthread_attr_t *attributes)
{
    int rc = bounds_real(thread, attributes);
    fbl_stack *stack = pthread_equal(thread, pthread_self()) ? fbl_embed_stack() : NULL;
    if (rc != 0 || stack == NULL)
        return rc;
    /* SAFE: only compared. */
    char *low = fbl_stack_low(stack), *here = __builtin_frame_address(0);
    if (here < low || here >= fbl_stack_top(stack))
        return rc; /* the thread's own stack all the same */
    rc = pthread_attr_setstack(attributes, low, fbl_stack_room(stack));
    return rc != 0 ? rc : pthread_attr_setguardsize(attributes, 0);
}

/* An object that is loaded, as far as it matters here. */
typedef struct {
    const char *inside;       /* sought: the object that has this address */
    char *base;               /* what its addresses are relative to */
    const ElfW(Dyn) * dynamic; /* its dynamic section */
    char *sealed, *sealed_end; /* what the loader has made read-only once it was filled */
} bounds_object;

static int bounds_find_object(struct dl_phdr_info *info, size_t size, void *argument)
{
    (void)size;
    bounds_object *object = argument;
    bool is_sought = false;
    *object = (bounds_object){.inside = object->inside, .base = (char *)info->dlpi_addr};
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        char *at = object->base + part->p_vaddr;
        if (part->p_type == PT_LOAD)
            is_sought |= object->inside >= at && object->inside < at + part->p_memsz;
        if (part->p_type == PT_DYNAMIC)
            object->dynamic = (const ElfW(Dyn) *)at;
        if (part->p_type == PT_GNU_RELRO) {
            object->sealed = at;
            object->sealed_end = at + part->p_memsz;
        }
    }
    return is_sought && object->dynamic != NULL;
}

/* An entry of the dynamic section. glibc has made addresses of the offsets that are in the file. */
static ElfW(Xword) bounds_entry(const bounds_object *object, ElfW(Sxword) tag)
{
    for (const ElfW(Dyn) *entry = object->dynamic; entry->d_tag != DT_NULL; entry++)
        if (entry->d_tag == tag)
            return entry->d_un.d_val;
    return 0;
}

static char *bounds_address(const bounds_object *object, ElfW(Sxword) tag)
{
    ElfW(Xword) value = bounds_entry(object, tag);
    if (value == 0)
        return NULL;
    return value < (uintptr_t)object->base ? object->base + value : (char *)value;
}

static int bounds_fill(const bounds_object *object, bounds_function **slot)
{
    uintptr_t page_bytes = (uintptr_t)sysconf(_SC_PAGESIZE);
    char *page = (char *)((uintptr_t)slot & ~(page_bytes - 1));
    bool is_sealed = (char *)slot >= object->sealed && (char *)slot < object->sealed_end;
    if (is_sealed && mprotect(page, page_bytes, PROT_READ | PROT_WRITE) < 0)
        return -errno;
    /* SAFE: the loader's own slot for this function, and whoever reads it finds the old or the new
     * one: both do what the caller wants. */
    __atomic_store_n(slot, bounds_answer, __ATOMIC_RELEASE);
    if (is_sealed && mprotect(page, page_bytes, PROT_READ) < 0)
        return -errno;
    return 1;
}

/* Fills the slots of that function among some relocations. Returns how many, or an error. */
static int bounds_fill_all(const bounds_object *object, const char *table, size_t bytes)
{
    const ElfW(Sym) *symbols = (const ElfW(Sym) *)bounds_address(object, DT_SYMTAB);
    const char *names = bounds_address(object, DT_STRTAB);
    int count = 0;
    if (table == NULL || symbols == NULL || names == NULL)
        return 0;
    const ElfW(Rela) *end = (const ElfW(Rela) *)(table + bytes);
    for (const ElfW(Rela) *entry = (const ElfW(Rela) *)table; entry < end; entry++) {
        if (!SLOT_TYPES(ELF64_R_TYPE(entry->r_info)) ||
            strcmp(names + symbols[ELF64_R_SYM(entry->r_info)].st_name, bounds_name) != 0)
            continue;
        int rc = bounds_fill(object, (bounds_function **)(object->base + entry->r_offset));
        if (rc < 0)
            return rc;
        count += rc;
    }
    return count;
}

/* From now on the object that has this address is told of the stack that it really runs on. Returns
 * how many of its slots were filled, 0 if it never asks, or an error. */
int fbl_bounds_correct(const void *inside)
{
    bounds_object object = {.inside = inside};
    /* Not &pthread_getattr_np: in an executable that may be its own entry, which goes by a slot. */
    *(void **)&bounds_real = dlsym(RTLD_NEXT, bounds_name);
    if (bounds_real == NULL)
        return -ENOSYS;
    if (dl_iterate_phdr(bounds_find_object, &object) == 0)
        return -ENOENT;
    int rc = bounds_fill_all(&object, bounds_address(&object, DT_JMPREL),
                             bounds_entry(&object, DT_PLTRELSZ));
    int more = bounds_fill_all(&object, bounds_address(&object, DT_RELA),
                               bounds_entry(&object, DT_RELASZ));
    return rc < 0 || more < 0 ? (rc < 0 ? rc : more) : rc + more;
}
