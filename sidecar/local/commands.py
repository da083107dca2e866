"""``dev`` and ``demo`` from their first line to their exit status."""

from __future__ import annotations

import asyncio
import json
import signal
import webbrowser
from collections.abc import Callable, Coroutine
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from .arrivals import Arrivals
from .child import ServerError
from .demo import DemoReport, Progress, play
from .feed import Feed
from .front_end import Lesson
from .proof import SESSION_ID
from .show import Board, show_addresses, show_report
from .stack import Stack, addresses

DONE, FAILED, INTERRUPTED = 0, 1, 130
_WATCH_SECONDS = 0.5


def run(command: Coroutine[None, None, int]) -> int:
    """Run to the end or to Ctrl-C, SIGTERM or a hang-up, all of which clean up; return the exit status."""
    try:
        return asyncio.run(_interruptible(command))
    except asyncio.CancelledError:
        return INTERRUPTED
    except ServerError as error:
        return _print_error(error)
    except ExceptionGroup as group:
        expected, others = group.split(ServerError)
        if others or expected is None:
            raise
        return _print_error(expected.exceptions[0])


async def run_demo(*, json_output: bool, keep: bool, page: bool = False) -> int:
    """Play the lesson and report; 0 only if everything agrees. ``page``: a browser shows it, until Ctrl-C."""
    console = Console(stderr=json_output)
    lesson = Lesson(session_id=SESSION_ID, first=1) if page else None
    async with Stack(say=_steps(console), lesson=lesson) as stack:
        show_addresses(console, addresses(stack))
        await _open(stack)
        progress = Progress()
        board = Board(console, progress)
        with board.live:
            report = await play(stack, progress, seen=board.refresh)
        _print(console, report, json_output=json_output)
        if keep or page:
            console.print("Staying up until Ctrl-C.")
            await _until_interrupted(stack)
    return DONE if report.good else FAILED


async def run_dev(directory: Path, *, json_output: bool = False, page: bool = False) -> int:
    """Watch ``directory`` until somebody ends it; say what arrives. ``page``: a browser shows a session."""
    console = Console(stderr=json_output)
    async with Stack(root=directory, say=_steps(console), lesson=Lesson() if page else None) as stack:
        show_addresses(console, addresses(stack))
        await _open(stack)
        console.print("Watching until Ctrl-C. What arrives:")
        feed = Feed(console, root=str(directory), url_of=stack.s3.url_of, as_json=json_output)
        with feed:
            await _until_interrupted(stack, feed)
    return DONE


async def _open(stack: Stack) -> None:
    """Show the page, if there is one, where there is a browser: its address is told in any case."""
    if stack.page_url:
        await asyncio.to_thread(webbrowser.open, stack.page_url)


async def _interruptible(command: Coroutine[None, None, int]) -> int:
    task = asyncio.current_task()
    if task is not None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await command


async def _until_interrupted(stack: Stack, feed: Feed | None = None) -> None:
    """Return when somebody ends us. Raises ServerError when the daemon ends before."""
    arrivals = Arrivals(url=stack.status_url, socket=stack.socket)
    try:
        while stack.daemon.running:
            if feed is not None:
                await _print_new(arrivals, feed, stack)
            await asyncio.sleep(_WATCH_SECONDS)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()  # this is how a watch is meant to end
        return
    raise ServerError(f"the sidecar ended with status {stack.daemon.returncode}:\n{stack.daemon.tail()}")


async def _print_new(arrivals: Arrivals, feed: Feed, stack: Stack) -> None:
    try:
        feed.show(await arrivals.look())
    except ServerError as error:
        if not stack.daemon.running:
            raise
        feed.missed(str(error))  # busy, or about to end: the next look tells


def _steps(console: Console) -> Callable[[str], None]:
    return lambda step: console.print(f"[dim]{escape(step)} ...[/]", highlight=False)


def _print(console: Console, report: DemoReport, *, json_output: bool) -> None:
    if json_output:
        print(json.dumps(report.as_json()), flush=True)  # noqa: T201 - the one thing on stdout
    else:
        show_report(console, report)


def _print_error(error: BaseException) -> int:
    Console(stderr=True).print(f"[red]{escape(str(error))}[/]", highlight=False)
    return FAILED
