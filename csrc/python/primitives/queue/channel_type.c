/*
 * channel_type.c: Channel: a queue in which no item ever lies: put() waits for a get().
 *
 * The idea: a plain queue with room for none. put() finds a getter or waits with its item; get()
 * takes the first putter's or waits. An item whose getter was killed just after the two had met is
 * the only one that lies in it, for the next getter; its put() has returned.
 * Threads: any.
 */
#include "python/hub/hub.h"
#include "python/primitives/queue/queue.h"

static int channel_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"maxsize", NULL};
    Py_ssize_t maxsize = 1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|n:Channel", names, &maxsize))
        return -1;
    if (maxsize != 1) {
        PyErr_Format(PyExc_ValueError,
                     "cannot make a channel of size %zd: its maxsize is 1. Use a Queue.", maxsize);
        return -1;
    }
    queue_of(self)->count_max = 0;
    return 0;
}

static PyObject *channel_qsize(PyObject *self, PyObject *unused)
{
    (void)self;
    (void)unused;
    return PyLong_FromLong(0);
}

static PyObject *channel_is_true(PyObject *self, PyObject *unused)
{
    (void)self;
    (void)unused;
    Py_RETURN_TRUE;
}

static PyObject *channel_get_balance(PyObject *self, void *unused)
{
    (void)unused;
    queue_object *queue = queue_of(self);
    return PyLong_FromSsize_t(waiters_count(&queue->putters) - waiters_count(&queue->getters));
}

static PyObject *channel_repr(PyObject *self)
{
    queue_object *queue = queue_of(self);
    return PyUnicode_FromFormat("<%s at %p, %zd to put, %zd to get>", Py_TYPE(self)->tp_name, self,
                                waiters_count(&queue->putters), waiters_count(&queue->getters));
}

PyDoc_STRVAR(channel_put_doc,
             "put($self, /, item, block=True, timeout=None)\n--\n\n"
             "Hand an item to a getter; wait for one.\n\n"
             "block: False raises Full unless one waits. timeout: seconds to wait at most; then "
             "Full.\n\n"
             "Switches: if it must wait. Threads: any.");
PyDoc_STRVAR(channel_get_doc,
             "get($self, /, block=True, timeout=None)\n--\n\n"
             "Take a putter's item; wait for one.\n\n"
             "block: False raises Empty unless one waits. timeout: seconds to wait at most; then "
             "Empty.\n\n"
             "Switches: if it must wait. Threads: any.");

static PyMethodDef channel_methods[] = {
    {"put", (PyCFunction)(void (*)(void))queue_put, FAST_KEYWORDS, channel_put_doc},
    {"put_nowait", (PyCFunction)(void (*)(void))queue_put_nowait, FAST_KEYWORDS,
     "put_nowait($self, /, item)\n--\n\nput(item, block=False).\n\nSwitches: never. Threads: any."},
    {"get", (PyCFunction)(void (*)(void))queue_get, FAST_KEYWORDS, channel_get_doc},
    {"get_nowait", queue_get_nowait, METH_NOARGS,
     "get_nowait($self, /)\n--\n\nget(block=False).\n\nSwitches: never. Threads: any."},
    {"qsize", channel_qsize, METH_NOARGS,
     "qsize($self, /)\n--\n\nAlways 0.\n\nSwitches: never. Threads: any."},
    {"empty", channel_is_true, METH_NOARGS,
     "empty($self, /)\n--\n\nAlways True.\n\nSwitches: never. Threads: any."},
    {"full", channel_is_true, METH_NOARGS,
     "full($self, /)\n--\n\nAlways True.\n\nSwitches: never. Threads: any."},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, "Channel[int], for type checkers."},
    {0},
};

static PyGetSetDef channel_getset[] = {
    {"hub", link_get_hub, NULL, "The hub of the thread that asks: any may use it.", NULL},
    {"balance", channel_get_balance, NULL, "How many wait to put, less those who wait to get.",
     NULL},
    {0},
};

static PyNumberMethods channel_number = {.nb_bool = queue_is_true};

PyDoc_STRVAR(channel_doc,
             "Channel(maxsize=1)\n--\n\n"
             "Where a fiber that puts an item meets one that gets it.\n\n"
             "maxsize: 1, for code that passes a size. Iterating takes items until one "
             "is the class\nStopIteration.\n\n"
             "Switches: never. Threads: any. Raises ValueError for another size.\n\n"
             ">>> import fibril\n"
             ">>> from fibril.queue import Channel\n"
             ">>> channel = Channel()\n"
             ">>> task = fibril.spawn(channel.put, 'hello')\n"
             ">>> channel.get()\n"
             "'hello'\n");

PyTypeObject fbl_channel_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "fibril.queue.Channel",
    .tp_doc = channel_doc,
    .tp_basicsize = sizeof(queue_object),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_new = queue_new,
    .tp_init = channel_init,
    .tp_dealloc = queue_dealloc,
    .tp_traverse = queue_traverse,
    .tp_clear = queue_clear,
    .tp_repr = channel_repr,
    .tp_iter = PyObject_SelfIter,
    .tp_iternext = queue_next,
    .tp_as_number = &channel_number,
    .tp_methods = channel_methods,
    .tp_getset = channel_getset,
    .tp_weaklistoffset = offsetof(queue_object, weakrefs),
};
