"""The servers that the clients talk to: Debian's, started by the tests, each in its own folder.

Never one that runs already: its limits may be too low, and its data are somebody's. Each listens on
a free port of 127.0.0.1, behind a relay (relay.py), and ends with the tests, in whatever way these
end (keeper.py).
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.clients.client import Place

TOP = Path(__file__).parents[2]
LIMIT_S = 150.0  # until a server answers; RabbitMQ takes 8, and has taken 65 at a load of 25
PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
ENTRIES = 1000  # in slapd


class Missing(Exception):
    """What a server needs is not there."""


class Server(NamedTuple):
    """How one is started: `start(folder, port)` gives the command."""

    start: Callable[[Path, int], Sequence[object]]
    package: str = ""  # Debian's; without one it comes with the dependency group `clients`
    ending: str = "SIGKILL"  # there is nothing that it should save


# ---- each of them ----


def find(name: str, *places: str) -> str:
    """The path of a program."""
    found = shutil.which(name, path=os.pathsep.join((*places, PATH)))
    if found is None:
        raise Missing(f"no {name} here")
    return found


def as_user(name: str, folder: Path) -> list[object]:
    """Servers that refuse to be root's are somebody else's, and so is their folder."""
    if os.getuid():
        return []
    shutil.chown(folder, name, name)
    return [find("setpriv"), f"--reuid={name}", f"--regid={name}", "--clear-groups"]


def run(folder: Path, *command: object, **more: str) -> None:
    """What must be done before the server starts."""
    done = subprocess.run(
        [str(each) for each in command],
        cwd=folder,
        env={**os.environ, "TMPDIR": str(folder), **more},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{command}: exit status {done.returncode}\n{done.stderr[-2000:]}")


def web(folder: Path, port: int) -> Sequence[object]:
    return sys.executable, "-m", "tests.clients.web", port


def moto(folder: Path, port: int) -> Sequence[object]:
    return sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", port


def redis(folder: Path, port: int) -> Sequence[object]:
    return (
        *(find("redis-server"), "--port", port, "--bind", "127.0.0.1", "--dir", folder),
        *("--save", "", "--maxclients", 1000),
    )


def memcached(folder: Path, port: int) -> Sequence[object]:
    return find("memcached"), "-u", "nobody", "-l", "127.0.0.1", "-p", port, "-U", 0, "-c", 1000


def postgres(folder: Path, port: int) -> Sequence[object]:
    places = [str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"))[::-1]]
    user = as_user("postgres", folder)
    data = folder / "data"
    run(
        folder,
        *(*user, find("initdb", *places), "-D", data, "-U", "fibril", "-A", "trust"),
        *("--no-sync", "-E", "UTF8", "--locale=C"),
    )
    settings = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "max_connections": 300,
        "fsync": "off",
    }
    options = [option for pair in settings.items() for option in ("-c", "{}={}".format(*pair))]
    return *user, find("postgres", *places), "-D", data, "-p", port, *options


def mariadb(folder: Path, port: int) -> Sequence[object]:
    data = folder / "data"
    user = [] if os.getuid() else ["--user=mysql"]
    as_user("mysql", folder)
    run(
        folder,
        *(find("mariadb-install-db"), "--no-defaults", f"--datadir={data}", *user),
        *("--auth-root-authentication-method=normal", "--skip-test-db"),
    )
    return (
        *(find("mariadbd"), "--no-defaults", f"--datadir={data}", *user, f"--port={port}"),
        *("--bind-address=127.0.0.1", f"--socket={folder}/socket", f"--pid-file={folder}/pid"),
        *(
            "--skip-grant-tables",
            "--skip-networking=0",
            "--max-connections=400",
            "--connect-timeout=60",
        ),
    )


def sshd(folder: Path, port: int) -> Sequence[object]:
    if not os.getuid():
        Path("/run/sshd").mkdir(exist_ok=True)  # where Debian's changes its root to
    for name in ("host", "user"):
        run(folder, find("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", folder / name)
    # HOME: with their own, shells would read what their user wants them to do first.
    settings = f"""
        ListenAddress 127.0.0.1:{port}
        HostKey {folder}/host
        AuthorizedKeysFile {folder}/user.pub
        PidFile none
        StrictModes no
        UsePAM no
        PermitRootLogin yes
        MaxStartups 1000
        MaxSessions 100
        SetEnv HOME={folder}
    """
    (folder / "config").write_text(settings, encoding="utf-8")
    return find("sshd"), "-D", "-e", "-f", folder / "config"


def slapd(folder: Path, port: int) -> Sequence[object]:
    schema = Path("/etc/ldap/schema")
    settings = f"""
