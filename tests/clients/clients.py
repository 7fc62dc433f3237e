"""All clients, by file: what must be installed for them, as it is imported, and their classes."""

from typing import NamedTuple


class Entry(NamedTuple):
    """One file beside this one."""

    server: str
    kinds: tuple[str, ...] = ("Own",)


CLIENTS = {
    "MySQLdb": Entry("mariadb"),
    "boto3": Entry("moto", ("Shared",)),
    "httpx": Entry("web", ("Own", "Shared")),
    "kazoo": Entry("zookeeper"),
    "ldap": Entry("slapd"),
    "ldap3": Entry("slapd", ("Own", "Async")),
    "paramiko": Entry("sshd", ("Own", "Shared")),
    "pika": Entry("rabbitmq"),
    "psycopg": Entry("postgres", ("Own", "Pool")),
    "psycopg2": Entry("postgres"),
    "pymemcache": Entry("memcached", ("Own", "Shared")),
    "pymysql": Entry("mariadb"),
    "redis": Entry("redis", ("Own", "Tls", "Shared", "Pipeline")),
    "requests": Entry("web", ("Own", "Tls", "Shared")),
    "urllib3": Entry("web", ("Own", "Tls", "LongTls", "Shared", "LongShared")),
}
# Which are not in the storm, and why.
CALM = {
    "psycopg.Pool": "who is killed while he waits for a connection of its pool is given one all"
    " the same, and nobody gives it back: it foresees KeyboardInterrupt there, but no other kill"
}
TLS_KINDS = ("Tls", "LongTls")
