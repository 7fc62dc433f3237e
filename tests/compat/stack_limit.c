/* stack_limit.c: a library that remembers in each thread where the stack ends, as stacker does. */
#define _GNU_SOURCE 1
#include <Python.h>

#include <pthread.h>
#include <sys/mman.h>

static __thread struct {
    unsigned char is_known;
    char *limit;
} remembered;

static void remember(void)
{
    pthread_attr_t attributes;
    void *low = NULL;
    size_t bytes;
    if (remembered.is_known || pthread_getattr_np(pthread_self(), &attributes) != 0)
        return;
    pthread_attr_getstack(&attributes, &low, &bytes);
    pthread_attr_destroy(&attributes);
    remembered.is_known = 1;
    remembered.limit = low;
}

/* left(): how many bytes of the stack are left, as far as it knows. If few are, it makes others. */
static PyObject *left(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    remember();
    Py_ssize_t bytes = (char *)__builtin_frame_address(0) - remembered.limit;
    if (bytes < 16384) {
        char *limit = remembered.limit;
        char *made = mmap(NULL, 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (made == MAP_FAILED || mprotect(made, 65536, PROT_READ | PROT_WRITE) < 0)
            return PyErr_SetFromErrno(PyExc_OSError);
        remembered.limit = made;
        munmap(made, 65536);
        remembered.limit = limit;
    }
    return PyLong_FromSsize_t(bytes);
}

/* call(fn): fn(), on a stack that it has made; or so it believes. Is it so
 * still when it returns? */
static PyObject *call(PyObject *module, PyObject *fn)
{
    static char made[65536];
    remember();
    char *limit = remembered.limit;
    remembered.limit = made;
    PyObject *result = PyObject_CallNoArgs(fn);
    int is_right = remembered.limit == made;
    remembered.limit = limit;
    if (result == NULL)
        return NULL;
    Py_DECREF(result);
    (void)module;
    return PyBool_FromLong(is_right);
}

static PyMethodDef methods[] = {
    {"left", left, METH_NOARGS, NULL},
    {"call", call, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "stack_limit", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_stack_limit(void) { return PyModule_Create(&definition); }
