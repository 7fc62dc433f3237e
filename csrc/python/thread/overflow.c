/*
 * overflow.c: whoever runs into the guard of its stack is named on stderr before the process dies.
 *
 * The idea: a segmentation fault whose address lies in the guard of the stack that this thread runs
 * on is no riddle. Our handler says which fiber it was, how large its stack was, and how to give it
 * a larger one; then it calls whichever handler was there before, faulthandler's for example. All
 * other faults go straight on to that one, and code that handles its own (a JVM, traps of wasm)
 * notices nothing.
 *
 *   first    the handler that was there when we came: the end of the chain
 *   latest   what we found in our place later, faulthandler's: it believes that we are behind it,
 *            and hands the signal back to us when it is done, so the second time `first` is next
 *
 * faulthandler that was disabled meanwhile comes back and has done nothing: then it is passed over.
 *
 * Only a handler of the interpreter's is covered so. Others that come after us stay on top: it
 * is theirs to call us. A handler in C needs a stack that is not full: see signal_stack.c.
 *
 * Do not add: anything that allocates, locks or calls Python to overflow_handle.
 */
#include "python/thread/thread.h"

#include <dlfcn.h>
#include <signal.h>
#include <unistd.h>

typedef struct {
    struct sigaction action;
    bool is_faulthandler; /* which never handles a fault, but may have been disabled */
} overflow_next;

static overflow_next first, latest;
static bool is_armed;
static __thread int handler_depth; /* our handler is running; more than 1: faults inside it */
static __thread bool has_come_back; /* `latest` has handed the signal back to us */

/* ---- the message, into a buffer, by hand: little else may be called in a handler ---- */

typedef struct {
    char text[1024];
    size_t length;
} overflow_message;

static void message_add(overflow_message *message, const char *text)
{
    while (*text != '\0' && message->length < sizeof message->text)
        message->text[message->length++] = *text++;
}

static void message_add_number(overflow_message *message, size_t number)
{
    char digits[24];
    char *at = digits + sizeof digits;
    *--at = '\0';
    do
        *--at = (char)('0' + number % 10);
    while ((number /= 10) != 0);
    message_add(message, at);
}

/* SAFE: reads objects that the fiber keeps alive; a str of ASCII is a C string behind its head. */
static void message_add_str(overflow_message *message, PyObject *str)
{
    bool is_plain = str != NULL && PyUnicode_Check(str) && PyUnicode_IS_COMPACT_ASCII(str);
    message_add(message, is_plain ? (const char *)PyUnicode_DATA(str) : "?");
}

static void message_add_function(overflow_message *message, PyObject *fn)
{
    if (fn != NULL && PyMethod_Check(fn))
        fn = PyMethod_GET_FUNCTION(fn);
    if (fn == NULL || !PyFunction_Check(fn)) {
        message_add(message, fn == NULL ? "?" : Py_TYPE(fn)->tp_name);
        return;
    }
    PyCodeObject *code = (PyCodeObject *)PyFunction_GET_CODE(fn);
    message_add(message, "'");
    message_add_str(message, ((PyFunctionObject *)fn)->func_qualname);
    message_add(message, "' (");
    message_add_str(message, code->co_filename);
    message_add(message, ":");
    message_add_number(message, (size_t)code->co_firstlineno);
    message_add(message, ")");
}

static void overflow_tell(const fbl_record *record)
{
    static overflow_message message; /* not on the signal stack, which may be small */
    bool is_task = PyObject_TypeCheck(record->self, &fbl_task_type);
    message.length = 0;
    message_add(&message, "fibril: stack overflow: the fiber that runs ");
    message_add_function(&message, is_task ? task_of(record->self)->fn : record->run);
    message_add(&message, " has used up its stack of ");
    message_add_number(&message, record->core.stack->bytes);
    message_add(&message,
                " bytes.\nGive it a larger one: Fiber(fn, stack_size=...), spawn(fn, ..., "
                "stack_size=...), or FIBRIL_STACK_SIZE=64M for all. A stack costs memory only "
                "where it is touched.\n");
    (void)!write(STDERR_FILENO, message.text, message.length);
}

/* ---- the handler ---- */

/* Who ran into the guard of its stack; NULL: it is another fault. */
static const fbl_record *overflow_find(const siginfo_t *info)
{
    const fbl_thread *thread = fbl_this_thread;
    const fbl_stack *stack = thread == NULL ? NULL : thread->hub.current->stack;
    bool is_sent = info->si_code <= 0; /* by kill(), and no address comes with it */
    const char *at = info->si_addr;
    if (stack == NULL || is_sent || at < stack->base || at >= fbl_stack_low(stack))
        return NULL;
    return thread_current(thread);
}

/* What happens to a process that does not handle the signal. A fault will come again. */
static void overflow_end(int signum, const siginfo_t *info)
{
    struct sigaction usual = {.sa_handler = SIG_DFL};
    sigaction(signum, &usual, NULL);
    if (info->si_code <= 0)
        raise(signum);
}

static void overflow_pass_to(const overflow_next *to, int signum, siginfo_t *info, void *context)
{
    const struct sigaction *next = &to->action;
    if (next->sa_flags & SA_SIGINFO)
        next->sa_sigaction(signum, info, context);
    else if (next->sa_handler == SIG_DFL)
        overflow_end(signum, info);
    else if (next->sa_handler != SIG_IGN)
        next->sa_handler(signum);
}

static void overflow_pass_on(int signum, siginfo_t *info, void *context)
{
    has_come_back = handler_depth > 1;
    if (!has_come_back)
        overflow_pass_to(&latest, signum, info, context);
    if (handler_depth == 1 && (has_come_back || !latest.is_faulthandler))
        return;
    overflow_pass_to(&first, signum, info, context);
    if (first.is_faulthandler)
        overflow_end(signum, info);
}

static void overflow_handle(int signum, siginfo_t *info, void *context)
{
    int err = errno;
    handler_depth++;
    const fbl_record *record = handler_depth == 1 ? overflow_find(info) : NULL;
    if (record != NULL)
        overflow_tell(record);
    overflow_pass_on(signum, info, context);
    if (record != NULL)
        overflow_end(signum, info); /* nobody can go on from there, whoever came back */
    handler_depth--;
    errno = err;
}

/* ---- its installation ---- */

/* Is it part of the interpreter: faulthandler's, or the one of the module signal? */
static bool overflow_is_pythons(const struct sigaction *action)
{
    Dl_info handler, interpreter;
    return dladdr((void *)(uintptr_t)action->sa_handler, &handler) != 0 &&
           dladdr((void *)(uintptr_t)&PyObject_Call, &interpreter) != 0 &&
           handler.dli_fbase == interpreter.dli_fbase;
}

/* Puts our handler in its place, or back there, after faulthandler was enabled. Called when memory
 * for stacks is mapped: a system call more among several. */
static void overflow_arm(void)
{
    struct sigaction present;
    if (sigaction(SIGSEGV, NULL, &present) < 0 || present.sa_sigaction == overflow_handle)
        return;
    bool is_pythons = overflow_is_pythons(&present);
    if (is_armed && !is_pythons && present.sa_handler != SIG_DFL)
        return;
    /* Of the interpreter's, faulthandler alone lets its own signal in while it runs. */
    latest = (overflow_next){present, is_pythons && (present.sa_flags & SA_NODEFER)};
    if (!is_armed)
        first = latest;
    is_armed = true;
    struct sigaction ours = {.sa_sigaction = overflow_handle,
                             .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    sigaction(SIGSEGV, &ours, NULL);
}
