/*
 * task_doc.h: what users read about fibril.Task. Included by task_type.c only.
 *
 * Apart from the code because each text states arguments with units, what is returned and raised,
 * whether the call may switch and from which thread it may be made, and together they are as long
 * as the code. The examples are run by tests/docs.
 */
PyDoc_STRVAR(task_doc, "Task(run=None, /, *args, **kwargs)\n--\n\n"
                       "A fiber that the hub schedules, with a result that others can wait for "
                       "(gevent's Greenlet).\n\n"
                       "run: a function, called with args and kwargs; a subclass may define _run "
                       "instead. It does not run\n"
                       "before start(), and then only when the caller waits for something or ends. "
                       "What it returns is\n"
                       "`value`; what it raises is `exception`, and is printed once. GreenletExit "
                       "counts as a value.\n"
                       "stack_size: bytes for its C stack, instead of fibril.stack_size(); a "
                       "function that has a parameter\nof that name gets it itself.\n\n"
                       "Switches: never. Threads: any; the task runs on the thread that makes it. "
                       "Raises TypeError if run\n"
                       "cannot be called.\n\n"
                       ">>> from fibril import Task\n"
                       ">>> task = Task(pow, 2, 10)\n"
                       ">>> task.start()\n"
                       ">>> task.get()\n"
                       "1024\n");

PyDoc_STRVAR(
    task_spawn_doc,
    "spawn($type, /, *args, **kwargs)\n--\n\n"
    "Make a task of this class with these arguments, start it, and return it.\n\n"
    "Switches: never. Threads: any. Raises TypeError if there is nothing callable to run.");

PyDoc_STRVAR(task_spawn_later_doc,
             "spawn_later($type, seconds, /, *args, **kwargs)\n--\n\n"
             "Make a task of this class that starts after that many seconds, and return it.\n\n"
             "Switches: never. Threads: any. Raises TypeError as spawn does.");

PyDoc_STRVAR(task_run_doc, "run($self, /)\n--\n\n"
                           "What the task does when it runs: call the function and settle the "
                           "result. For subclasses to wrap.\n\n"
                           "Switches: as the function does. Threads: owner; called by the hub.");

PyDoc_STRVAR(
    task_start_doc,
    "start($self, /)\n--\n\n"
    "Let the task run when the caller next waits. Does nothing if it was started before.\n\n"
    "Switches: never. Threads: any.");

PyDoc_STRVAR(task_start_later_doc,
             "start_later($self, /, seconds)\n--\n\n"
             "Let the task run after that many seconds. Does nothing if it was started before.\n\n"
             "Switches: never. Threads: any.");

PyDoc_STRVAR(
    task_get_doc,
    "get($self, /, block=True, timeout=None)\n--\n\n"
    "Return what the task returned, or raise what it raised; wait for its end if need be.\n\n"
    "block: False raises Timeout at once if it has not ended. timeout: seconds to wait at most, "
    "None\n"
    "for ever; then Timeout is raised and the task goes on.\n\n"
    "Switches: if it must wait. Threads: any.");

PyDoc_STRVAR(
    task_join_doc,
    "join($self, /, timeout=None)\n--\n\n"
    "Wait until the task has ended, or `timeout` seconds are over. Returns None either way.\n\n"
    "Switches: if it must wait. Threads: any.");

PyDoc_STRVAR(
    task_kill_doc,
    "kill($self, /, exception=GreenletExit, block=True, timeout=None)\n--\n\n"
    "Raise an exception where the task waits; by default wait until it has ended of it.\n\n"
    "exception: class, instance or (type, value, traceback). A task that has not started never "
    "runs; one\n"
    "that has ended is left alone. block: False returns at once; the exception is raised when the "
    "hub\n"
    "next runs the task. timeout: seconds to wait at most; then Timeout is raised here.\n\n"
    "Switches: if it must wait. Threads: any.");

PyDoc_STRVAR(
    task_rawlink_doc,
    "rawlink($self, /, callback)\n--\n\n"
    "Have the hub call callback(task) when the task has ended. The callback must not block.\n\n"
    "Switches: never. Threads: any. Raises TypeError if callback cannot be called.");

PyDoc_STRVAR(
    task_link_doc,
    "link($self, /, callback)\n--\n\n"
    "Call callback(task) in a new task when this one has ended, at once if it has already.\n\n"
    "Switches: never. Threads: any. Raises TypeError if callback cannot be called.");

PyDoc_STRVAR(task_link_value_doc,
             "link_value($self, /, callback)\n--\n\n"
             "As link(), but only if the task ends successfully.\n\n"
             "Switches: never. Threads: any. Raises TypeError if callback cannot be called.");

PyDoc_STRVAR(task_link_exception_doc,
             "link_exception($self, /, callback)\n--\n\n"
             "As link(), but only if the task raises.\n\n"
             "Switches: never. Threads: any. Raises TypeError if callback cannot be called.");

PyDoc_STRVAR(task_unlink_doc, "unlink($self, /, callback)\n--\n\n"
                              "Take back a link of any kind. One that is not there is no error.\n\n"
                              "Switches: never. Threads: any.");

PyDoc_STRVAR(task_has_links_doc, "has_links($self, /)\n--\n\n"
                                 "Whether anybody is linked to its end.\n\n"
                                 "Switches: never. Threads: any.");

PyDoc_STRVAR(task_ready_doc, "ready($self, /)\n--\n\n"
                             "Whether the task has ended, in whatever way.\n\n"
                             "Switches: never. Threads: any.");

PyDoc_STRVAR(task_successful_doc, "successful($self, /)\n--\n\n"
                                  "Whether the task has ended and did not raise.\n\n"
                                  "Switches: never. Threads: any.");

PyDoc_STRVAR(task_unlink_all_doc, "unlink_all($self, /)\n--\n\nTake back all links.\n\n"
                                  "Switches: never. Threads: any.");

PyDoc_STRVAR(task_add_spawn_callback_doc,
             "add_spawn_callback(callback)\n--\n\n"
             "From now on callback(task) is called when any task is started, before it runs.\n\n"
             "What it raises comes out of start(), and the task does not start.\n\n"
             "Switches: never. Threads: any; called in the thread that starts the task. Raises "
             "TypeError if it\ncannot be called.");

PyDoc_STRVAR(task_remove_spawn_callback_doc,
             "remove_spawn_callback(callback)\n--\n\n"
             "Undo add_spawn_callback(); one that is not there is no error.\n\n"
             "Switches: never. Threads: any.");

PyDoc_STRVAR(task_exit_doc,
             "__exit__($self, type, value, traceback, /)\n--\n\n"
             "At the end of `with task:` wait for it; if an exception left the block, kill it with "
             "that.\n\n"
             "Switches: if it must wait. Threads: any.\n\n"
             ">>> import fibril\n"
             ">>> with fibril.spawn(fibril.sleep, 0.01) as task:\n"
             "...     task.ready()\n"
             "False\n"
             ">>> task.ready()\n"
             "True\n");
