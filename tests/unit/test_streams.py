"""File objects after the patch: who waits in one lets others run, tasks take turns in it, and who
is struck in the middle leaves no byte lost or doubled."""

import textwrap

import pytest

from tests.conftest import Interpreter

PATCHED = """
    import fibril.monkey
    fibril.monkey.patch_all()
    import io, os, socket, sys, threading, time
    import fibril
    from fibril import GreenletExit, Timeout, sleep, spawn

    def tell(*args):
        native = " ".join(map(str, args)) + chr(10)
        os.write(2, native.encode())

    def pipe(mode="b", **options):
        reader, writer = os.pipe()
        return open(reader, "r" + mode, **options), open(writer, "w" + mode, **options)

    def raises(call, *args):
        try:
            call(*args)
        except BaseException as error:
            return type(error).__name__
        return None

    def drain(reader, count):
        "Slowly, by the descriptor."
        parts = []
        while count > 0:
            parts.append(os.read(reader.fileno(), min(count, 4096)))
            count -= len(parts[-1])
            sleep(0)
        return b"".join(parts)
"""


def run(interpreter: Interpreter, program: str) -> list[str]:
    text = textwrap.dedent(PATCHED) + textwrap.dedent(program)
    finished = interpreter.run(text)
    assert finished.status == 0, finished.err
    return finished.err.splitlines()


def test_two_tasks_write_to_one_file_of_a_socket(interpreter: Interpreter) -> None:
    told = run(
        interpreter,
        """
        a, b = socket.socketpair()
        file = a.makefile("wb")
        tasks = [spawn(lambda c=c: (file.write(c * 500_000), file.flush())) for c in (b"x", b"y")]
        got = drain(b, 1_000_000)
        fibril.joinall(tasks, raise_error=True)
        tell(got == b"x" * 500_000 + b"y" * 500_000)
        """,
    )
    assert told == ["True"]


