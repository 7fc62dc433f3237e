"""gevent._tracer, served by fibril."""

from fibril.inspect.tracer import GreenletTracer

__all__ = ["GreenletTracer"]