include {schema}/core.schema
modulepath /usr/lib/ldap
moduleload back_mdb
database mdb
suffix dc=fibril
rootdn cn=admin,dc=fibril
rootpw secret
directory {folder}
index cn eq
"""
    entries = "dn: dc=fibril\nobjectClass: dcObject\nobjectClass: organization\no: x\ndc: fibril\n"
    for number in range(ENTRIES):
        entries += f"\ndn: cn=n{number},dc=fibril\nobjectClass: person\ncn: n{number}\nsn: x\n"
    (folder / "config").write_text(settings, encoding="utf-8")
    (folder / "entries").write_text(entries, encoding="utf-8")
    run(folder, find("slapadd"), "-q", "-f", folder / "config", "-l", folder / "entries")
    return find("slapd"), "-d", "0", "-f", folder / "config", "-h", f"ldap://127.0.0.1:{port}"


def rabbitmq(folder: Path, port: int) -> Sequence[object]:
    settings = f"listeners.tcp.default = 127.0.0.1:{port}\nlog.file = false\nlog.console = true\n"
    (folder / "rabbitmq.conf").write_text(settings, encoding="utf-8")
    (folder / "plugins").write_text("[].\n", encoding="utf-8")
    scripts = [str(path) for path in Path("/usr/lib/rabbitmq/lib").glob("*/sbin")]
    variables = {
        "RABBITMQ_NODENAME": f"fibril{port}@localhost",
        "RABBITMQ_MNESIA_BASE": folder,
        "RABBITMQ_LOG_BASE": folder,
        "RABBITMQ_CONFIG_FILE": folder / "rabbitmq.conf",
        "RABBITMQ_ENABLED_PLUGINS_FILE": folder / "plugins",
        "RABBITMQ_PID_FILE": folder / "pid",
        "RABBITMQ_DIST_PORT": free_port(),
        "ERL_EPMD_PORT": free_port(),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_IP_ADDRESS": "",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",  # it need not be fast
        "HOME": folder,
        "LC_ALL": "C.UTF-8",
    }
    # Beside the broker runs who answers what is asked by way of it.
    answerer = f"{sys.executable} -m tests.clients.answerer {port}"
    both = f"{answerer} & exec {find('rabbitmq-server', *scripts)}"
    return "env", *map("{}={}".format, *zip(*variables.items(), strict=True)), "sh", "-c", both


def zookeeper(folder: Path, port: int) -> Sequence[object]:
    settings = f"""
