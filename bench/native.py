"""The benchmark programs in C: compiled when their source is newer, into build/bench/."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
BUILT = HERE.parent / "build" / "bench"
FLAGS = ("-std=c11", "-O2", "-Wall", "-Wextra", "-Werror")
# What each is made of; libraries last.
PROGRAMS = {
    "echo_client": ("echo_client.c", "wire_plain.c"),
    "echo_server": ("echo_server.c",),
    "connect_client": ("connect_client.c",),
    "accept_server": ("accept_server.c",),
    "http_client": ("http_client.c",),
}
TLS_CLIENT = "echo_client_tls"
TLS_PARTS = ("echo_client.c", "wire_tls.c", "-lssl", "-lcrypto")


def build() -> None:
    """Compile what is not up to date; a compiler's error ends the run."""
    for name, parts in PROGRAMS.items():
        _compile(name, parts)


def build_tls_client() -> Path:
    """The one program that needs OpenSSL's headers, for the one benchmark that needs it."""
    return _compile(TLS_CLIENT, TLS_PARTS)


def _compile(name: str, parts: tuple[str, ...]) -> Path:
    BUILT.mkdir(parents=True, exist_ok=True)
    program = BUILT / name
    sources = [HERE / part for part in parts if not part.startswith("-")]
    newest = max(path.stat().st_mtime for path in (*sources, *HERE.glob("*.h")))
    if not program.exists() or program.stat().st_mtime < newest:
        compiler = os.environ.get("CC", "cc").split()
        libraries = [part for part in parts if part.startswith("-")]
        command = [*compiler, *FLAGS, "-o", program, *sources, *libraries]
        subprocess.run([str(word) for word in command], check=True)
    return program


def certificate() -> Path:
    """A key and a certificate that nobody trusts, made once, by OpenSSL's program."""
    path = BUILT / "server.pem"
    if not path.exists():
        BUILT.mkdir(parents=True, exist_ok=True)
        kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        names = ["-subj", "/CN=localhost", "-days", "3650"]
        key, made = path.with_suffix(".key"), path.with_suffix(".crt")
        out = ["-keyout", str(key), "-out", str(made)]
        subprocess.run(
            ["openssl", "req", "-x509", *kind, *names, *out], check=True, capture_output=True
        )
        path.write_bytes(key.read_bytes() + made.read_bytes())
    return path
