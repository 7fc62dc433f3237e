"""Signals after the patch: a task's mask is its own; who waits for a signal lets others run."""

from tests.conftest import Interpreter

MASKS = """
    import fibril.monkey
    fibril.monkey.patch_all()
    import os, signal, subprocess, sys, threading, time, fibril

    def blocked():
        return sorted(signal.pthread_sigmask(signal.SIG_BLOCK, []))

    def in_thread(function):
        thread = threading.Thread(target=lambda: answers.append(function()))
        thread.start()
        thread.join()
        return answers.pop()

    answers = []
"""


def test_what_a_thread_that_is_a_task_blocks_is_blocked_for_no_other(
    interpreter: Interpreter,
) -> None:
    out = interpreter.out(
        MASKS
        + """
    def block():
        before = signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT, signal.SIGTERM])
        fibril.sleep(0)
        return before, len(blocked()), signal.SIGINT in blocked()

    before, count, has_int = in_thread(block)
    print(before, count == len(signal.valid_signals()) - 2, has_int, blocked())
    print(in_thread(blocked))
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"])
    child.terminate()
    print(child.wait() == -signal.SIGTERM)
    def refused():
        for how, mask in ((signal.SIG_BLOCK, [99]), (77, [])):
            try:
                signal.pthread_sigmask(how, mask)
            except (ValueError, OSError) as error:
                print(type(error).__name__)

    in_thread(refused)
    """
    )
    assert out == "set() True False []\n[]\nTrue\nValueError\nOSError\n"


def test_who_waits_for_a_blocked_signal_lets_others_run(interpreter: Interpreter) -> None:
    out = interpreter.out(
        MASKS
        + """
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    print(blocked() == [signal.SIGUSR1], signal.sigtimedwait([signal.SIGUSR1], 0.005))
    for wait in (signal.sigwait, lambda s: signal.Signals(signal.sigwaitinfo(s).si_signo),
                 lambda s: signal.Signals(signal.sigtimedwait(s, 20).si_signo)):
        fibril.spawn_later(0.005, os.kill, os.getpid(), signal.SIGUSR1)
        print(in_thread(lambda: wait([signal.SIGUSR1])).name)
    for bad in (lambda: signal.sigwait([99]), lambda: signal.sigtimedwait([signal.SIGUSR1], -1)):
        try:
            bad()
        except ValueError as error:
            print("refused")
    """
    )
    assert out == "True None\n" + "SIGUSR1\n" * 3 + "refused\n" * 2


def test_whoever_a_task_starts_begins_with_its_mask(interpreter: Interpreter) -> None:
    out = interpreter.out(
        MASKS
        + """
    import multiprocessing
    SHOW = "import signal; print(sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, []))))"
    COMMAND = [sys.executable, "-c", SHOW]

    def fork():
        pid = os.fork()
        if pid == 0:
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])  # its only thread's
            os.execv(sys.executable, COMMAND)
        os.waitpid(pid, 0)

    def start():
        signal.pthread_sigmask(signal.SIG_SETMASK, [signal.SIGUSR1, signal.SIGTERM])
        subprocess.run(COMMAND)
        subprocess.run(COMMAND, preexec_fn=lambda: None)
        os.waitpid(os.posix_spawn(sys.executable, COMMAND, os.environ), 0)
        os.waitpid(os.posix_spawnp(sys.executable, COMMAND, os.environ), 0)
        fork()
        process = multiprocessing.get_context("fork").Process(target=exec, args=(SHOW,))
        process.start()
        process.join()
        try:
            subprocess.run(["/no such program"])
        except OSError:
            return blocked()

    print(in_thread(start), blocked(), flush=True)
    subprocess.run(COMMAND)
    """,
        "-u",
    )
    inherited = ["[10, 15]"] * 4 + ["[1, 10, 15]", "[10, 15]"]
    main = "[<Signals.SIGUSR1: 10>, <Signals.SIGTERM: 15>] []"
    assert out.splitlines() == [*inherited, main, "[]"]


def test_pause_ends_when_a_handler_has_been_called(interpreter: Interpreter) -> None:
    out = interpreter.out(
        MASKS
        + """
    signal.signal(signal.SIGALRM, lambda *_: print("handler"))

    def send(number=signal.SIGALRM):
        fibril.spawn_later(0.005, os.kill, os.getpid(), number)

    others = fibril.spawn(lambda: [fibril.sleep(0.001) for _ in range(3)])
    others.rawlink(lambda _: signal.setitimer(signal.ITIMER_REAL, 0.005))
    print(signal.pause(), others.ready())
    send()
    print(in_thread(signal.pause), signal.alarm(0))
    watched = fibril.signal_handler(signal.SIGUSR1, print, "watched")
    send(signal.SIGUSR1)
    signal.pause()
    fibril.sleep(0)
    watched.cancel()
    send(signal.SIGINT)
    try:
        signal.pause()
    except KeyboardInterrupt:
        print("interrupted")
    paused = fibril.spawn(signal.pause)
    fibril.sleep(0)
    paused.kill()
    send()
    signal.pause()
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    child = os.fork()
    if child == 0:
        signal.pause()  # nobody handles anything, and that is no dead end
    os.kill(child, signal.SIGTERM)
    print(os.waitpid(child, 0)[1] == signal.SIGTERM)
    """
    )
    assert out.splitlines() == [
        *("handler", "None True", "handler", "None 0", "watched", "interrupted", "handler", "True")
    ]


def test_who_is_killed_while_he_waits_for_a_signal_leaves_it_and_no_descriptor(
    interpreter: Interpreter,
) -> None:
    out = interpreter.out(
        MASKS
        + """
    def descriptors():
        return len(os.listdir("/proc/self/fd"))

    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    signal.sigtimedwait([signal.SIGUSR1], 0.001)
    before = descriptors()
    waiting = [fibril.spawn(signal.sigwait, [signal.SIGUSR1]) for _ in range(3)]
    fibril.sleep(0)
    print(descriptors() - before)
    fibril.killall(waiting)
    os.kill(os.getpid(), signal.SIGUSR1)
    print(descriptors() - before, signal.sigwait([signal.SIGUSR1]).name)
    waiting = [fibril.spawn(signal.sigwait, [signal.SIGUSR1]) for _ in range(3)]
    for count in (1, 2, 3):
        fibril.sleep(0)
        os.kill(os.getpid(), signal.SIGUSR1)
        while sum(task.ready() for task in waiting) < count:
            fibril.sleep(0.001)
    print([task.value.name for task in waiting])
    """
    )
    assert out == "3\n0 SIGUSR1\n['SIGUSR1', 'SIGUSR1', 'SIGUSR1']\n"
