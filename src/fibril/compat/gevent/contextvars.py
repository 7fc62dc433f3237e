"""gevent.contextvars, served by fibril: each fiber has a context of its own anyhow."""

from contextvars import Context, ContextVar, Token, copy_context

__all__ = ["Context", "ContextVar", "Token", "copy_context"]
