/*
 * task_tree.c: where a task comes from: who spawned it, at which line, and what it was told then.
 *
 * The idea: spawning pays for a weak reference to the spawner, shared by all that it spawns, and
 * for two words that say where; all else is made when somebody asks. A task's tree is the tasks
 * that its spawner's spawner ... started, below the main fiber; `spawn_tree_locals` is a dict that
 * all of one tree share. It is made when it is first needed: by who asks, or by who spawns from
 * inside a task, so that parent and child have the same.
 *
 * Small numbers for people (`minimal_ident`) are given when asked for, and again when their task is
 * gone.
 * Threads: any.
 */
#include "python/task/task.h"

/* ---- the tree ---- */

static PyObject *spawn_callbacks; /* owned: list of who is told of each start, or NULL */

/* A dict for the tree of a task that has none yet; borrowed. NULL: an exception. */
static PyObject *task_tree_locals(PyObject *self)
{
    PyObject **place = &task_of(self)->tree_locals;
    (void)place_fill(place, *place == NULL ? PyDict_New() : NULL);
    return *place;
}

/* What `self` gets of the fiber that starts it. -1: an exception. */
static int task_inherit(PyObject *self, PyObject *spawner)
{
    task_object *task = task_of(self);
    task->spawner = PyWeakref_NewRef(spawner, NULL);
    if (task->spawner == NULL)
        return -1;
    if (!PyObject_TypeCheck(spawner, &fbl_task_type) || task->tree_locals != NULL)
        return 0;
    task->tree_locals = Py_XNewRef(task_tree_locals(spawner));
    return task->tree_locals == NULL ? -1 : 0;
}

/* Those who asked to be told of each start are. -1: one raised, and the task must not start. */
static int task_tell_spawn(PyObject *self)
{
    PyObject *callbacks = PySequence_Tuple(spawn_callbacks);
    if (callbacks == NULL)
        return -1;
    int rc = 0;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(callbacks) && rc == 0; i++) {
        PyObject *done = PyObject_CallOneArg(PyTuple_GET_ITEM(callbacks, i), self);
        rc = done == NULL ? -1 : 0;
        Py_XDECREF(done);
    }
    Py_DECREF(callbacks);
    return rc;
}

static int task_note_spawn(PyObject *self, fbl_thread *thread)
{
    if (fbl_unlikely(spawn_callbacks != NULL) && task_tell_spawn(self) < 0)
        return -1;
    return task_inherit(self, thread_current(thread)->self);
}

static PyObject *task_add_spawn_callback(PyObject *type, PyObject *callback)
{
    (void)type;
    if (!PyCallable_Check(callback))
        return errors_refuse(PyExc_TypeError,
                             "cannot call %R when a task starts: it is not "
                             "callable. It is called with the task.",
                             callback);
    int rc = place_fill(&spawn_callbacks, spawn_callbacks == NULL ? PyList_New(0) : NULL);
    if (rc == 0)
        rc = PySequence_Contains(spawn_callbacks, callback);
    if (rc == 0)
        rc = PyList_Append(spawn_callbacks, callback);
    return rc < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *task_remove_spawn_callback(PyObject *type, PyObject *callback)
{
    (void)type;
    Py_ssize_t place = spawn_callbacks == NULL ? -1 : PySequence_Index(spawn_callbacks, callback);
    if (place < 0) {
        if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_ValueError))
            return NULL;
        PyErr_Clear(); /* was not there: as gevent, no error */
        Py_RETURN_NONE;
    }
    if (PySequence_DelItem(spawn_callbacks, place) < 0)
        return NULL;
    if (PyList_GET_SIZE(spawn_callbacks) == 0)
        Py_CLEAR(spawn_callbacks);
    Py_RETURN_NONE;
}

/* ---- the place ---- */

/* Whose line started it: not a pool's, nor that of threading's Thread. So names of files are judged
 * by how they begin, once each: code objects of one file share the name. */
#define JUDGED_NAMES 16 /* a power of two */

PyObject *fbl_files_passed_over; /* owned: a tuple of str, or NULL */
static struct {
    PyObject *name; /* owned */
    bool is_passed_over;
} judged_names[JUDGED_NAMES];

static bool name_is_passed_over(PyObject *name)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(fbl_files_passed_over); i++) {
        PyObject *start = PyTuple_GET_ITEM(fbl_files_passed_over, i);
        if (PyUnicode_Tailmatch(name, start, 0, PY_SSIZE_T_MAX, -1) == 1)
            return true;
    }
    PyErr_Clear();
    return false;
}

static inline bool code_is_passed_over(const PyCodeObject *code)
{
    PyObject *name = code->co_filename;
    size_t slot = ((uintptr_t)name >> 4) & (JUDGED_NAMES - 1);
    if (fbl_unlikely(judged_names[slot].name != name)) {
        if (fbl_files_passed_over == NULL)
            return false;
        judged_names[slot].is_passed_over = name_is_passed_over(name);
        Py_XSETREF(judged_names[slot].name, Py_NewRef(name));
    }
    return judged_names[slot].is_passed_over;
}

/* The nearest line of somebody else's, for a task that was started by one of those. Stays as it is
 * if there is none, or no memory to look. */
