/*
 * debug.c: what a debugger needs to find every fiber in the memory of a process or of a core file.
 *
 * The idea: one exported table of names and numbers: addresses to start at, offsets of fields.
 * It explains itself, so the reader (src/fibril/inspect/outside.py) needs neither debug information
 * nor knowledge of fibril's or CPython's version, and works on a stripped release build. Nothing
 * here runs in normal life; the table costs 1 KiB.
 *
 * Invariant: an entry keeps its meaning as long as `format` stays the same; readers look entries up
 * by name and ignore those they do not know.
 * Do not add: code that a process must run to be looked at. A core file cannot run any.
 */
#include "python/hub/hub.h"
#include "python/task/task.h"
#include "python/interpreter/state_debug.h"

typedef struct {
    const char *name; /* NULL ends the table */
    uint64_t value;
} debug_entry;

#define DEBUG_ADDRESS(pointer) (uint64_t)(uintptr_t)(pointer)

/* Visible to the dynamic linker, because that table of symbols is never stripped. */
extern debug_entry fbl_debug[];
__attribute__((visibility("default"), used)) debug_entry fbl_debug[] = {
    {"format", 1},
    {"threads", DEBUG_ADDRESS(&fbl_all_threads)},
    {"fiber_type", DEBUG_ADDRESS(&fbl_fiber_type)},
    {"task_type", DEBUG_ADDRESS(&fbl_task_type)},
    {"hub_type", DEBUG_ADDRESS(&fbl_hub_type)},
    {"link.next", offsetof(fbl_link, next)},
    {"thread.threads", offsetof(fbl_thread, threads)},
    {"thread.ts", offsetof(fbl_thread, ts)},
    {"thread.hub_fiber", offsetof(fbl_thread, hub_fiber)},
    {"thread.main", offsetof(fbl_thread, main)},
    {"thread.current", offsetof(fbl_thread, hub.current)},
    {"thread.fibers", offsetof(fbl_thread, hub.fibers)},
    {"thread.is_blocked", offsetof(fbl_thread, hub.is_blocked)},
    {"fiber.all", offsetof(fbl_record, core.all)},
    {"fiber.sp", offsetof(fbl_record, core.context.sp)},
    {"fiber.fp", offsetof(fbl_record, core.context.fp)},
    {"fiber.pc", offsetof(fbl_record, core.context.pc)},
    {"fiber.ready", offsetof(fbl_record, core.ready)},
    {"fiber.state", offsetof(fbl_record, core.state)},
    {"fiber.verb", offsetof(fbl_record, core.verb)},
    {"fiber.subject", offsetof(fbl_record, core.subject)},
    {"fiber.is_fd_wait", offsetof(fbl_record, core.is_fd_wait)},
    {"fiber.fd", offsetof(fbl_record, core.fd)},
    {"fiber.has_deadline", offsetof(fbl_record, core.timer.is_started)},
    {"fiber.self", offsetof(fbl_record, self)},
    {"fiber.run", offsetof(fbl_record, run)},
    {"fiber.frame_head", offsetof(fbl_record, state.version) + STATE_DEBUG_SHARE_HEAD},
    {"task.fn", offsetof(task_object, fn)},
    {"task.name", offsetof(task_object, name)},
    {"ts.native_thread_id", offsetof(PyThreadState, native_thread_id)},
    {"ts.frame_head", STATE_DEBUG_THREAD_HEAD},
    {"cframe.frame", STATE_DEBUG_CFRAME_FRAME},
    {"frame.code", STATE_DEBUG_FRAME_CODE},
    {"frame.instruction", STATE_DEBUG_FRAME_INSTRUCTION},
    {"frame.previous", offsetof(_PyInterpreterFrame, previous)},
    {"frame.owner", offsetof(_PyInterpreterFrame, owner)},
    {"owner.entry", STATE_DEBUG_OWNER_ENTRY},
    {"code.bytes", offsetof(PyCodeObject, co_code_adaptive)},
    {"code.first_line", offsetof(PyCodeObject, co_firstlineno)},
    {"code.lines", offsetof(PyCodeObject, co_linetable)},
    {"code.file", offsetof(PyCodeObject, co_filename)},
    {"code.name", offsetof(PyCodeObject, co_qualname)},
    {"object.type", offsetof(PyObject, ob_type)},
    {"type.name", offsetof(PyTypeObject, tp_name)},
    {"type.parent", offsetof(PyTypeObject, tp_base)},
    {"function_type", DEBUG_ADDRESS(&PyFunction_Type)},
    {"function.name", offsetof(PyFunctionObject, func_qualname)},
    {"method_type", DEBUG_ADDRESS(&PyMethod_Type)},
    {"method.function", offsetof(PyMethodObject, im_func)},
    {"bytes.length", offsetof(PyVarObject, ob_size)},
    {"bytes.data", offsetof(PyBytesObject, ob_sval)},
    {"str.length", offsetof(PyASCIIObject, length)},
    {"str.flags", offsetof(PyASCIIObject, state)},
    {"str.kind_bits", 0}, /* filled in by debug_learn, as is the next */
    {"str.ascii_bits", 0},
    {"str.ascii_data", sizeof(PyASCIIObject)},
    {"str.data", sizeof(PyCompactUnicodeObject)},
    {NULL, 0},
};

static void debug_set(const char *name, uint64_t value)
{
    for (debug_entry *entry = fbl_debug; entry->name != NULL; entry++)
        if (strcmp(entry->name, name) == 0)
            entry->value = value;
}

/* The place of a bit-field is no constant, and differs between versions: so it is tried out. */
static void debug_learn(void)
{
    PyASCIIObject kind = {0}, ascii = {0};
    uint64_t bits = 0;
    kind.state.kind = 7;
    memcpy(&bits, &kind.state, sizeof kind.state);
    debug_set("str.kind_bits", bits);
    ascii.state.ascii = 1;
    bits = 0;
    memcpy(&bits, &ascii.state, sizeof ascii.state);
    debug_set("str.ascii_bits", bits);
}
