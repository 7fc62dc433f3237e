/*
 * queue_doc.h: what help() says of queues and their methods.
 *
 * The idea: apart from the code, so that both can be read. Included by queue_type.c only; the
 * examples in it run as tests.
 * Do not add: what only this implementation knows. These are promises to users.
 */
#ifndef FBL_QUEUE_DOC_H
#define FBL_QUEUE_DOC_H

PyDoc_STRVAR(
    queue_put_doc,
    "put($self, /, item, block=True, timeout=None)\n--\n\n"
    "Add an item; wait for room if the queue is full.\n\n"
    "block: False raises Full instead of waiting. timeout: seconds to wait at most; then Full.\n\n"
    "Switches: if it must wait. Threads: any. Raises ShutDown after shutdown().");
PyDoc_STRVAR(queue_put_nowait_doc, "put_nowait($self, /, item)\n--\n\nput(item, block=False).\n\n"
                                   "Switches: never. Threads: any.");
PyDoc_STRVAR(queue_get_doc,
             "get($self, /, block=True, timeout=None)\n--\n\n"
             "Take the item that comes first; wait for one if there is none.\n\n"
             "block: False raises Empty instead of waiting. timeout: seconds to wait at most; then "
             "Empty.\n\n"
             "Switches: if it must wait. Threads: any. Raises ShutDown once a queue that was shut "
             "down is empty.");
PyDoc_STRVAR(queue_get_nowait_doc, "get_nowait($self, /)\n--\n\nget(block=False).\n\n"
                                   "Switches: never. Threads: any.");
PyDoc_STRVAR(queue_peek_doc, "peek($self, /, block=True, timeout=None)\n--\n\n"
                             "Return what get() would, and leave it in the queue.\n\n"
                             "The arguments, and what is raised, are those of get().\n\n"
                             "Switches: if it must wait. Threads: any.");
PyDoc_STRVAR(queue_peek_nowait_doc, "peek_nowait($self, /)\n--\n\npeek(block=False).\n\n"
                                    "Switches: never. Threads: any.");
PyDoc_STRVAR(queue_qsize_doc,
             "qsize($self, /)\n--\n\nHow many items it has.\n\nSwitches: never. Threads: any.");
PyDoc_STRVAR(queue_empty_doc,
             "empty($self, /)\n--\n\nWhether it has none.\n\nSwitches: never. Threads: any.");
PyDoc_STRVAR(queue_full_doc,
             "full($self, /)\n--\n\nWhether put() would wait.\n\nSwitches: never. Threads: any.");
PyDoc_STRVAR(
    queue_copy_doc,
    "copy($self, /)\n--\n\nA new queue of the same class and size, with the same items.\n\n"
    "Switches: never. Threads: any.");
PyDoc_STRVAR(queue_task_done_doc,
             "task_done($self, /)\n--\n\nAn item that was got is done with; see join().\n\n"
             "Switches: never. Threads: any. Raises ValueError if called more often than put().");
PyDoc_STRVAR(
    queue_join_doc,
    "join($self, /, timeout=None)\n--\n\n"
    "Wait until each item that was put is done: True, or False after `timeout` seconds.\n\n"
    "Switches: if it must wait. Threads: any.");
PyDoc_STRVAR(queue_shutdown_doc,
             "shutdown($self, /, immediate=False)\n--\n\n"
             "From now on put() raises ShutDown, and get() does once the queue is empty.\n\n"
             "Who waits to put or to get is told at once. immediate: drop the items that are left, "
             "each of\nwhich then counts as done.\n\n"
             "Switches: never. Threads: any.\n\n"
             ">>> from fibril.queue import Queue, ShutDown\n"
             ">>> queue = Queue(items=[1])\n"
             ">>> queue.shutdown()\n"
             ">>> queue.get()\n"
             "1\n"
             ">>> try:\n"
             "...     queue.get()\n"
             "... except ShutDown:\n"
             "...     print('no more')\n"
             "no more\n");

PyDoc_STRVAR(simple_queue_doc,
             "SimpleQueue(maxsize=None, items=())\n--\n\n"
             "Hands items from fibers to fibers, first in first out.\n\n"
             "maxsize: put() waits at that many items; None or 0: never. items: what is in it at "
             "the start.\n"
             "Iterating takes items until one is the class StopIteration. A subclass may keep the "
             "items in\nits own way, as one of the standard library's queue: by the methods "
             "_init(maxsize), _qsize(),\n_put(item) and _get().\n\n"
             "Switches: never. Threads: any.\n\n"
             ">>> from fibril.queue import SimpleQueue\n"
             ">>> list(SimpleQueue(items=[1, 2, StopIteration]))\n"
             "[1, 2]\n");
PyDoc_STRVAR(queue_doc, "Queue(maxsize=None, items=(), unfinished_tasks=None)\n--\n\n"
                        "A SimpleQueue that knows which items are done: task_done(), join(); and "
                        "can be shut down.\n\n"
                        "unfinished_tasks: how many items count as not done at the start; None: "
                        "all of them.\n\n"
                        "Switches: never. Threads: any.\n\n"
                        ">>> import fibril\n"
                        ">>> from fibril.queue import Queue\n"
                        ">>> queue = Queue(3)\n"
                        ">>> task = fibril.spawn(queue.get)\n"
                        ">>> queue.put('hello')\n"
                        ">>> task.get()\n"
                        "'hello'\n");
PyDoc_STRVAR(lifo_queue_doc, "LifoQueue(maxsize=None, items=(), unfinished_tasks=None)\n--\n\n"
                             "A Queue whose newest item comes first.\n\n"
                             "Switches: never. Threads: any.\n\n"
                             ">>> from fibril.queue import LifoQueue\n"
                             ">>> LifoQueue(items=[1, 2, 3]).get()\n"
                             "3\n");

#endif