static __attribute__((noinline)) void task_look_farther(task_object *task, PyThreadState *ts)
{
    PyFrameObject *frame = PyThreadState_GetFrame(ts);
    while (frame != NULL) {
        PyCodeObject *code = PyFrame_GetCode(frame);
        if (!code_is_passed_over(code)) {
            Py_XSETREF(task->place_code, (PyObject *)code);
            task->place_offset = PyFrame_GetLasti(frame);
            Py_DECREF(frame);
            return;
        }
        Py_DECREF(code);
        Py_SETREF(frame, PyFrame_GetBack(frame));
    }
    PyErr_Clear();
}

static void task_note_place(PyObject *self)
{
    task_object *task = task_of(self);
    PyThreadState *ts = PyThreadState_Get();
    PyCodeObject *code = state_place(ts, &task->place_offset);
    task->place_code = Py_XNewRef(code);
    if (code != NULL && fbl_unlikely(code_is_passed_over(code)))
        task_look_farther(task, ts);
}

/* ---- attributes ---- */

static PyObject *task_get_spawner(PyObject *self, void *unused)
{
    (void)unused;
    PyObject *spawner = task_of(self)->spawner;
    return Py_NewRef(spawner != NULL ? spawner : Py_None);
}

static PyObject *task_get_tree_locals(PyObject *self, void *unused)
{
    (void)unused;
    return Py_XNewRef(task_tree_locals(self));
}

static int task_set_tree_locals(PyObject *self, PyObject *value, void *unused)
{
    (void)unused;
    Py_XSETREF(task_of(self)->tree_locals, Py_XNewRef(value));
    return 0;
}

/* (file, line, function) of the line that started it, or None. */
static PyObject *task_get_spawned_at(PyObject *self, void *unused)
{
    (void)unused;
    PyCodeObject *code = (PyCodeObject *)task_of(self)->place_code;
    if (code == NULL)
        Py_RETURN_NONE;
    int line = PyCode_Addr2Line(code, task_of(self)->place_offset);
    return Py_BuildValue("(OiO)", code->co_filename, line, code->co_name);
}

/* The same in the shape of a frame, which traceback.print_stack() takes. */
static PyObject *task_get_spawning_stack(PyObject *self, void *unused)
{
    (void)unused;
    PyCodeObject *code = (PyCodeObject *)task_of(self)->place_code;
    if (code == NULL)
        Py_RETURN_NONE;
    PyObject *types = PyImport_ImportModule("types");
    PyObject *make = types == NULL ? NULL : PyObject_GetAttrString(types, "SimpleNamespace");
    int line = PyCode_Addr2Line(code, task_of(self)->place_offset);
    PyObject *fields = make == NULL
                           ? NULL
                           : Py_BuildValue("{s:O,s:i,s:i,s:O,s:{},s:{}}", "f_code", code,
                                           "f_lineno", line, "f_lasti", task_of(self)->place_offset,
                                           "f_back", Py_None, "f_globals", "f_locals");
    PyObject *frame = fields == NULL ? NULL : PyObject_Call(make, fbl_empty_tuple, fields);
    Py_XDECREF(fields);
    Py_XDECREF(make);
    Py_XDECREF(types);
    return frame;
}

/* ---- small numbers ---- */

static uint64_t *ident_words; /* bit n is set: number n is in use */
static size_t ident_word_count;

static int ident_words_grow(void)
{
    size_t count = ident_word_count == 0 ? 4 : ident_word_count * 2;
    uint64_t *words = PyMem_Resize(ident_words, uint64_t, count);
    if (words == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = ident_word_count; i < count; i++)
        words[i] = 0;
    ident_words = words;
    ident_word_count = count;
    return 0;
}

/* The least number that no living task has. -1: an exception. */
static Py_ssize_t ident_take(void)
{
    size_t word = 0;
    while (word < ident_word_count && ident_words[word] == UINT64_MAX)
        word++;
    if (word == ident_word_count && ident_words_grow() < 0)
        return -1;
    int bit = __builtin_ctzll(~ident_words[word]);
    ident_words[word] |= (uint64_t)1 << bit;
    return (Py_ssize_t)(word * 64) + bit;
}

static void ident_give(Py_ssize_t ident)
{
    ident_words[ident / 64] &= ~((uint64_t)1 << (ident % 64));
}

static PyObject *task_get_minimal_ident(PyObject *self, void *unused)
{
    (void)unused;
    task_object *task = task_of(self);
    if (task->ident_after == 0) {
        Py_ssize_t ident = ident_take();
        if (ident < 0)
            return NULL;
        task->ident_after = ident + 1;
    }
    return PyLong_FromSsize_t(task->ident_after - 1);
}

/* ---- for the garbage collector ---- */

static int task_tree_visit(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(task_of(self)->spawner);
    Py_VISIT(task_of(self)->tree_locals);
    return 0;
}

static void task_tree_clear(PyObject *self)
{
    Py_CLEAR(task_of(self)->spawner);
    Py_CLEAR(task_of(self)->tree_locals);
    if (task_of(self)->ident_after != 0)
        ident_give(task_of(self)->ident_after - 1);
    task_of(self)->ident_after = 0;
}
