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


def test_nothing_is_compiled_before_it_is_called() -> None:
    """Each method is compiled by its first call, and once."""
    kind = made()
    assert COMPILED == {}
    one, same = kind(x=1), kind(x=1)
    assert COMPILED == {"__init__": 1}
    assert one == same
    assert one == same
    assert repr(one) == repr(same)
    assert COMPILED == {"__init__": 1, "__eq__": 1, "__repr__": 1}


def test_it_is_made_and_refuses_to_be_made_as_ever() -> None:
    """Twice each, since the second call takes another way."""
    kind = made()
    for _ in range(2):
        with pytest.raises(
            TypeError, match=r"Named\.__init__\(\) missing 1 required keyword-only argument: 'x'"
        ):
            kind()
        with pytest.raises(TypeError, match=r"Named\.__init__\(\) got an unexpected keyword argument 'z'"):
            kind(x=1, z=1)
        with pytest.raises(TypeError, match=r"Named\.__init__\(\) takes 1 positional argument"):
            kind(1)


def test_defaults_are_made_anew_and_what_comes_after_is_done() -> None:
    """Also where a class that is none calls the one above it first, and where a field is called self."""

    @dataclasses.dataclass
    class Kept:
        self: int
        held: list[int] = dataclasses.field(default_factory=list)
        doubled: int = dataclasses.field(init=False)

        def __post_init__(self) -> None:
            self.doubled = 2 * vars(self)["self"]

    class Below(Kept):
        def __init__(self) -> None:
            super().__init__(3)

    below, one, other = Below(), Kept(1), Kept(self=2)
    one.held.append(1)
    assert (below.doubled, one.doubled, other.doubled) == (6, 2, 4)
    assert (below.held, one.held, other.held) == ([], [1], [])
    assert COMPILED == {"__init__": 1}


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
