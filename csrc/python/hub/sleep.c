/*
 * sleep.c: what every blocking Python call needs: seconds, timeouts, and who waits in a list.
 *
 * The idea: a primitive's blocking call is five lines: a deadline from its `timeout` argument, a
 * waiter in its list, fiber_park_wait, and an answer per outcome. The rest of those lines is here.
 * Callers: the types of this folder, with the GIL.
 */
#include "python/exports.h"

PyObject *fbl_timeout_class; /* fibril.timeout.Timeout, given by set_timeout_class */

/* A number of seconds. -1: an exception that says what it should have been. */
static int seconds_read(PyObject *seconds, double *value)
{
    *value = PyFloat_AsDouble(seconds);
    if (*value == -1.0 && PyErr_Occurred()) {
        if (PyErr_ExceptionMatches(PyExc_TypeError))
            PyErr_Format(PyExc_TypeError,
                         "cannot wait %R: a time must be a number of seconds, or None.", seconds);
        return -1;
    }
    if (*value != *value) {
        PyErr_SetString(PyExc_ValueError, "cannot wait nan seconds: give a number, or None.");
        return -1;
    }
    return 0;
}

/* The arguments of a call by vector, in the order of `known` (its first entry tells the usage, its
 * last is NULL); what is not given stays as it is. -1: an exception. */
static int arguments_read(const fbl_call *call, PyObject *names, const char *const *known,
                          PyObject **values)
{
    const char *usage = *known++;
    Py_ssize_t keyword_count = names == NULL ? 0 : PyTuple_GET_SIZE(names);
    Py_ssize_t count = call->count - keyword_count, given = 0;
    for (Py_ssize_t i = 0; known[i] != NULL; i++) {
        if (i < count) {
            values[i] = call->args[i];
            given++;
            continue;
        }
        for (Py_ssize_t k = 0; k < keyword_count; k++) {
            if (PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, k), known[i]) == 0) {
                values[i] = call->args[count + k];
                given++;
            }
        }
    }
    if (given == call->count)
        return 0;
    PyErr_Format(PyExc_TypeError, "use %s", usage);
    return -1;
}

/* None: for ever. A number: seconds from now; what is past or 0 is due at once. */
static int seconds_to_deadline(fbl_thread *thread, PyObject *seconds, uint64_t *deadline_ns)
{
    double value;
    *deadline_ns = FBL_NEVER;
    if (seconds == NULL || seconds == Py_None)
        return 0;
    if (seconds_read(seconds, &value) < 0)
        return -1;
    *deadline_ns = fbl_hub_deadline(&thread->hub, value);
    return 0;
}

/* Raises fibril.Timeout(seconds). */
static PyObject *timeout_raise(PyObject *seconds)
{
    PyObject *error = PyObject_CallFunctionObjArgs(fbl_timeout_class, seconds, NULL);
    if (error != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
        Py_DECREF(error);
    }
    return NULL;
}

/* For tp_traverse of whatever has a wait list: the fibers whose reference the list owns. */
static int waiters_visit(const fbl_link *list, visitproc visit, void *arg)
{
    for (const fbl_link *link = list->next; link != NULL && link != list; link = link->next) {
        const fbl_waiter *waiter = fbl_container_of(link, const fbl_waiter, link);
        if (fbl_waiter_is_owner(waiter))
            Py_VISIT(((fbl_record *)waiter->fiber)->self);
    }
    return 0;
}

/* What those in the list wait for will not come: all are told that it is closed. */
static void waiters_close(fbl_link *list)
{
    while (!fbl_list_is_empty(list))
        fbl_wake_fiber(fbl_container_of(list->next, fbl_waiter, link)->fiber, FBL_WAKE_CLOSED);
}

/* ---- sleep ---- */

static PyObject *sleep_now(fbl_thread *thread)
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
static PyObject *sleep_until(fbl_thread *thread, uint64_t deadline_ns, bool is_aside)
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
        return sleep_now(thread);
    return sleep_until(thread, fbl_hub_deadline(&thread->hub, seconds), !is_counted);
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
