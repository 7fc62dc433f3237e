"""gevent._config, served by weft."""

from weft.config import Config, config

__all__ = ["Config", "config"]
