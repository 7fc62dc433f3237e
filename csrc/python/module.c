/*
 * module.c: the export table of fibril._core, and nothing else.
 *
 * The idea: what Python sees of the native core is listed in one place, with one line of code each;
 * fibril/_core.pyi is the same list with types. The module has no state of its own: everything
 * hangs off the native thread (record.h), and the module is never unloaded.
 * Do not add: behaviour.
 */
#include "python/exports.h"
#include "python/hub/hub.h"
#include "python/hub/spin.h"
#include "python/primitives/queue/queue.h"
#include "python/primitives/semaphore.h"
#include "python/thread/thread.h"

/* Also while the interpreter shuts down: locks and thread-local data of the standard library, which
 * fibril.monkey replaces, go on working then. */
static PyObject *module_current_fiber(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    fbl_thread *thread = thread_get();
    return thread == NULL ? NULL : Py_NewRef(thread_current(thread)->self);
}

/* A thread of the program: a native one, which its main fiber is, or a fiber; a signal handler that
 * has one of its own is the main thread all the same. Every look-up of the current thread in a
 * patched program asks for it: 34 ns; in Python it took 79 (CPython 3.11). */
static PyObject *module_get_ident(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    fbl_thread *thread = thread_get();
    if (thread == NULL)
        return NULL;
    if (thread_current(thread) == thread->main || handler_stands_for_main(thread))
        return PyLong_FromUnsignedLong(PyThread_get_thread_ident());
    return PyLong_FromVoidPtr(thread_current(thread)->self); /* id() of the fiber */
}

static PyObject *module_getcurrent(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return fiber_current_switch();
}

static PyObject *module_get_hub(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    fbl_thread *thread = thread_get();
    return thread == NULL ? NULL : hub_get(thread);
}

static PyObject *module_set_hub_class(PyObject *module, PyObject *type)
{
    (void)module;
    if (!PyType_Check(type) || !PyType_IsSubtype((PyTypeObject *)type, &fbl_hub_type))
        return errors_refuse(PyExc_TypeError, "the hub's class must derive from fibril.hub.Hub");
    PyObject *former = fbl_hub_class;
    fbl_hub_class = Py_NewRef(type);
    if (former != (PyObject *)&fbl_hub_type) /* which it was from the beginning, unreferenced */
        Py_DECREF(former);
    Py_RETURN_NONE;
}

static PyObject *module_get_hub_class(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return Py_NewRef(fbl_hub_class);
}

static PyObject *module_set_may_give_way(PyObject *module, PyObject *function)
{
    (void)module;
    Py_XSETREF(fbl_may_give_way, Py_NewRef(function));
    Py_RETURN_NONE;
}

static PyObject *module_set_traced_arrival(PyObject *module, PyObject *function)
{
    (void)module;
    Py_XSETREF(fbl_traced_arrival, Py_NewRef(function));
    Py_RETURN_NONE;
}

static PyObject *module_set_files_passed_over(PyObject *module, PyObject *names)
{
    (void)module;
    if (!PyTuple_Check(names))
        return errors_refuse(PyExc_TypeError, "names of files come in a tuple");
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names); i++)
        if (!PyUnicode_Check(PyTuple_GET_ITEM(names, i)))
            return errors_refuse(PyExc_TypeError, "a name of a file is a str");
    Py_XSETREF(fbl_files_passed_over, Py_NewRef(names));
    Py_RETURN_NONE;
}

static PyObject *module_set_timeout_class(PyObject *module, PyObject *type)
{
    (void)module;
    Py_XSETREF(fbl_timeout_class, Py_NewRef(type));
    Py_RETURN_NONE;
}

