"""gevent.event, served by weft."""

from weft.event import AsyncResult, Event

__all__ = ["AsyncResult", "Event"]
