/*
 * sleep.c: sleeping, and waiting until nothing else is to do.
 *
 * The idea: sleep(0) only gives way, and is the shortest wait there is; a longer one is a park with
 * nothing but a deadline. Who waits for the idle moment is listed in the hub (core/idle.c).
 * Callers: Python, with the GIL.
 */
#include "python/hub/hub.h"

PyObject *fbl_may_give_way;

/* ---- sleep ---- */

static PyObject *sleep_now_wait(fbl_thread *thread)
{
    fbl_record *self = thread_current(thread);
    if (fiber_may_block(thread) < 0)
        return NULL;
    if (fbl_unlikely(self->thrown != NULL)) {
        fiber_raise_thrown(self);
        return NULL;
    }
    self->core.verb = NULL;
    if (fiber_unparked(thread, fbl_yield_wait(&thread->hub)) < 0)
        return NULL;
    Py_RETURN_NONE;
}

/* Parks until then. The timer of a sleeper without `ref` keeps nothing going. */
static PyObject *sleep_until_wait(fbl_thread *thread, uint64_t deadline_ns, bool is_aside)
{
    fbl_timer *timer = &thread_current(thread)->core.timer;
    const char *verb = is_aside ? "to sleep with ref=False (which does not count)" : "to sleep";
    fbl_park park = {.deadline_ns = deadline_ns, .verb = verb};
    if (fiber_may_block(thread) < 0)
        return NULL;
    timer->is_aside = is_aside;
    int rc = fiber_park_wait(thread, &park);
    timer->is_aside = false;
    return rc < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *module_sleep(PyObject *module, PyObject *const *args, Py_ssize_t count,
                              PyObject *names)
{
    (void)module;
    static const char *const known[] = {"sleep(seconds=0, ref=True)", "seconds", "ref", NULL};
    const fbl_call call = {NULL, args, vector_length(count, names), NULL};
    PyObject *values[] = {NULL, Py_True};
    fbl_thread *thread = thread_get();
    if (thread == NULL || arguments_read(&call, names, known, values) < 0)
        return NULL;
    double seconds = 0;
    if (values[0] != NULL && seconds_read(values[0], &seconds) < 0)
        return NULL;
    int is_counted = PyObject_IsTrue(values[1]);
    if (is_counted < 0)
        return NULL;
    if (!(seconds > 0))
        return sleep_now_wait(thread);
    return sleep_until_wait(thread, fbl_hub_deadline(&thread->hub, seconds), !is_counted);
}

/* ---- the standard library's ---- */

#define SLEEP_SECONDS_MAX 9223372036.0 /* its TIMEOUT_MAX */

/* What time.sleep takes of this version, and its complaints about all else. */
static int sleep_read(PyObject *number, double *seconds)
{
    if (!PyFloat_Check(number) && !PyIndex_Check(number) && !TIMES_ARE_REAL) {
        PyErr_Format(PyExc_TypeError,
                     "'%.200s' object cannot be interpreted as an integer or float",
                     Py_TYPE(number)->tp_name);
        return -1;
    }
    PyObject *read =
        PyFloat_Check(number) || TIMES_ARE_REAL ? Py_NewRef(number) : PyNumber_Index(number);
    *seconds = read == NULL ? -1 : PyFloat_AsDouble(read);
    Py_XDECREF(read);
    if (*seconds == -1 && PyErr_Occurred())
        return -1;
    if (*seconds != *seconds)
        PyErr_SetString(PyExc_ValueError, "Invalid value NaN (not a number)");
    else if (*seconds > SLEEP_SECONDS_MAX || *seconds < -SLEEP_SECONDS_MAX)
        PyErr_SetString(PyExc_OverflowError, "timestamp out of range for C PyTime_t");
    else if (*seconds < 0)
        PyErr_SetString(PyExc_ValueError, "sleep length must be non-negative");
    else
        return 0;
    return -1;
}

static PyObject *time_sleep(PyObject *unused, PyObject *number)
{
    (void)unused;
    double seconds;
    fbl_thread *thread = thread_get();
    if (thread == NULL || sleep_read(number, &seconds) < 0)
        return NULL;
    if (seconds == 0)
        return sleep_now_wait(thread);
    return sleep_until_wait(thread, fbl_hub_deadline(&thread->hub, seconds), false);
}

static PyMethodDef time_sleep_def = {
    "sleep", time_sleep, METH_O,
    "sleep(seconds, /)\n--\n\n"
    "Let other tasks run for `seconds`, and go on after that; 0 lets the ready ones run once.\n\n"
    "Takes and refuses exactly what `time.sleep` does: ValueError if negative or NaN, "
    "OverflowError\nif too large, TypeError if it is no number. It is a C function as that one: a "
    "class that keeps it\ndoes not make it a method.\n\n"
    "Switches: always. Threads: any.\n\n"
    ">>> from fibril import time\n>>> time.sleep(0.001)\n"};

/* It belongs to fibril.time, where pickle finds it by this name. */
static PyObject *time_sleep_make(void)
{
    PyObject *module = PyUnicode_FromString("fibril.time");
    PyObject *function = module == NULL ? NULL : PyCFunction_NewEx(&time_sleep_def, NULL, module);
    Py_XDECREF(module);
    return function;
}

/* ---- idle ---- */

static PyObject *module_wait_idle(PyObject *module, PyObject *args)
{
    (void)module;
    fbl_idle idle = {0};
    double cushion = 0;
    fbl_thread *thread = thread_get();
    if (thread == NULL || !PyArg_ParseTuple(args, "|di:wait_idle", &cushion, &idle.priority))
        return NULL;
    uint64_t now_ns = thread->hub.now(&thread->hub);
    if (cushion > 0)
        idle.cushion_ns = fbl_hub_deadline(&thread->hub, cushion) - now_ns;
    fbl_park park = {.deadline_ns = FBL_NEVER,
                     .verb = "until nothing else is to do",
                     .waiter = &idle.waiter,
                     .list = fbl_idle_place(&thread->hub, &idle)};
    if (fiber_park_wait(thread, &park) < 0)
        return NULL;
    Py_RETURN_NONE;
}
