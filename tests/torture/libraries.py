"""All libraries, by the name that is imported: see work.py."""

from tests.torture import formats, media, numerics, parsers, services, tables, trees
from tests.torture.work import LIBRARIES

MODULES = (formats, media, numerics, parsers, services, tables, trees)

__all__ = ["LIBRARIES"]