tickTime=500
dataDir={folder}
clientPort={port}
clientPortAddress=127.0.0.1
admin.enableServer=false
maxClientCnxns=0
maxSessionTimeout=60000
"""
    (folder / "config").write_text(settings, encoding="utf-8")
    archives = sorted(Path("/usr/share/java").glob("*.jar"))
    if not any(path.name == "zookeeper.jar" for path in archives):
        raise Missing("no zookeeper.jar here")
    path = ":".join(map(str, ("/etc/zookeeper/conf", *archives)))
    main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
    return find("java"), "-Xmx256m", "-cp", path, main, folder / "config"


SERVERS = {
    "web": Server(web),
    "moto": Server(moto),
    "redis": Server(redis, "redis-server"),
    "memcached": Server(memcached, "memcached"),
    "postgres": Server(postgres, "postgresql", "SIGINT"),  # it gives its shared memory back
    "mariadb": Server(mariadb, "mariadb-server"),
    "sshd": Server(sshd, "openssh-server"),
    "slapd": Server(slapd, "slapd"),
    "rabbitmq": Server(rabbitmq, "rabbitmq-server"),
    "zookeeper": Server(zookeeper, "zookeeper"),
}


# ---- what all have ----


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def keep(
    folder: Path, ending: str, command: Sequence[object], **pipes: int
) -> subprocess.Popen[str]:
    """Start it under a keeper, which ends when its stdin is closed; what it says: folder/log."""
    keeper = [sys.executable, "-m", "tests.clients.keeper", str(folder), ending]
    with open(folder / "log", "ab") as log:
        return subprocess.Popen(
            [*keeper, *map(str, command)],
            cwd=TOP,
            env={**os.environ, "TMPDIR": str(folder)},
            stdin=subprocess.PIPE,
            stdout=pipes.get("stdout", log),
            stderr=log,
            text=True,
        )


def last_words(folder: Path) -> str:
    return (folder / "log").read_text(encoding="utf-8", errors="replace")[-2000:]


def wait_until_open(port: int, process: subprocess.Popen[str], folder: Path) -> None:
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended:\n{last_words(folder)}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"the server is not there after {LIMIT_S} s:\n{last_words(folder)}")


@contextmanager
def new_folder() -> Iterator[Path]:
    """A folder that others may look into: a server may be another user. The keeper deletes it."""
    path = Path(tempfile.mkdtemp(prefix="fibril-clients-"))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)  # where no keeper was started


def close(process: subprocess.Popen[str]) -> None:
    """Let the keeper end what it keeps."""
    assert process.stdin
    process.stdin.close()
    if process.stdout:
        process.stdout.close()
    process.wait(LIMIT_S)


@contextmanager
def relayed(port: int, certificate: str = "") -> Iterator[tuple[int, int]]:
    """The relay in front of it: its port, and that of who tells what it has counted."""
    with new_folder() as folder:
        command = [sys.executable, "-u", "-m", "tests.clients.relay", port]
        command += [certificate] if certificate else []
        process = keep(folder, "SIGKILL", command, stdout=subprocess.PIPE)
        try:
            assert process.stdout
            words = process.stdout.readline().split()
            if not words:
                raise RuntimeError(f"the relay ended:\n{last_words(folder)}")
            yield int(words[0]), int(words[1])
        finally:
            close(process)


@contextmanager
def running(name: str) -> Iterator[tuple[int, Path]]:
    """A server: its port and its folder. Raises Missing, with what to do."""
    server = SERVERS[name]
    with new_folder() as folder:
        port = free_port()
        try:
            command = server.start(folder, port)
        except Missing as missing:
            raise Missing(f"{missing} (Debian: apt install {server.package})") from None
        process = keep(folder, server.ending, command)
        try:
            wait_until_open(port, process, folder)
            yield port, folder
        finally:
            close(process)


class Park:
    """The servers that were asked for, each started once."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._started: dict[str, tuple[int, Path]] = {}
        self._places: dict[tuple[str, bool], Place] = {}
        self._missing: dict[str, Missing] = {}

    def place(self, name: str, has_tls: bool) -> Place:
        """Where it is to be found, behind a relay."""
        if (name, has_tls) not in self._places:
            self._places[name, has_tls] = self._make_place(name, has_tls)
        return self._places[name, has_tls]

    def _make_place(self, name: str, has_tls: bool) -> Place:
        port, folder = self._server(name)
        authority, certificate = self._certificates() if has_tls else ("", "")
        relay = self._stack.enter_context(relayed(port, certificate))
        echo = self._stack.enter_context(relayed(0))[0] if name == "sshd" else 0
        return Place(*relay, authority, str(folder), echo)

    def _server(self, name: str) -> tuple[int, Path]:
        if name in self._missing:
            raise self._missing[name]
        if name not in self._started:
            try:
                self._started[name] = self._stack.enter_context(running(name))
            except Missing as missing:
                self._missing[name] = missing
                raise
        return self._started[name]

    def _certificates(self) -> tuple[str, str]:
        import trustme

        folder = self._stack.enter_context(new_folder())
        authority = trustme.CA()
        certificate = authority.issue_cert("127.0.0.1", "localhost")
        authority.cert_pem.write_to_path(folder / "authority.pem")
        certificate.private_key_and_cert_chain_pem.write_to_path(folder / "certificate.pem")
        return str(folder / "authority.pem"), str(folder / "certificate.pem")

    def close(self) -> None:
        self._stack.close()
