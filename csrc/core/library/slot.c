/*
 * slot.c: another function for one library: what it calls by a slot that the loader has filled.
 *
 * The idea: a library calls another library's function through a slot of its own. Whoever puts a
 * function of his own there answers that library, and no other.
 *
 *   object: dynamic section -> relocations: {offset of slot, symbol} -> symbol: name
 *
 * Threads: any; under the embedder's lock. Do not add: which functions, and what they do instead.
 */
#include "core/core.h"

#include <elf.h>
#include <errno.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__x86_64__)
#define SLOT_TYPES(type) ((type) == R_X86_64_JUMP_SLOT || (type) == R_X86_64_GLOB_DAT)
#else
#define SLOT_TYPES(type) ((type) == R_AARCH64_JUMP_SLOT || (type) == R_AARCH64_GLOB_DAT)
#endif

/* An object that is loaded, as far as it matters here. */
typedef struct {
    const char *inside;       /* sought: the object that has this address */
    char *base;               /* what its addresses are relative to */
    const ElfW(Dyn) * dynamic; /* its dynamic section */
    char *sealed, *sealed_end; /* what the loader has made read-only once it was filled */
} slot_object;

/* What to put where. */
typedef struct {
    const char *name; /* of the function that is called */
    void *function;   /* what to call instead */
    void *former;     /* what was called before; NULL: no slot was found yet */
} slot_change;

static int slot_find_object(struct dl_phdr_info *info, size_t size, void *argument)
{
    (void)size;
    slot_object *object = argument;
    bool is_sought = false;
    *object = (slot_object){.inside = object->inside, .base = (char *)info->dlpi_addr};
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
static ElfW(Xword) slot_entry(const slot_object *object, ElfW(Sxword) tag)
{
    for (const ElfW(Dyn) *entry = object->dynamic; entry->d_tag != DT_NULL; entry++)
        if (entry->d_tag == tag)
            return entry->d_un.d_val;
    return 0;
}

static char *slot_address(const slot_object *object, ElfW(Sxword) tag)
{
    ElfW(Xword) value = slot_entry(object, tag);
    if (value == 0)
        return NULL;
    return value < (uintptr_t)object->base ? object->base + value : (char *)value;
}

static int slot_fill(const slot_object *object, void **slot, slot_change *change)
{
    uintptr_t page_bytes = (uintptr_t)sysconf(_SC_PAGESIZE);
    char *page = (char *)((uintptr_t)slot & ~(page_bytes - 1));
    bool is_sealed = (char *)slot >= object->sealed && (char *)slot < object->sealed_end;
    if (is_sealed && mprotect(page, page_bytes, PROT_READ | PROT_WRITE) < 0)
        return -errno;
    if (change->former == NULL)
        change->former = *slot;
    /* SAFE: the loader's own slot for this function, and whoever reads it finds the old or the new
     * one: both do what the caller wants. */
    __atomic_store_n(slot, change->function, __ATOMIC_RELEASE);
    if (is_sealed && mprotect(page, page_bytes, PROT_READ) < 0)
        return -errno;
    return 1;
}

/* Fills the slots of that function among some relocations. Returns how many, or an error. */
static int slot_fill_all(const slot_object *object, const char *table, size_t bytes,
                         slot_change *change)
{
    const ElfW(Sym) *symbols = (const ElfW(Sym) *)slot_address(object, DT_SYMTAB);
    const char *names = slot_address(object, DT_STRTAB);
    int count = 0;
    if (table == NULL || symbols == NULL || names == NULL)
        return 0;
    const ElfW(Rela) *end = (const ElfW(Rela) *)(table + bytes);
    for (const ElfW(Rela) *entry = (const ElfW(Rela) *)table; entry < end; entry++) {
        if (!SLOT_TYPES(ELF64_R_TYPE(entry->r_info)) ||
            strcmp(names + symbols[ELF64_R_SYM(entry->r_info)].st_name, change->name) != 0)
            continue;
        int rc = slot_fill(object, (void **)(object->base + entry->r_offset), change);
        if (rc < 0)
            return rc;
        count += rc;
    }
    return count;
}

/* From now on the object that has the address `inside` calls `function` where it called the one of
 * that name; *former: that one, to put it back, or the loader's way to it if it was not called yet.
 * Returns how many slots were filled, 0 if it never calls it, or an error. */
int fbl_slot_exchange(const void *inside, const char *name, void *function, void **former)
{
    slot_object object = {.inside = inside};
    slot_change change = {.name = name, .function = function};
    if (dl_iterate_phdr(slot_find_object, &object) == 0)
        return -ENOENT;
    /* Those without a symbol come first, 132,000 of 132,352 in a large library. */
    size_t skipped = slot_entry(&object, DT_RELACOUNT) * sizeof(ElfW(Rela));
    size_t bytes = slot_entry(&object, DT_RELASZ);
    char *table = slot_address(&object, DT_RELA);
    int rc = slot_fill_all(&object, slot_address(&object, DT_JMPREL),
                           slot_entry(&object, DT_PLTRELSZ), &change);
    int more = table == NULL || skipped > bytes
                   ? 0
                   : slot_fill_all(&object, table + skipped, bytes - skipped, &change);
    *former = change.former;
    return rc < 0 || more < 0 ? (rc < 0 ? rc : more) : rc + more;
}
