"""Dataclasses whose methods are compiled when they are called are what they are otherwise."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from sidecar.cli import lazy_methods

pytestmark = pytest.mark.skipif(
    not hasattr(dataclasses, "_create_fn"), reason="this Python compiles a class's methods together"
)
COMPILED = Counter[str]()


@pytest.fixture(autouse=True)
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count what is compiled, and put it off."""
    own: Callable[..., Any] = vars(dataclasses)["_create_fn"]

    def compiler(name: str, *arguments: Any, **named: Any) -> Any:
        COMPILED[name] += 1
        return own(name, *arguments, **named)

    COMPILED.clear()
    monkeypatch.setattr(dataclasses, "_create_fn", compiler)
    lazy_methods.install()
    lazy_methods.install()  # once is enough


def made() -> type[Any]:
    """Make a class as ours are, and one below it."""

    @dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
    class Point:
        x: int
        y: int = 0

    @dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
    class Named(Point):
        name: str = "p"
        inner: Any = None

    for kind in (Point, Named):
        kind.__qualname__ = kind.__name__
        setattr(sys.modules[__name__], kind.__name__, kind)
    return Named


def test_only_what_makes_objects_is_compiled_at_once() -> None:
    """Each other method is compiled by its first call, and once."""
    kind = made()
    assert COMPILED == {"__init__": 2}
    one, same = kind(x=1), kind(x=1)
    assert one == same
    assert one == same
    assert repr(one) == repr(same)
    assert COMPILED == {"__init__": 2, "__eq__": 1, "__repr__": 1}


def test_it_compares_hashes_shows_and_refuses_as_ever() -> None:
    """Twice each, since the second call takes another way."""
    kind = made()
    one = kind(x=1, name="a")
    for _ in range(2):
        assert one == kind(x=1, name="a")
        assert one != kind(x=2, name="a")
        assert one != 1
        assert {one: 1}[kind(x=1, name="a")] == 1
        assert repr(one) == "Named(x=1, y=0, name='a', inner=None)"
        with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'x'"):
            one.x = 2
        with pytest.raises(dataclasses.FrozenInstanceError, match="cannot delete field 'y'"):
            del one.y
    assert (one.x, one.y) == (1, 0)


def test_the_base_class_has_methods_of_its_own() -> None:
    """A call on one class compiles nothing for the other, and neither takes the other's."""
    kind = made()
    base: Any = kind.__base__
    assert repr(kind(x=1)) == "Named(x=1, y=0, name='p', inner=None)"
    assert repr(base(x=1)) == "Point(x=1, y=0)"
    assert base(x=1) != kind(x=1)
    assert hash(base(x=1)) == hash(base(x=1, y=0))


def test_copies_and_pickles_are_equal() -> None:
    """They set what is frozen in a way of their own."""
    one = made()(x=1, name="a")
    assert copy.deepcopy(one) == one
    assert pickle.loads(pickle.dumps(one)) == one  # noqa: S301 - ours
    assert dataclasses.replace(one, x=3).x == 3


def test_one_within_itself_is_shown_with_an_end() -> None:
    """As dataclasses do, at the first time as well."""
    inner: list[Any] = []
    one = made()(x=1, inner=inner)
    inner.append(one)
    assert repr(one) == "Named(x=1, y=0, name='p', inner=[...])"
