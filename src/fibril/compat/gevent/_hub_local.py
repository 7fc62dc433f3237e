"""gevent._hub_local, served by fibril."""

from fibril.hub import (
    get_hub,
    get_hub_class,
    get_hub_if_exists,
    get_loop,
    set_default_hub_class,
    set_hub,
)
from fibril.hub import get_hub as get_hub_noargs

__all__ = [
    "get_hub",
    "get_hub_class",
    "get_hub_if_exists",
    "get_hub_noargs",
    "get_loop",
    "set_default_hub_class",
    "set_hub",
]
