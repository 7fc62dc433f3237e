"""fibril.time: the standard library's names, and a sleep that lets others run."""

import time as stdlib

from fibril import time


def test_it_offers_all_that_the_standard_library_has() -> None:
    offered = {name: getattr(time, name) for name in time.__all__}
    names = [name for name in vars(stdlib) if not name.startswith("_")]
    assert offered.pop("sleep") is not stdlib.sleep
    assert offered == {name: getattr(stdlib, name) for name in names if name != "sleep"}
