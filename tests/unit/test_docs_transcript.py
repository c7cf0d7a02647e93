"""The reader of pages that runs their commands: what it takes for right, and that it notices what is wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.transcript import Command, File, PageError, Terminal, pattern, steps


def run(folder: Path, page: str, timeout_s: float = 10.0) -> None:
    (folder / "page.md").write_text(page, "utf-8")
    with Terminal(folder, os.environ, {"seven": "7"}, timeout_s) as terminal:
        for step in steps(folder / "page.md"):
            terminal.run(step)
        terminal.require_nothing_stays()


def test_a_page_is_read_as_commands_and_files_in_order(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# T\n\n```console\n$ a\n1\n$ b\n^C\n```\n\n```sh\nnot run\n```\n\n```python x.py\npass\n```\n"
        "```console stays\n$ c\n```\n"
    )
    assert steps(page) == [
        Command("page.md:4", "a", ("1",)),
        Command("page.md:6", "b", (), interrupted=True),
        File("x.py", "pass\n"),
        Command("page.md:18", "c", (), stays=True),
    ]


def test_a_block_that_begins_with_output_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"page\.md:2"):
        run(tmp_path, "```console\noutput\n```\n")


@pytest.mark.parametrize(
    ("expected", "printed", "fits"),
    [
        (("a…c",), "abc\n", True),
        (("a…c",), "abd\n", False),
        (("a", "…", "z"), "a\nb\nc\nz\n", True),
        (("a", "…", "z"), "a\nz\n", True),
        (("a",), "a  \n", True),
        (("a",), "a\nb\n", False),
        ((), "a\n", False),
        (("a+",), "aa\n", False),
    ],
)
def test_an_ellipsis_stands_for_text_or_lines_and_nothing_else_does(
    expected: tuple[str, ...], printed: str, fits: bool
) -> None:
    assert (pattern(expected).fullmatch(printed) is not None) == fits


def test_what_is_as_the_page_says_passes(tmp_path: Path) -> None:
    run(
        tmp_path,
        "```text data\nhello\n```\n```console\n$ cat data\nhello\n$ false || echo exit code $?\nexit code 1\n"
        "$ echo seven\n7\n$ echo on; trap 'exit 0' INT; while :; do sleep 0.05; done\non\n^C\n```\n",
    )


@pytest.mark.parametrize(
    ("page", "complaint"),
    [
        ("$ echo hello\nhallo", r"page\.md:2: `echo hello` printed something else"),
        ("$ echo hello", "printed something else"),
        ("$ false", "ended with exit code 1"),
        ("$ sleep 60", "took longer"),
        ("$ echo other; sleep 60\nhello\n^C", "took longer"),
        ("$ echo hello; exit 3\nhello\n^C", "exit code 3"),
        ("$ echo other\nhello\n^C", "ended"),
    ],
)
def test_what_is_not_as_the_page_says_fails(tmp_path: Path, page: str, complaint: str) -> None:
    with pytest.raises(PageError, match=complaint):
        run(tmp_path, f"```console\n{page}\n```\n", 1.0 if complaint == "took longer" else 30.0)


def test_what_stays_must_be_ended_by_the_page(tmp_path: Path) -> None:
    stays = "```console stays\n$ echo $$ > pid; echo up; trap 'exit 0' INT; while :; do sleep 0.05; done\nup\n```\n"
    run(tmp_path, stays + "```console\n$ kill -INT $(cat pid)\n```\n")
    with pytest.raises(PageError, match="took longer"):
        run(tmp_path, stays, timeout_s=1.0)
    process_id = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(process_id, 0)
