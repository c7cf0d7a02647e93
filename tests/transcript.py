"""Pages whose console blocks are run as a reader would type them, and compared with what they print.

    ```console            each line `$ …` is a command; the lines up to the next one are all it prints
    ```console stays      likewise, but the command is left running once its lines have come, like a service in a
                          terminal of its own; a later command or the page's end must end it
    ```python act.py      any block with a file name is written as that file

In expected lines `…` stands for any text, a line of `…` alone for any number of lines. A last line `^C` means: press
Ctrl-C once the lines before it have come. Every command must end with exit code 0; a page that shows another one says
so (`… || echo "exit code $?"`).
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

_BLOCK = re.compile(r"^```(?P<kind>[a-z]+)(?: (?P<word>\S+))?\n(?P<text>.*?)^```$", re.S | re.M)
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Command:
    """One command of a page and what it prints; `place` is `file:line` for messages."""

    place: str
    line: str
    expected: tuple[str, ...]
    stays: bool = False
    interrupted: bool = False  # by ^C


@dataclass(frozen=True, slots=True)
class File:
    """A file that the page tells its reader to write."""

    name: str
    text: str


def steps(page: Path) -> list[Command | File]:
    """What a page tells its reader to do, in order."""
    text = page.read_text("utf-8")
    found: list[Command | File] = []
    for block in _BLOCK.finditer(text):
        if block["kind"] == "console":
            first = text.count("\n", 0, block.start("text")) + 1
            found += _commands(f"{page.name}:", first, block["text"], stays=block["word"] == "stays")
        elif block["word"]:
            found.append(File(block["word"], block["text"]))
    return found


def _commands(place: str, first: int, text: str, *, stays: bool) -> Iterator[Command]:
    lines = text.splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith("$ ")]
    if starts[:1] != [0]:
        raise ValueError(f"{place}{first}: a console block begins with a command")
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        expected = [line.rstrip() for line in lines[start + 1 : end]]
        interrupted = expected[-1:] == ["^C"]
        shown = tuple(expected[:-1] if interrupted else expected)
        yield Command(f"{place}{first + start}", lines[start][2:], shown, stays, interrupted)


def pattern(expected: tuple[str, ...]) -> re.Pattern[str]:
    """Matches the lines, each ended by a line break."""
    lines = [
        "(?:.*\n)*?" if line == "…" else ".*".join(map(re.escape, line.split("…"))) + "[ \t]*\n"
        for line in expected
    ]
    return re.compile("".join(lines))


class PageError(AssertionError):
    """A command did not do what its page says."""


@dataclass(slots=True)
class Running:
    """One started command and the file that takes what it prints."""

    command: Command
    process: subprocess.Popen[bytes]
    output: Path
    as_on_the_page: Callable[[str], str]

    def said(self) -> str:
        """What it has printed so far, in whole lines."""
        text = self.as_on_the_page(self.output.read_text("utf-8", errors="replace"))
        return text if not text or text.endswith("\n") else text + "\n"

    def interrupt(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGINT)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@dataclass(slots=True)
class Terminal:
    """Runs the steps of one page in `folder`. A context manager: nothing that stays outlives it.

    `shown_as` replaces text in what commands print before it is compared, e.g. this run's port by the page's.
    """

    folder: Path
    environment: Mapping[str, str]
    shown_as: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = 120.0
    _staying: list[Running] = field(default_factory=list)
    _started: int = 0

    def run(self, step: Command | File) -> None:
        """Do one step. Raises PageError unless all is as the page says."""
        if isinstance(step, File):
            (self.folder / step.name).write_text(step.text, "utf-8")
            return
        running = self._start(step)
        if not (step.stays or step.interrupted):
            self._end(running)
            return
        self._wait(running, lambda: pattern(step.expected).match(running.said()) is not None)
        if step.stays:
            self._staying.append(running)
        else:
            running.interrupt()
            self._end(running, whole=False)

    def require_nothing_stays(self) -> None:
        """Raises PageError if a command is still running although the page is over."""
        for running in self._staying:
            self._end(running, whole=False)
        self._staying.clear()

    def _start(self, command: Command) -> Running:
        self._started += 1
        output = self.folder / f".output-{self._started}"
        with output.open("wb") as stream:
            process = subprocess.Popen(
                ["/bin/bash", "-c", command.line],
                cwd=self.folder,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return Running(command, process, output, self._as_on_the_page)

    def _as_on_the_page(self, text: str) -> str:
        for here, there in self.shown_as.items():
            text = text.replace(here, there)
        return text

    def _end(self, running: Running, *, whole: bool = True) -> None:
        """Wait for the end and look at the exit code and, if `whole`, at all that was printed."""
        self._wait(running, lambda: running.process.poll() is not None)
        if running.process.returncode != 0:
            raise self._error(running, f"ended with exit code {running.process.returncode}")
        if whole and not pattern(running.command.expected).fullmatch(running.said()):
            raise self._error(running, "printed something else")

    def _wait(self, running: Running, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + self.timeout_s
        while not condition():
            ended = running.process.poll() is not None
            if (ended and not condition()) or time.monotonic() > deadline:
                running.kill()
                raise self._error(running, "ended" if ended else f"took longer than {self.timeout_s:.0f} s")
            time.sleep(_POLL_S)

    def _error(self, running: Running, what: str) -> PageError:
        command = running.command
        expected = "\n".join(command.expected)
        return PageError(
            f"{command.place}: `{command.line}` {what}\n--- the page\n{expected}\n--- here\n{running.said()}"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        for running in self._staying:
            running.interrupt()
        for running in self._staying:
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.process.wait(self.timeout_s)
            running.kill()
