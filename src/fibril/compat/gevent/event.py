"""gevent.event, served by fibril."""

from fibril.event import AsyncResult, Event

__all__ = ["AsyncResult", "Event"]
