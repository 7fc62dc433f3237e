/*
 * task.h: a task's fields, and what its parts (life, tree, type) have of each other.
 *
 * The idea: a task is a fiber with an outcome. The outcome is set once, by task_settle, whichever
 * way the task came to its end; everything else only asks for it.
 */
#ifndef FBL_TASK_H
#define FBL_TASK_H

#include "python/fiber/record.h"

typedef enum { TASK_PENDING = 0, TASK_VALUE, TASK_ERROR } task_outcome;

typedef struct {
    fbl_fiber_object base; /* first: a task is a fiber */
    PyObject *fn;           /* owned: what it calls; NULL: its _run attribute */
    PyObject *value;        /* owned: the result, once VALUE */
    PyObject *exception;    /* owned: what it raised, once ERROR */
    PyObject *traceback;    /* owned: the exception's traceback as it was at the end */
    PyObject *unseen;       /* owned: called when somebody first asks how it failed; or NULL */
    PyObject *links;        /* owned: list of (callback, link_kind), or NULL */
    PyObject *name;         /* owned: str, or NULL until asked for */
    PyObject *place_code;   /* owned: the code that started it, or NULL */
    int place_offset;       /* where in that code */
    PyObject *spawner;      /* owned: weak reference to the fiber that started it, or NULL */
    PyObject *tree_locals;  /* owned: dict that its tree shares, or NULL until needed */
    Py_ssize_t ident_after; /* its small number plus one; 0: none was asked for */
    fbl_link joiners;      /* waiters of who waits for its end */
    uint8_t outcome;        /* task_outcome; set once, by task_settle */
    bool is_spawned;        /* start() was called */
} task_object;

/* Which ends a link is told of, and where it runs: a raw one in the hub, others in a new task. */
typedef enum { LINK_ALWAYS = 0, LINK_RAW, LINK_VALUE, LINK_EXCEPTION } link_kind;

/* Who waits for a task's end; lives on that fiber's C stack. */
typedef struct {
    fbl_waiter waiter; /* in task.joiners */
    bool is_killer; /* it goes on before others do, unless something is linked to the end */
} task_joiner;

static inline task_object *task_of(PyObject *self) { return (task_object *)self; }

extern PyTypeObject fbl_task_type;

/* ---- task_life.c ---- */
static PyObject *task_new(PyTypeObject *type, PyObject *args, PyObject *kwargs);
static int task_init(PyObject *self, PyObject *args, PyObject *kwargs);
static int task_start_now(PyObject *self);
static int task_start_in(PyObject *self, PyObject *seconds);
static int task_spawn_link(PyObject *callback, PyObject *args);
static int task_run_links(fbl_thread *thread, PyObject *self);
static void task_end_unstarted(fbl_record *record);
static void task_tell_joiners(PyObject *fiber);
static PyObject *task_run(PyObject *self, PyObject *unused);
static PyObject *task_spawn(PyObject *type, PyObject *args, PyObject *kwargs);
static PyObject *task_spawn_later(PyObject *type, PyObject *args, PyObject *kwargs);

/* ---- task_tree.c ---- */
static int task_note_spawn(PyObject *self, fbl_thread *thread);
static void task_note_place(PyObject *self);
extern PyObject
    *fbl_files_passed_over; /* beginnings of names of files; see set_files_passed_over */
static PyObject *task_add_spawn_callback(PyObject *type, PyObject *callback);
static PyObject *task_remove_spawn_callback(PyObject *type, PyObject *callback);
static PyObject *task_get_spawner(PyObject *self, void *unused);
static PyObject *task_get_tree_locals(PyObject *self, void *unused);
static int task_set_tree_locals(PyObject *self, PyObject *value, void *unused);
static PyObject *task_get_spawned_at(PyObject *self, void *unused);
static PyObject *task_get_spawning_stack(PyObject *self, void *unused);
static PyObject *task_get_minimal_ident(PyObject *self, void *unused);
static int task_tree_visit(PyObject *self, visitproc visit, void *arg);
static void task_tree_clear(PyObject *self);

/* ---- task_repr.c ---- */
static PyObject *task_does(PyObject *self, PyObject *unused);
static PyObject *task_repr(PyObject *self);

/* ---- task_type.c ---- */
static void task_note_seen(task_object *task);
static PyObject *exception_from_argument(PyObject *exception);
static PyObject *task_throw_switch(PyObject *self, PyObject *args);

#endif
