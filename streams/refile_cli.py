"""`xiezhi refile`: file everything anew as another generation, see what will change, and switch to it."""

from __future__ import annotations

import getpass
import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import click

from streams import refile
from streams.calendars import read_site_days
from streams.cards import load_pack
from streams.cli import activate_pack, pack_in_force
from streams.replay import Difference, Differing
from xiezhi.access import Act, record_access
from xiezhi.cli.terminal import table
from xiezhi.errors import XiezhiError
from xiezhi.project import load_project
from xiezhi.settings import GENERATION_FILE, Settings

#: Between two lines about how far it is.
SAY_EVERY_S = 5.0
#: Alerts listed one by one; of more the counts per rule say enough, and --json has all.
LISTED_MAX = 40
#: What becomes of an alert, in the words of a statement.
_BECOMES = {
    Difference.KNOWN_ONLY: "raised",
    Difference.CONTENT: "changed",
    Difference.SAID_ONLY: "withdrawn",
}


@click.command("refile", short_help="File everything anew, see what changes, switch. 重新归档")
@click.option("--dry-run", is_flag=True, help="Fill and compare, then throw away what was filled.")
@click.option("--pack", help="Rule pack to activate with the switch. Default: that of the rules in force.")
@click.option("--why", default="", help="Why, for the activation and for the access trail.")
@click.option("--timeout-s", default=3600.0, show_default=True, help="How long to wait for the switch.")
@click.option("--json", "as_json", is_flag=True, help="What changes as one JSON object a line.")
def command(dry_run: bool, pack: str | None, why: str, timeout_s: float, as_json: bool) -> None:
    """File every record anew with the joins of this machine, show what that changes, and switch to it. 重新归档

    For changed joins, selectors or contributions, and for a fact log that lost its beginning. The live generation goes
    on judging meanwhile; `xiezhi up` restarts its services with the new one by itself. May be run again after whatever
    happened. See docs/how-to/refile.md.
    """
    live = Settings()
    if live.generation > 1 and refile.is_taking_over(live):
        _say(f"generation {live.generation} has not finished taking over; waiting for it 等待接管")
        _wait(live, timeout_s)
        return
    pack = pack or pack_in_force(live)
    following = live.model_copy(update={"generation": live.generation + 1})
    found = _fill(live, following, pack)
    for line in _as_objects(found) if as_json else _as_tables(found):
        click.echo(line)
    if dry_run:
        refile.clear(following)
        _say("nothing was changed 未作任何改变")
        return
    record_access(live, Act("change", "generation", (str(following.generation),), "refile"), purpose=why)
    activate_pack(live, pack, reason=why or f"generation {following.generation}", actor=getpass.getuser())
    _switch(following)
    _wait(following, timeout_s)


def _fill(live: Settings, following: Settings, pack: str) -> Sequence[Differing]:
    """File everything into the next generation; what will change when it speaks."""
    project, cards = load_project(), load_pack(pack, read_site_days(live.working_days))
    refile.clear(following)
    refile.create(following)
    progress = _Progress()
    with refile.filling(following, project.services, project.root) as processes:
        _say(f"filling generation {following.generation} beside generation {live.generation} 正在归档")
        refile.wait_until_filled(
            following, processes, lambda left: progress.say(f"{left:,} records to file 待归档")
        )
        found = refile.differences(live, cards)
        refile.wait_until_filled(following, processes)  # what came meanwhile
    return found


def _switch(following: Settings) -> None:
    """Make a generation the live one. Whoever is killed before this has changed nothing, after it has to wait only."""
    file = following.data_dir / GENERATION_FILE
    partial = file.with_suffix(".partial")
    partial.write_text(f"{following.generation}\n", "ascii")
    partial.replace(file)
    _say(
        f"generation {following.generation} is live; `xiezhi up` restarts its services with it. Elsewhere: stop "
        f"router, judge and clock, start them with XIEZHI_GENERATION={following.generation} 已切换"
    )


def _wait(settings: Settings, timeout_s: float) -> None:
    progress = _Progress()
    if not refile.wait_until_finished(
        settings, timeout_s, lambda what: progress.say(f"waiting for {what} 等待")
    ):
        raise XiezhiError(
            f"generation {settings.generation} has not finished taking over within {timeout_s:.0f} s: do its router, "
            "judge and clock run (`xiezhi doctor`), and no others? Run `xiezhi refile` again to go on waiting"
        )
    _say(f"generation {settings.generation} has taken over and judged every key 接管完成")


class _Progress:
    """Says now and then how far it is."""

    def __init__(self) -> None:
        self._said_s = time.monotonic()

    def say(self, text: str) -> None:
        if time.monotonic() - self._said_s >= SAY_EVERY_S:
            self._said_s = time.monotonic()
            _say(text)


def _as_tables(found: Sequence[Differing]) -> Iterator[str]:
    if not found:
        yield "no alert changes 预警无变化"
        return
    counts = Counter((one.rule_id, _BECOMES[one.difference]) for one in found)
    states = tuple(_BECOMES.values())
    rows = (
        (rule, *(str(counts[rule, state]) for state in states))
        for rule in sorted({rule for rule, _ in counts})
    )
    yield from table(("rule", *states), rows)
    if len(found) <= LISTED_MAX:
        yield ""
        yield from table(
            ("id", "rule", "becomes"),
            ((one.alert_id[:12], one.rule_id, _BECOMES[one.difference]) for one in found),
        )


def _as_objects(found: Iterable[Differing]) -> Iterator[str]:
    for one in found:
        yield json.dumps(
            {"alert_id": one.alert_id, "rule_id": one.rule_id, "becomes": _BECOMES[one.difference]}
        )


def _say(text: str) -> None:
    click.echo(text, err=True)


COMMANDS: tuple[click.Command, ...] = (command,)
