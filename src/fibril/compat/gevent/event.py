"""gevent.event, served by fibril."""

from fibril.event import AbstractLinkable, AsyncResult, Event

__all__ = ["AbstractLinkable", "AsyncResult", "Event"]
