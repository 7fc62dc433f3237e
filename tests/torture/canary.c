/* Puts a pattern on the C stack, calls back into Python, and looks at it when that returns. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>

static uint64_t pattern_next(uint64_t word)
{
    return word * 6364136223846793005u + 1442695040888963407u;
}

/* hold(words, seed, callback): what callback(address) returns, and how many words were damaged. */
static PyObject *canary_hold(PyObject *module, PyObject *args)
{
    (void)module;
    Py_ssize_t words;
    unsigned long long seed;
    PyObject *callback;
    if (!PyArg_ParseTuple(args, "nKO:hold", &words, &seed, &callback))
        return NULL;
    uint64_t *pattern = __builtin_alloca((size_t)words * sizeof *pattern);
    uint64_t word = seed;
    for (Py_ssize_t at = 0; at < words; at++)
        pattern[at] = word = pattern_next(word);
    __asm__ volatile("" ::"r"(pattern) : "memory"); /* the compiler must not know what it holds */
    PyObject *result = PyObject_CallFunction(callback, "K", (unsigned long long)(uintptr_t)pattern);
    if (result == NULL)
        return NULL;
    Py_ssize_t damaged = 0;
    word = seed;
    for (Py_ssize_t at = 0; at < words; at++) {
        word = pattern_next(word);
        damaged += pattern[at] != word;
    }
    return Py_BuildValue("(Nn)", result, damaged);
}

static PyMethodDef methods[] = {
    {"hold", canary_hold, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "canary", .m_size = -1,
                                        .m_methods = methods};

PyMODINIT_FUNC PyInit_canary(void) { return PyModule_Create(&definition); }
