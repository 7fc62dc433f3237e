"""What `make api-diff` takes for a difference, and what it says of reasons that are not true."""

from typing import Any

import pytest

from tests.api import api_diff, describe
from tests.api.compare import Difference, Reason, differences, judge, refusals


def one(value: Any) -> dict[str, Any]:
    return describe.Describer().value(value, "m:name")


def found(theirs: Any, ours: Any) -> list[str]:
    """The differences between two functions or classes."""
    real, served = ({"m": {"name": one(each)}} for each in (theirs, ours))
    real["m"]["name"]["home"] = "gevent.m"
    return [str(each) for each in differences(real, served)]


def plain(fn: Any, item: object, block: bool = True, timeout: float | None = None) -> None:
    """As gevent's functions are."""


class TestSignatures:
    @pytest.mark.parametrize(
        "ours",
        [
            plain,
            lambda fn, item, block=True, timeout=None, *, more=1: None,
            lambda fn, item=None, block=True, timeout=None, *others: None,
            lambda *args, **kwargs: None,
        ],
    )
    def test_what_takes_as_much_is_no_difference(self, ours: Any) -> None:
        assert found(plain, ours) == []

    @pytest.mark.parametrize(
        ("ours", "message"),
        [
            (lambda fn, item, block=True: None, "timeout not by position, timeout not by name"),
            (
                lambda fn, item, /, block=True, timeout=None: None,
                "fn not by name, item not by name",
            ),
            (lambda fn, item, block=True, *, timeout=None: None, "timeout not by position"),
            (lambda fn, thing, block=True, timeout=None: None, "item not by name"),
            (lambda fn, block, item=True, timeout=None: None, "block in the place of item"),
            (lambda fn, item, block=False, timeout=None: None, "block is False by default"),
            (lambda fn, item, block, timeout: None, "block must be given, timeout must be given"),
            (lambda fn, item, block=True, timeout=None, *, more: None, "more must be given"),
        ],
    )
    def test_what_takes_less_is_told(self, ours: Any, message: str) -> None:
        [difference] = found(plain, ours)
        assert difference.startswith(f"m:name: {message}")
        assert "(fn, item, block=True, timeout=None) there, " in difference

    def test_stars_and_names_are_wanted_where_they_are_there(self) -> None:
        theirs = describe.parameters(lambda *args, key=1, **kwargs: None)
        assert theirs is not None
        for ours, refused in (
            (lambda *args, key=1, **kwargs: None, []),
            (lambda *args, key=1: None, ["no **"]),
            (lambda key=1, **kwargs: None, ["no *"]),
            (lambda *args: None, ["key not by name", "no **"]),
        ):
            parameters = describe.parameters(ours)
            assert parameters is not None
            assert list(refusals(theirs, parameters)) == refused

    def test_a_default_that_is_no_plain_value_is_not_compared(self) -> None:
        assert found(lambda a=plain: None, lambda a=found: None) == []
        assert found(lambda a, _more=1: None, lambda a: None) == []  # for itself
        assert found(lambda a=(1, "x"): None, lambda a=(1, "y"): None) != []


class Theirs(Exception):
    """Some attributes, and what it is."""

    count = 0

    def __enter__(self) -> None:
        """It is a context."""

    def get(self, block: bool = True) -> None:
        """Its self is not compared."""

    @classmethod
    def make(cls, seconds: float) -> None:
        """Nor is this one's class."""


class TestClasses:
    def test_attributes_are_compared_by_name_kind_and_signature(self) -> None:
        class Ours(Exception):
            get = 1

            @staticmethod
            def make(secs: float) -> None:
                """With another name."""

        assert found(Theirs, Theirs) == []
        assert found(Theirs, Ours) == [
            "m:name.__enter__: there is no such method",
            "m:name.count: there is no such value",
            "m:name.get: it is no method here",
            "m:name.make: seconds not by name: (seconds) there, (secs) here",
        ]

    def test_who_catches_one_catches_the_other(self) -> None:
        class Ours(BaseException):
            count, get, make, __enter__ = 0, Theirs.get, Theirs.make, Theirs.__enter__

        assert found(Theirs, Ours) == ["m:name: it is no Exception here"]

    def test_a_class_is_not_served_by_a_function(self) -> None:
        assert found(Theirs, len) == ["m:name: it is a function here, and no class"]


class TestModules:
    def test_what_is_not_there_is_told_by_kind(self) -> None:
        real = {"m": {"fn": one(plain) | {"home": "gevent.m"}, "N": one(1)}, "n": {}, "away": None}
        assert differences(real, {"m": {}, "away": None}) == [
            Difference("m:fn", "there is no such function"),
            Difference("m:N", "there is no such value"),
            Difference("n", "there is no such module"),
        ]

    def test_what_a_module_has_merely_imported_does_not_count(self) -> None:
        for home, is_told in (
            ("gevent.hub", True),
            ("functools", False),
            ("gevent._compat", False),
        ):
            real = {"m": {"fn": one(plain) | {"home": home}}}
            assert bool(differences(real, {"m": {}})) == is_told

    def test_a_module_is_described_by_its_public_names(self) -> None:
        names = describe.Describer().module("tests.api.compare")
        assert names is not None
        assert {"Difference", "judge", "POSITIONAL"} <= set(names)
        assert describe.Describer().module("no_such_module") is None

    def test_what_has_several_names_is_looked_at_once(self) -> None:
        describer = describe.Describer()
        real = {"m": {name: describer.value(plain, f"m:{name}") for name in ("a", "b")}}
        for each in real["m"].values():
            each["home"] = "gevent.m"
        served = {"m": {name: one(lambda: None) for name in ("a", "b")}}
        assert [each.place for each in differences(real, served)] == ["m:a"]
        assert [each.place for each in differences(real, {"m": {}})] == ["m:a", "m:b"]


class TestReasons:
    FOUND = (Difference("m:a", "x"), Difference("m:b", "y"), Difference("n", "z"))

    def test_each_difference_needs_one(self) -> None:
        judgement = judge(self.FOUND, [Reason(("m:a", "n"), "why"), Reason(("o",), "gone")])
        assert judgement.unexplained == [self.FOUND[1]]
        assert judgement.explained == [(self.FOUND[0], "why"), (self.FOUND[2], "why")]
        assert judgement.stale == ["o"]

    def test_a_pattern_stands_for_several(self) -> None:
        judgement = judge(self.FOUND, [Reason(("m:*", "m:b"), "why"), Reason(("n",), "n")])
        assert (judgement.unexplained, judgement.stale) == ([], [])

    def test_what_is_wrong_is_said_and_what_to_do(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert not api_diff.report(judge(self.FOUND, [Reason(("o",), "r"), Reason(("n",), "why")]))
        assert capsys.readouterr().out.splitlines() == [
            "--- why",
            "  n: z",
            "! m:a: x. Serve it, or say in tests/api/known.toml why not.",
            "! m:b: y. Serve it, or say in tests/api/known.toml why not.",
            "! o: known.toml has a reason for it, and it does not differ. Take it out.",
        ]
        assert api_diff.report(judge((), ()))

    def test_reasons_may_be_for_some_versions(self) -> None:
        assert api_diff.as_version("3.9") < api_diff.as_version("3.13")
        assert api_diff.reasons((3, 11))


def test_the_real_ones_differ_only_where_that_has_a_reason() -> None:
    real = api_diff.ask_real()
    assert len(real) > 40
    judgement = judge(differences(real, api_diff.ask("served", *real)), api_diff.reasons())
    assert [str(each) for each in judgement.unexplained] == []
    assert judgement.stale == []