def test_files_of_fibrils_sockets_need_no_patch(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import fibril
        from fibril import socket, spawn

        a, b = socket.socketpair()
        file = a.makefile("w")
        tasks = [spawn(lambda c=c: (file.write(c * 500_000), file.flush())) for c in "xy"]
        got = b""
        while len(got) < 1_000_000:
            got += b.recv(65536)
        fibril.joinall(tasks, raise_error=True)
        print(got == b"x" * 500_000 + b"y" * 500_000)
        """)
    assert out == "True\n"


def test_what_100_tasks_print_and_log_into_a_slow_pipe_is_whole(interpreter: Interpreter) -> None:
    told = run(
        interpreter,
        """
        import logging
        reader, writer = pipe("", buffering=1)
        sys.stdout = writer
        logging.basicConfig(stream=writer, format="%(message)s", level="INFO")

        def work(number):
            for i in range(20):
                print("print", number, i, "x" * 100)
                logging.info("log %d %d %s", number, i, "y" * 100)

        tasks = [spawn(work, number) for number in range(100)]
        lines = []
        while len(lines) < 4000:
            lines.append(reader.readline())
            if len(lines) % 500 == 0:
                sleep(0.001)
        fibril.joinall(tasks, raise_error=True)
        wanted = [f"print {n} {i} " + "x" * 100 for n in range(100) for i in range(20)]
        wanted += [f"log {n} {i} " + "y" * 100 for n in range(100) for i in range(20)]
        tell(sorted(lines) == sorted(line + chr(10) for line in wanted))
        """,
    )
    assert told == ["True"]


@pytest.mark.parametrize("buffer", ["", "b"])
def test_who_is_killed_in_a_write_leaves_what_was_accepted(
    interpreter: Interpreter, buffer: str
) -> None:
    """Earlier calls have accepted the x; of the y there may be a part, from the beginning."""
    told = run(
        interpreter,
        f"""
        reader, writer = pipe("{buffer}")
        x, y, z = ("x", "y", "z") if not "{buffer}" else (b"x", b"y", b"z")
        for amount in (1, 5_000, 100_000):
            while len(os.read(reader.fileno(), 65536)) == 65536 if amount > 1 else False:
                pass
            filler = spawn(os.write, writer.fileno(), b"-" * 65536)
            filler.join()
            writer.write(x * 3000)
            task = spawn(lambda: (writer.write(y * amount), writer.flush()))
            sleep(0.001)
            task.kill()
            tell(task.successful(), drain(reader, 65536) == b"-" * 65536)
            writer.write(z)
            done = spawn(writer.flush)
            rest = drain(reader, 3000)
            while not rest.endswith(b"z") or not done.ready():
                rest += drain(reader, 1)
            middle = rest[3000:-1]
            tell(rest[:3000] == b"x" * 3000, set(middle) <= set(b"y"), len(middle) <= amount)
            if "{buffer}" == "":
                tell(len(middle) == amount)  # the text was taken
            os.write(writer.fileno(), b"end")
        """,
    )
    lines = ["True True", "True True True", *(["True"] if not buffer else [])]
    assert told == lines * 3


def test_who_is_late_in_a_flush_leaves_the_bytes_in_the_buffer(interpreter: Interpreter) -> None:
    told = run(
        interpreter,
        """
        for mode in ("", "b"):
            reader, writer = pipe(mode)
            os.write(writer.fileno(), b"-" * 65536)
            writer.write("abc" * 1000 if not mode else b"abc" * 1000)
            for _ in range(3):
                with Timeout(0.001, False):
                    writer.flush()
                    tell("flushed")
            tell(drain(reader, 65536) == b"-" * 65536)
            writer.close()
            tell(reader.buffer.read() == b"abc" * 1000 if not mode else
                 reader.read() == b"abc" * 1000)
        """,
    )
    assert told == ["True"] * 4


def test_who_is_late_in_a_read_has_used_nothing_up(interpreter: Interpreter) -> None:
    told = run(
        interpreter,
        """
        def late(call, *args):
            with Timeout(0.001, False):
                return call(*args)
            return "late"

        for mode in ("b", ""):
            data = (lambda text: text.encode()) if mode else (lambda text: text)
            reader, writer = pipe(mode, **({} if mode else {"encoding": "utf-8"}))
            for call, args in ((reader.readline, ()), (reader.read, (12,)), (next, (reader,))):
                writer.write(data("hello"))
                writer.flush()
                tell(late(call, *args), late(call, *args))
                writer.write(data(", you" + chr(10) + chr(10)))
                writer.flush()
                tell(late(call, *args) == data("hello, you" + chr(10) + chr(10))[:12 if
                     call == reader.read else 11])
                if call != reader.read:
                    tell(reader.readline() == data(chr(10)))
            writer.write(data("to the "))
            writer.flush()
            tell(late(reader.read))
            writer.write(data("end"))
            writer.close()
            tell(reader.read() == data("to the end"))

        a, b = socket.socketpair()
        reader = a.makefile("rb")
        into = bytearray(8)
        for call, args in ((reader.readline, ()), (reader.readinto, (into,)), (reader.peek, ())):
            b.sendall(b"hel")
            if call == reader.peek:
                tell(reader.peek(), reader.read(3))
            tell(late(call, *args))
            b.sendall(b"lo..." + bytes([10]))
            tell(reader.readline())
        """,
    )
    newline = b"\n"
    per_mode = ["late late", "True", "True", "late late", "True", "late late", "True", "True"]
    assert told[:20] == [*per_mode, "late", "True"] * 2
    assert told[20:] == [
        "late",
        str(b"hello..." + newline),
        "late",
        str(b"hello..." + newline),
        "b'hel' b'hel'",
        "late",
        str(b"lo..." + newline),
    ]


def test_a_file_may_be_closed_while_others_wait_in_it(interpreter: Interpreter) -> None:
    """Who waits to read is told; what others write is written first."""
    told = run(
        interpreter,
        """
        for mode in ("b", ""):
            reader, writer = pipe(mode)
            task = spawn(raises, reader.readline)
            other = spawn(raises, reader.readline)
            sleep(0.001)
            reader.close()
            tell(task.get(), other.get(), reader.closed)

            reader, writer = pipe("b")
            task = spawn(writer.write, b"x" * 100_000)
            sleep(0.001)
            closing = spawn(writer.close)
            late = spawn(raises, writer.write, b"y")
            sleep(0.001)
            tell(writer.closed, drain(reader, 100_000) == b"x" * 100_000)
            tell(task.get(), closing.get(), late.get(), reader.read())
        """,
    )
    assert told == ["OSError ValueError True", "False True", "100000 None ValueError b''"] * 2


def test_types_and_signatures_stay_what_they_are(interpreter: Interpreter) -> None:
    told = run(
        interpreter,
        """
        import inspect
        reader, writer = pipe("")
        tell(type(writer) is io.TextIOWrapper, type(writer.buffer) is io.BufferedWriter)
        tell(inspect.signature(io.BufferedWriter.write), inspect.signature(writer.readline))
        tell(type(io.FileIO.write).__name__, type(print).__name__, print.__module__)
        tell(raises(lambda: io.BufferedWriter.write(3, b"x")), raises(writer.write, 1, 2, 3))
        tell(raises(writer.write, b"x"), raises(writer.buffer.write, "x"))
        tell(raises(reader.buffer.raw.readinto, 3), raises(writer.buffer.raw.read, 3))
        tell(raises(lambda: print("x", fil=3)), raises(lambda: print(file=3)))

        class Own(io.TextIOWrapper):
            def write(self, text):
                return super().write(text.upper())
        own = Own(writer.detach(), line_buffering=True)
        print("hello", file=own)
        tell(repr(reader.readline()), os.get_blocking(reader.fileno()))
        """,
    )
    assert told == [
        "True True",
        "(self, buffer, /) (size=-1, /)",
        "method_descriptor builtin_function_or_method builtins",
        "TypeError TypeError",
        "TypeError TypeError",
        "TypeError UnsupportedOperation",
        "TypeError AttributeError",
        r"'HELLO\n' True",
    ]


def test_a_signal_handler_may_print_while_main_waits_in_print(interpreter: Interpreter) -> None:
    told = run(
        interpreter,
        """
        import signal
        reader, writer = pipe("", buffering=1)
        os.write(writer.fileno(), b"-" * 65536)
        signal.signal(signal.SIGUSR1, lambda *args: print("in the handler", file=writer))

        def read():
            os.kill(os.getpid(), signal.SIGUSR1)
            sleep(0.001)
            tell(drain(reader, 65536) == b"-" * 65536)

        task = spawn(read)
        print("in main", file=writer)
        tell(reader.readline().strip(), ",", reader.readline().strip())
        """,
    )
    assert told == ["True", "in main , in the handler"]


def test_a_child_may_print_though_another_task_was_printing(interpreter: Interpreter) -> None:
    told = run(
        interpreter,
        """
        reader, writer = pipe("", buffering=1)
        other_reader, other_writer = os.pipe()
        os.write(writer.fileno(), b"-" * 65536)
        task = spawn(lambda: print("x" * 3000, file=writer))
        waiting = spawn(lambda: print("y", file=writer))
        sleep(0.001)
        pid = os.fork()
        if pid == 0:
            os.dup2(other_writer, writer.fileno())
            print("of the child", file=writer)
            os._exit(0)
        tell(os.waitpid(pid, 0)[1])
        os.close(other_writer)
        tell(b"of the child" in os.read(other_reader, 65536))
        drain(reader, 65536)
        tell(reader.readline() == "x" * 3000 + chr(10), reader.readline() == "y" + chr(10))
        """,
    )
    assert told == ["0", "True", "True True"]


def test_a_file_that_nobody_has_any_more_is_flushed(interpreter: Interpreter) -> None:
    told = run(
        interpreter,
        """
        import warnings
        warnings.simplefilter("ignore")
        reader, writer = os.pipe()
        os.write(writer, b"-" * 65536)
        raw = open(reader, "rb", buffering=0)
        task = spawn(lambda: open(os.dup(writer), "w").write("x" * 5000))
        sleep(0.001)
        tell(task.ready(), drain(raw, 70536) == b"-" * 65536 + b"x" * 5000)
        tell(task.get())
        """,
    )
    assert told == ["False True", "5000"]


def test_at_the_end_of_the_program_all_is_written(interpreter: Interpreter) -> None:
    """Though the pipe is slow, and a daemon thread waits in the file for ever."""
    told = run(
        interpreter,
        """
        import subprocess
        program = '''if True:
            import fibril.monkey; fibril.monkey.patch_all()
            import threading, time
            def work():
                while True:
                    time.sleep(0.001)
                    print("daemon")
            threading.Thread(target=work, daemon=True).start()
            for i in range(1000):
                print("x" * 200)
            print("done")
        '''
        child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
        time.sleep(0.2)
        got = child.stdout.read().split()
        tell(got.count(b"x" * 200), got.count(b"done"), set(got) - {b"x" * 200, b"done"} in
             (set(), {b"daemon"}), child.wait())
        """,
    )
    assert told == ["1000 1 True 0"]


def test_a_non_blocking_descriptor_answers_at_once(interpreter: Interpreter) -> None:
    told = run(
        interpreter,
        """
        reader, writer = pipe("b", buffering=4096)
        os.set_blocking(reader.fileno(), False)
        os.set_blocking(writer.fileno(), False)
        tell(reader.read(3), reader.raw.read(), raises(writer.write, b"x" * 1_000_000))
        os.set_blocking(reader.fileno(), True)
        drain(reader, 65536)
        writer.close()
        """,
    )
    assert told == ["None None BlockingIOError"]


def test_pipes_of_children_let_others_run(interpreter: Interpreter) -> None:
    told = run(
        interpreter,
        """
        import subprocess
        turns = 0

        def count():
            global turns
            while True:
                time.sleep(0.0005)
                turns += 1

        threading.Thread(target=count, daemon=True).start()

        def waits(act):
            before = turns
            answer = act()
            return answer, turns > before + 2

        def talk():
            "Closes what it reads, as os.popen's file does."
            with os.popen("sleep 0.02; echo hello") as file:
                return file.read(), file.close()

        def ask():
            cat = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            spawn(lambda: (sleep(0.01), cat.stdin.write(b"question"), cat.stdin.close()))
            answer = cat.stdout.read()
            cat.stdout.close()
            return answer, cat.wait()

        tell(waits(talk), waits(ask))
        """,
    )
    assert told == ["(('hello\\n', None), True) ((b'question', 0), True)"]
