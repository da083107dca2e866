"""What is not sent is said in the log: once, not too often, and once that it is over."""

from __future__ import annotations

from collections.abc import Iterator

from structlog.testing import capture_logs

from sidecar.core.findings import Finding
from sidecar.daemon.attention import Attention
from sidecar.watch.scan.census import Example, Tally, UnsentGroup
from tests.support.clock import ManualClock


class Watched:
    """A watch stage with so many folders that hold one misplaced file each."""

    def __init__(self, folders: int) -> None:
        self.folders = folders
        self.more: list[Finding] = []  # other classes in the first folder

    def roots(self) -> list[str]:
        """Return the one root."""
        return ["/renders"]

    def unsent_mark(self) -> object:
        """Return what differs."""
        return self.folders, len(self.more)

    def places(self, root: str) -> Iterator[tuple[UnsentGroup, Tally]]:
        """Yield the folders."""
        assert root == "/renders"
        for number in range(self.folders):
            one = Example(path=f"{number}/a.mp4", finding=Finding.MISPLACED, why="so it is")
            yield UnsentGroup(str(number), "mp4", Finding.MISPLACED), Tally(count=2, examples=[one])
        for finding in self.more:
            other = Example(path="0/b.mp4", finding=finding, why="so it is")
            yield UnsentGroup("0", "mp4", finding), Tally(count=1, examples=[other])

    def with_reason(self, example: Example) -> Example:
        """Return it as it is."""
        return example


def said(attention: Attention, *, at_once: bool = False) -> list[tuple[str, str, str]]:
    """Look once; return event, level and folder of each line."""
    with capture_logs() as lines:
        attention.look(at_once=at_once)
    return [(line["event"], line["log_level"], line["folder"]) for line in lines]


def test_a_folder_is_told_once_it_was_seen_twice_and_again_when_it_is_over() -> None:
    """A file that only passes through on its way to its place is not worth a person's time."""
    watch, clock = Watched(1), ManualClock()
    attention = Attention(watch=watch, clock=clock)
    assert said(attention) == []
    assert said(attention) == [("files_not_sent", "warning", "0")]
    assert said(attention) == []
    watch.folders = 0
    assert said(attention) == [("files_not_sent_over", "info", "0")]
    assert said(attention) == []


def test_each_class_in_a_folder_has_its_own_line_and_count() -> None:
    """A file that is refused later beside one that is misplaced must not stay unsaid."""
    watch = Watched(1)
    attention = Attention(watch=watch, clock=ManualClock())
    said(attention, at_once=True)
    watch.more = [Finding.REFUSED]
    with capture_logs() as lines:
        attention.look(at_once=True)
    assert [(line["class"], line["files"], line["path"]) for line in lines] == [
        ("refused", 1, "/renders/0/b.mp4")
    ]


def test_at_most_ten_lines_a_minute_are_written_and_none_is_forgotten() -> None:
    """The others wait for their turn."""
    watch, clock = Watched(25), ManualClock()
    attention = Attention(watch=watch, clock=clock)
    said(attention)
    numbers = []
    for _ in range(4):
        numbers.append(len(said(attention)))
        assert said(attention) == []
        clock.advance(60)
    assert numbers == [10, 10, 5, 0]


def test_an_end_says_at_once_what_it_leaves_unsent() -> None:
    """There is no second look."""
    assert len(said(Attention(watch=Watched(1), clock=ManualClock()), at_once=True)) == 1
