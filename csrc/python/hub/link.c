/*
 * link.c: callbacks that are told once when an Event or a Semaphore is ready: rawlink and unlink.
 *
 * The idea: a link is a callback and the hub of the thread that asked for it. Whoever makes the
 * object ready gives each of them to its hub, in order, and forgets them; so a callback runs where
 * it may not wait, in the thread whose it is, and never in the middle of set() or release().
 * fibril.wait() is built on this.
 *
 * A list is made on first use: an object without links pays for one pointer.
 * Threads: any.
 * Do not add: links of tasks, which know how a task ended (task_type.c).
 */
#include "python/hub/hub.h"

/* callback(self) in the hub, soon. If its thread has ended, there is nobody to be told. */
static int link_call_soon(PyObject *self, PyObject *callback, PyObject *hub)
{
    fbl_thread *thread = record_of(hub)->thread;
    if (thread->is_closed)
        return 0;
    PyObject *args = PyTuple_Pack(1, self);
    int rc = args == NULL ? -1 : hub_call_soon(thread, callback, args);
    Py_XDECREF(args);
    return rc;
}

/* Makes the list if there is none. */
static int links_make(PyObject **links)
{
    return place_fill(links, *links == NULL ? PyList_New(0) : NULL);
}

static int link_append(PyObject **links, PyObject *callback, PyObject *hub)
{
    PyObject *entry = links_make(links) < 0 ? NULL : PyTuple_Pack(2, callback, hub);
    int rc = entry == NULL ? -1 : PyList_Append(*links, entry);
    Py_XDECREF(entry);
    return rc;
}

/* rawlink(): to be told when `self` is ready, or soon, if it is. Whether it is, is asked last: a
 * collection may run anybody's code in the middle of this, and that may make it ready. */
static PyObject *link_add(PyObject **links, PyObject *self, PyObject *callback,
                          link_question *is_ready)
{
    if (!PyCallable_Check(callback))
        return errors_refuse(PyExc_TypeError,
                             "cannot link %R: it is not callable. A link is called with the object "
                             "that it is linked to, when that is ready.",
                             callback);
    fbl_thread *thread = thread_get();
    PyObject *hub = thread == NULL ? NULL : hub_get(thread);
    if (hub == NULL)
        return NULL;
    int rc = link_append(links, callback, hub);
    Py_DECREF(hub);
    if (rc == 0 && is_ready(self))
        rc = link_tell_all(links, self);
    return rc < 0 ? NULL : Py_NewRef(Py_None);
}

/* unlink(): takes back the first link that is equal, or else the call of one that was told and has
 * not begun. Equality may run any code, so each step holds what it looks at, and looks at the list
 * anew. */
static PyObject *link_remove(PyObject **links, PyObject *self, PyObject *callback)
{
    PyObject *list = Py_XNewRef(*links);
    int rc = 0;
    for (Py_ssize_t i = 0; list != NULL && rc == 0 && i < PyList_GET_SIZE(list); i++) {
        PyObject *entry = Py_NewRef(PyList_GET_ITEM(list, i));
        rc = PyObject_RichCompareBool(PyTuple_GET_ITEM(entry, 0), callback, Py_EQ);
        bool is_there = i < PyList_GET_SIZE(list) && PyList_GET_ITEM(list, i) == entry;
        Py_DECREF(entry);
        if (rc > 0 && is_there && PyList_SetSlice(list, i, i + 1, NULL) < 0)
            rc = -1;
    }
    Py_XDECREF(list);
    if (rc == 0)
        rc = hub_take_back(callback, self);
    return rc < 0 ? NULL : Py_NewRef(Py_None);
}

/* `self` is ready: each link is called soon, once. -1: an exception; the rest is still linked. */
static int link_tell_all(PyObject **links, PyObject *self)
{
    while (*links != NULL && PyList_GET_SIZE(*links) > 0) {
        PyObject *entry = Py_NewRef(PyList_GET_ITEM(*links, 0));
        int rc = PyList_SetSlice(*links, 0, 1, NULL);
        if (rc == 0)
            rc = link_call_soon(self, PyTuple_GET_ITEM(entry, 0), PyTuple_GET_ITEM(entry, 1));
        Py_DECREF(entry);
        if (rc < 0)
            return -1;
    }
    return 0;
}

/* linkcount(): who waits is linked as well, as in gevent. */
static PyObject *link_count(PyObject *links, Py_ssize_t waiting_count)
{
    return PyLong_FromSsize_t(waiting_count + (links == NULL ? 0 : PyList_GET_SIZE(links)));
}

/* The attribute `hub`, which gevent's primitives have: that of the thread that asks, because any
 * may use them. Locks and events have none until somebody waits, as gevent's. */
static PyObject *link_get_hub(PyObject *self, void *unused)
{
    (void)self;
    (void)unused;
    fbl_thread *thread = thread_get();
    return thread == NULL ? NULL : hub_get(thread);
}

const char fbl_link_add_doc[] =
    "rawlink($self, /, callback)\n--\n\n"
    "Have the hub of this thread call callback(self) once, when it is ready; soon, if it is.\n\n"
    "callback: must not block. Switches: never. Threads: any.";
const char fbl_link_remove_doc[] = "unlink($self, /, callback)\n--\n\n"
                                   "Take back a link; one that is not there is no error.\n\n"
                                   "Switches: never. Threads: any.";
const char fbl_link_count_doc[] = "linkcount($self, /)\n--\n\n"
                                  "How many links it has, and fibers that wait for it.\n\n"
                                  "Switches: never. Threads: any.";