static PyObject *module_throw_later(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *fiber, *exception;
    if (!PyArg_ParseTuple(args, "O!O:throw_later", &fbl_fiber_type, &fiber, &exception))
        return NULL;
    PyObject *instance = exception_from_argument(exception);
    if (instance == NULL)
        return NULL;
    int rc = fiber_throw_later(record_of(fiber), instance);
    Py_DECREF(instance);
    return rc < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *module_report_thread(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *function, *exception;
    if (!PyArg_ParseTuple(args, "OO:report_thread", &function, &exception))
        return NULL;
    PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
    fbl_report_thread(function);
    Py_RETURN_NONE;
}

static PyObject *module_keep_over_fork(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    fbl_knows_greenlets = true;
    Py_RETURN_NONE;
}

static PyObject *module_set_daemon(PyObject *module, PyObject *fiber)
{
    (void)module;
    if (!PyObject_TypeCheck(fiber, &fbl_fiber_type))
        return errors_refuse(PyExc_TypeError, "only a fiber can be a daemon, not %R", fiber);
    record_of(fiber)->is_daemon = true;
    Py_RETURN_NONE;
}

static PyObject *module_unwind_at_exit(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    thread_unwind_at_exit_switch();
    Py_RETURN_NONE;
}

static PyObject *module_look_soon(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    fbl_thread *thread = thread_get();
    if (thread == NULL)
        return NULL;
    fbl_hub_look_soon(&thread->hub);
    Py_RETURN_NONE;
}

static PyObject *module_polled(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    spin_poll_wait();
    Py_RETURN_NONE;
}

static PyMethodDef module_methods[] = {
    {"getcurrent", module_getcurrent, METH_NOARGS,
     "getcurrent()\n--\n\nThe fiber that runs now on this native thread.\n\nSwitches: never. "
     "Threads: any. Raises RuntimeError while the interpreter shuts down."},
    {"current_fiber", module_current_fiber, METH_NOARGS, "getcurrent(), at any time."},
    {"get_ident", module_get_ident, METH_NOARGS,
     "get_ident()\n--\n\nA number that no other fiber of the process has now; in a signal handler "
     "the main "
     "thread's.\n\nSwitches: never. "
     "Threads: any."},
    {"get_hub", module_get_hub, METH_NOARGS,
     "get_hub()\n--\n\nThe hub of this native thread, made on first use.\n\nSwitches: never. "
     "Threads: any."},
    {"spawn", (PyCFunction)(void (*)(void))module_spawn, METH_FASTCALL | METH_KEYWORDS,
     "spawn(fn, /, *args, **kwargs)\n--\n\nRun fn(*args, **kwargs) in a new task; return the task. "
     "It starts when the caller next waits.\n\nstack_size: bytes for its C stack, instead of "
     "fibril.stack_size(); a function that has a parameter of\nthat name gets it itself.\n\n"
     "Switches: never. Threads: any. Raises TypeError if "
     "fn cannot be called.\n\n>>> import fibril\n>>> fibril.spawn(len, 'abc').get()\n3\n"},
    {"spawn_later", (PyCFunction)(void (*)(void))module_spawn_later, METH_FASTCALL | METH_KEYWORDS,
     "spawn_later(seconds, fn, /, *args, **kwargs)\n--\n\nAs spawn, but start it after that many "
     "seconds.\n\nSwitches: never. Threads: any. Raises TypeError as spawn does."},
    {"sleep", (PyCFunction)(void (*)(void))module_sleep, METH_FASTCALL | METH_KEYWORDS,
     "sleep(seconds=0, ref=True)\n--\n\nLet others run for at least that many seconds; 0: let "
     "everybody run once who is ready.\n\nSwitches: always. Threads: any. Raises TypeError or "
     "ValueError for what is no number."},
    {"wait_idle", module_wait_idle, METH_VARARGS,
     "wait_idle(cushion=0, priority=0, /)\n--\n\nWait until nobody else is ready, for `cushion` "
     "seconds.\n\nSwitches: always. Threads: any."},
    {"wait_read", (PyCFunction)(void (*)(void))module_wait_read, METH_VARARGS | METH_KEYWORDS,
     "wait_read(fd, timeout=None, owned=False)\n--\n\nWait until fd is readable: True, or False "
     "after `timeout` seconds.\n\nSwitches: if it must wait. Threads: any. Raises OSError."},
    {"wait_write", (PyCFunction)(void (*)(void))module_wait_write, METH_VARARGS | METH_KEYWORDS,
     "wait_write(fd, timeout=None, owned=False)\n--\n\nWait until fd is writable: True, or False "
     "after `timeout` seconds.\n\nSwitches: if it must wait. Threads: any. Raises OSError."},
    {"wait_readwrite", (PyCFunction)(void (*)(void))module_wait_readwrite,
     METH_VARARGS | METH_KEYWORDS,
     "wait_readwrite(fd, timeout=None, owned=False)\n--\n\nWait until fd is readable or writable: "
     "True, or False after `timeout` seconds.\n\nSwitches: if it must wait. Threads: any. Raises "
     "OSError."},
    {"signal_fd", module_signal_fd, METH_O,
     "signal_fd($module, signals, /)\n--\n\nA new descriptor that is readable while one of these "
     "blocked signals is pending.\n\nSwitches: never. Threads: any. Raises OSError, ValueError."},
    {"read", module_read, METH_VARARGS,
     "read($module, fd, length, /)\n--\n\nRead up to length bytes, as os.read; where there are "
     "none yet, others run meanwhile.\n\nSwitches: if it must wait. Threads: any. Raises OSError."},
    {"write", module_write, METH_VARARGS,
     "write($module, fd, data, /)\n--\n\nWrite all of data, as os.write; where there is no room, "
     "others run meanwhile.\n\nWhat is thrown at the fiber after a part was written is met at its "
     "next wait: it is told how much\nwas written.\n\nSwitches: if it must wait. Threads: any. "
     "Raises OSError."},
    {"readv", module_readv, METH_VARARGS,
     "readv($module, fd, buffers, /)\n--\n\nread() into a sequence of buffers; how many bytes."
     "\n\nSwitches: if it must wait. Threads: any. Raises OSError."},
    {"writev", module_writev, METH_VARARGS,
     "writev($module, fd, buffers, /)\n--\n\nwrite() of a sequence of buffers; how many bytes."
     "\n\nSwitches: if it must wait. Threads: any. Raises OSError."},
    {"streams_take_turns", module_streams_take_turns, METH_VARARGS,
     "streams_take_turns(reader, writer, random, text, sockets, /)\n--\n\nThe methods of those "
     "types of io's are called in turn from now on: one fiber at a time is in a file\nobject. "
     "`sockets` is what lies beneath those of sockets.\n\nSwitches: never. Threads: any."},
    {"raw_files_wait", module_raw_files_wait, METH_VARARGS,
     "raw_files_wait(type, input, open, /)\n--\n\nThe methods of that type, io.FileIO, let others "
     "run while they wait; print() is one turn; input(…) is\ninput(original, …), and open(…) of "
     "what may "
     "wait open(original, …).\n\nSwitches: never. Threads: any."},
    {"raw_file_methods", module_raw_file_methods, METH_VARARGS,
     "raw_file_methods(type, in_pool, /)\n--\n\nThose of a subclass of that type, io.FileIO, by "
     "name; "
     "what waits for a disk is in_pool(original, …).\n\nSwitches: never. Threads: any."},
    {"raw_file_type", module_raw_file_type, METH_O,
     "raw_file_type(type, /)\n--\n\nThe class that has those methods.\n\nSwitches: never. Threads: "
     "any."},
    {"serve_disks", module_serve_disks, METH_NOARGS,
     "serve_disks()\n--\n\nFrom now on io.FileIO is such a class itself.\n\nSwitches: never. "
     "Threads: any."},
    {"stream_strike", module_stream_strike, METH_VARARGS,
     "stream_strike(raw, exception, /)\n--\n\nSee kept.c."},
    {"stream_wrote", module_stream_wrote, METH_VARARGS,
     "stream_wrote(data, count, /)\n--\n\nSee kept.c."},
    {"stream_keep", module_stream_keep, METH_VARARGS,
     "stream_keep(raw, data, /)\n--\n\nSee kept.c."},
    {"stream_unread", module_stream_unread, METH_O, "stream_unread(raw, /)\n--\n\nSee kept.c."},
    {"report_thread", module_report_thread, METH_VARARGS,
     "report_thread(function, exception, /)\n--\n\nTell sys.unraisablehook of what a thread that "
     "called function has died of.\n\nSwitches: never. Threads: any."},
    {"look_soon", module_look_soon, METH_NOARGS,
     "look_soon()\n--\n\nHave the hub look at the kernel and the timers before anybody else runs."
     "\n\nSwitches: never. Threads: any."},
    {"tls_methods", module_tls_methods, METH_O,
     "tls_methods(take_over, /)\n--\n\nThe methods of TLS sockets, by name; take_over(sock) makes "
     "its C-level timeout 0.\n\nSwitches: never. Threads: any."},
    {"may_wait", module_may_wait, METH_NOARGS,
     "may_wait()\n--\n\nWhether the current fiber may wait here: not in the hub's own code, nor on "
     "the "
     "thread's own stack.\n\nSwitches: never. Threads: any."},
    {"fd_forget", module_fd_forget, METH_O,
     "fd_forget(fd, /)\n--\n\nfd is about to be closed, or is new: who waits on it gets EBADF.\n\n"
     "Switches: never. Threads: any."},
    {"throw_later", module_throw_later, METH_VARARGS,
     "throw_later(fiber, exception, /)\n--\n\nLeave an exception for a fiber, to be raised when "
     "its hub next runs it.\n\nSwitches: never. Threads: any."},
    {"join_killed", module_join_killed, METH_VARARGS,
     "join_killed(task, timeout, /)\n--\n\nWait for the end of a task that was killed, and go on "
     "before others then; False: it did not end in time.\n\nSwitches: if it must wait. Threads: "
     "any."},
    {"stack_size", module_stack_size, METH_VARARGS,
     "stack_size(size=None, /)\n--\n\nReturn the size of a fiber's stack in bytes; with an "
     "argument, set it for fibers that start from now on,\nin any thread, and return the former "
     "one. 0: what native threads have, the soft RLIMIT_STACK of this process\n(8 MiB as a rule, "
     "64 "
     "at the most).\n\nAs threading.stack_size does for "
     "threads. One fiber may have another: spawn(fn, stack_size=...), or\ntask.stack_size before "
     "it starts. Sizes are rounded up. They are addresses; memory is taken where a stack is\n"
     "touched.\n\nSmaller stacks save page tables: 2 to 3.6 of 8.8 kB for a parked task. They are "
     "for code that is known\nto be shallow. Recursion of Python is refused in time in any; what "
     "CPython does not count crashes in a\nsmall one where a thread has room: libraries in C with "
     "deep recursion or large arrays (numpy.linalg needs\n4 MiB, SQLite and parsers as their input "
     "is nested), hash() of what is nested, and before CPython 3.14\nthe compiler (1 MiB is "
     "enough).\n\nSwitches: never. Threads: any. Raises ValueError for "
     "what is too small to be safe.\n\n>>> import fibril\n>>> former = fibril.stack_size(8 << 20)\n"
     ">>> fibril.stack_size(former) >> 20\n8\n"},
    {"on_main_stack", (PyCFunction)(void (*)(void))module_on_main_stack, FAST_KEYWORDS,
     "on_main_stack(fn, /, *args, **kwargs)\n--\n\nCall fn(*args, **kwargs) on the native thread's "
     "own stack, and return what it returns.\n\nFor C code that asks the system where the "
     "thread's stack ends and cannot stand to be anywhere\nelse, as a Java machine does. The "
     "calling fiber stays the current one, with its frames, its locals\nand its context. Until fn "
     "returns no other fiber of this thread may run: what would wait or\nswitch in there raises "
     "an error. In the main fiber, and inside of such a call, it is a plain call.\n\nSwitches: "
     "never. Threads: any. Raises what fn raises; in it, BlockingSwitchOutError.\n\n>>> import "
     "fibril\n>>> fibril.spawn(fibril.on_main_stack, max, 3, 4).get()\n4\n"},
    {"enter_on_main_stack", module_enter_on_main_stack, METH_VARARGS,
     "enter_on_main_stack(table, count, /)\n--\n\nSo many functions of C, in a table at that "
     "address, "
     "are called on the thread's own stack from now on.\n\nSwitches: never. Threads: any. Raises "
     "OSError."},
    {"keep_thread_locals", module_keep_thread_locals, METH_VARARGS,
     "keep_thread_locals(path, offset=0, size=0, /)\n--\n\nFibers have the thread-local variables "
     "of "
     "a loaded library of their own; returns how many bytes.\n\nSwitches: never. Threads: any. "
     "Raises OSError: ENOENT, ENODATA, E2BIG."},
    {"tell_threads_apart", module_tell_threads_apart, METH_O,
     "tell_threads_apart(function, /)\n--\n\nThe library of C code that has this function takes "
     "tasks that are threads for such, and other\nfibers for their native thread.\n\nSwitches: "
     "never. Threads: any. Raises OSError: ENODATA if it does not ask."},
    {"find_stack_limit", module_find_stack_limit, METH_VARARGS,
     "find_stack_limit(path, call, /)\n--\n\nWhere a loaded library remembers the end of the "
     "thread's stack, if call() makes it do so: the\noffset and size among its thread-local "
     "variables. In a native thread that ends soon.\n\nSwitches: never. Threads: any. Raises "
     "OSError: ENOENT, ENODATA, EBUSY."},
    {"follow_stack_limit", module_follow_stack_limit, METH_VARARGS,
     "follow_stack_limit(path, offset, size, /)\n--\n\nThat library finds the end of each "
     "fiber's stack from now on; returns the size.\n\nSwitches: never. Threads: any. Raises "
     "OSError: ENOENT, ENODATA, E2BIG."},
    {"settrace", module_settrace, METH_O,
     "settrace(callback, /)\n--\n\nFrom now on callback(event, (origin, target)) is told of each "
     "switch of this native thread;\nevent is \"switch\", or \"throw\" if an exception travels. "
     "None: nobody is. Returns the former one.\n\nSwitches: never. Threads: owner."},
    {"gettrace", module_gettrace, METH_NOARGS,
     "gettrace()\n--\n\nThe callback given to settrace() on this native thread, or "
     "None.\n\nSwitches: never. Threads: owner."},
    {"watch", module_watch, METH_O,
     "watch(callback, /)\n--\n\nsettrace(callback), and it is told (\"stay\", (fiber, fiber)) of a "
     "park that nobody else used;\nslept_ns() counts meanwhile.\n\nSwitches: never. Threads: "
     "owner."},
    {"slept_ns", module_slept_ns, METH_NOARGS, "For how long this thread slept while watched."},
    {"was_left_by_hand", module_was_left_by_hand, METH_O,
     "Was the fiber left by a switch to another?"},
    {"serve_as_greenlet", module_serve_as_greenlet, METH_O, "Fiber is greenlet.greenlet now."},
    {"builtin", module_builtin, METH_VARARGS,
     "builtin(function, module_name, name, text, /)\n--\n\nA function of C that calls that one; "
     "text: its signature and its docstring, as C has them.\n\nSwitches: never. Threads: any."},
    {"thread_count", module_thread_count, METH_NOARGS, "Native threads that use fibers."},
    {"trash_nesting", module_trash_nesting, METH_NOARGS, "Deallocations that the trashcan counts."},
    {"all_fibers", module_all_fibers, METH_NOARGS,
     "all_fibers()\n--\n\nA list of (native thread, fiber, state, verb, subject) for every fiber "
     "of "
     "the process\nthat has not ended: what it waits for, and on what.\n\nSwitches: never. "
     "Threads: any."},
    {"local_values_of", module_local_values_of, METH_O,
     "local_values_of(fiber)\n--\n\nA list of (local, dict) for every local that it has values "
     "in."},
    {"holder", module_holder, METH_O,
     "holder(subject, /)\n--\n\nThe fiber that has what is waited for; None: unknown; False: it "
     "has ended.\n\nSwitches: never. Threads: any."},
    {"get_hub_if_exists", module_get_hub_if_exists, METH_NOARGS, "The thread's hub, or None."},
    {"set_hub", module_set_hub, METH_O, "Make an object this thread's hub; see fibril.hub."},
    {"get_hub_class", module_get_hub_class, METH_NOARGS, "What get_hub() makes instances of."},
    {"set_hub_class", module_set_hub_class, METH_O, "What get_hub() makes instances of."},
    {"set_may_give_way", module_set_may_give_way, METH_O, "Asked before a fair turn is given."},
    {"set_traced_arrival", module_set_traced_arrival, METH_O,
     "Called where a C tracer must see it."},
    {"set_files_passed_over", module_set_files_passed_over, METH_O,
     "Where those names begin like a file's, its lines start no task: their callers do."},
    {"set_timeout_class", module_set_timeout_class, METH_O, "What blocking calls raise in time."},
    {"set_queue_classes", module_set_queue_classes, METH_VARARGS, "What get and put raise."},
    {"watchdog_limit", module_watchdog_limit, METH_O,
     "watchdog_limit(seconds, /)\n--\n\nHow long a fiber may keep its thread; 0: for ever; None: "
     "as before. Returns the former.\n\nSwitches: never. Threads: any. Raises ValueError."},
    {"watchdog_ignore", module_watchdog_ignore, METH_O,
     "watchdog_ignore(is_ignored, /)\n--\n\nDo not tell of the current fiber until it gives "
     "way.\n\n"
     "Switches: never. Threads: owner."},
    {"watchdog_is_running", module_watchdog_is_running, METH_NOARGS,
     "watchdog_is_running()\n--\n\nIs there a native thread of the watchdog's?\n\nSwitches: never. "
     "Threads: any."},
    {"watchdog_stop", module_watchdog_stop, METH_O,
     "watchdog_stop(is_for_good, /)\n--\n\nEnd the watching thread; the next task starts it again "
     "unless it is for good.\n\nSwitches: never. Threads: any."},
    {"is_in_handler", module_is_in_handler, METH_NOARGS,
     "is_in_handler()\n--\n\nDoes the current fiber run a signal handler?\n\nSwitches: never. "
     "Threads: any."},
    {"wait_signal", module_wait_signal, METH_NOARGS,
     "wait_signal()\n--\n\nWait until a signal handler of this thread's has been called."
     "\n\nSwitches: always. Threads: owner."},
    {"signal_handled", module_signal_handled, METH_NOARGS,
     "signal_handled()\n--\n\nA handler that is no SignalHandler has been called.\n\n"
     "Switches: never. Threads: owner, the main one."},
    {"call_in_main", module_call_in_main, METH_O,
     "call_in_main(function, /)\n--\n\nThe process's main thread calls it before one of its next "
     "instructions.\n\nSwitches: never. Threads: any."},
    {"set_daemon", module_set_daemon, METH_O,
     "set_daemon(fiber, /)\n--\n\nIt will not be unwound when its thread or the interpreter ends, "
     "as daemon threads are not.\n\nSwitches: never. Threads: any."},
    {"unwind_at_exit", module_unwind_at_exit, METH_NOARGS, "Called by atexit."},
    {"after_fork", module_after_fork, METH_NOARGS,
     "Called in the child of a fork. Were all fibers of its "
     "thread kept?"},
    {"keep_next_fork", module_keep_next_fork, METH_O,
     "keep_next_fork(is_wanted, /)\n--\n\nIn the child of the next fork all fibers of the forking "
     "thread go on.\n\nSwitches: never. Threads: owner."},
    {"keep_over_fork", module_keep_over_fork, METH_NOARGS,
     "From now on fibers left by hand go on in the child of a fork, as greenlets do."},
    {"polled", module_polled, METH_NOARGS,
     "polled()\n--\n\nThe caller has looked whether something is ready, and would not wait: see "
     "spin.h.\n\nSwitches: if it does nothing else. Threads: any."},
    {"sim_install", module_sim_install, METH_NOARGS, "Put this thread's hub into the test world."},
    {"sim_remove", module_sim_remove, METH_NOARGS, "Back to the real world."},
    {"when_seen", module_when_seen, METH_VARARGS,
     "Call callback() when somebody first asks how a task failed."},
    {"now", module_now, METH_NOARGS,
     "now()\n--\n\nThe clock of this thread's hub, in seconds.\n\nSwitches: never. Threads: any."},
    {"now_ns", module_now_ns, METH_NOARGS, "now(), in nanoseconds, exactly."},
    {"deadline_ns", module_deadline_ns, METH_O, "When so many seconds from now are, for now_ns()."},
    {"sim_feed", module_sim_feed, METH_VARARGS, "Make a descriptor ready in the test world."},
    {0},
};

static PyModuleDef module_def = {
    PyModuleDef_HEAD_INIT,
    .m_name = "fibril._core",
    .m_doc = "The native core of fibril. Import fibril instead.",
    .m_size = -1,
    .m_methods = module_methods,
};

static int module_add(PyObject *module, const char *name, PyObject *value)
{
    int rc = value == NULL ? -1 : PyModule_AddObjectRef(module, name, value);
    Py_XDECREF(value);
    return rc;
}

static int module_fill(PyObject *module)
{
    const struct {
        const char *name;
        PyTypeObject *type;
    } types[] = {
        {"Fiber", &fbl_fiber_type},
        {"Task", &fbl_task_type},
        {"Hub", &fbl_hub_type},
        {"Timeout", timeout_type_prepare()},
        {"Semaphore", &fbl_semaphore_type},
        {"BoundedSemaphore", &fbl_bounded_type},
        {"LockType", &fbl_lock_type},
        {"ThreadRLock", &fbl_thread_rlock_type},
        {"RLock", &fbl_rlock_type},
        {"local", &fbl_local_type},
        {"Event", &fbl_event_type},
        {"SimpleQueue", &fbl_simple_queue_type},
        {"Queue", &fbl_queue_type},
        {"LifoQueue", &fbl_lifo_queue_type},
        {"PriorityQueue", &fbl_priority_queue_type},
        {"Channel", &fbl_channel_type},
        {"Timer", &fbl_timer_type},
        {"Watch", &fbl_watch_type},
        {"SignalHandler", &fbl_handler_type},
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (PyType_Ready(types[i].type) < 0 ||
            PyModule_AddObjectRef(module, types[i].name, (PyObject *)types[i].type) < 0)
            return -1;
    }
    if (module_add(module, "socket_methods", socket_methods_make()) < 0 ||
        module_add(module, "time_sleep", time_sleep_make()) < 0 ||
        module_add(module, "greenlet_api", greenlet_api_make()) < 0)
        return -1;
    return module_add(module, "python_version", PyUnicode_FromString(FBL_PYTHON_VERSION));
}

/* Types, and what is kept of each native thread, are the process's: two interpreters would share
 * them, and each other's objects. CPython refuses by itself where an interpreter is isolated;
 * before 3.12 none is, and those of mod_wsgi and uWSGI are not later either. */
static int module_refuse_other_interpreters(void)
{
    if (PyInterpreterState_Get() == PyInterpreterState_Main())
        return 0;
    PyErr_SetString(
        PyExc_ImportError,
        "cannot import fibril in a sub-interpreter: what it keeps of native threads is "
        "the process's. Run the program in the main one (mod_wsgi: WSGIApplicationGroup "
        "%{GLOBAL}; uWSGI: single-interpreter).");
    return -1;
}

PyMODINIT_FUNC PyInit__core(void)
{
    if (module_refuse_other_interpreters() < 0)
        return NULL;
    fbl_empty_tuple = PyTuple_New(0);
    if (fbl_empty_tuple == NULL || errors_import() < 0 || thread_import() < 0 ||
        death_import() < 0 || hooks_import() < 0 || state_learn(PyThreadState_Get()) < 0)
        return NULL;
    stack_size_learn();
    (void)fbl_bounds_correct((void *)(uintptr_t)&PyObject_Call); /* else as CPython has it */
    debug_learn();
    PyObject *module = PyModule_Create(&module_def);
    if (module != NULL && module_fill(module) < 0)
        Py_CLEAR(module);
    return module;
}
