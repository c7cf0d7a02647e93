"""`make demo`: a real broker, a synthetic province, live alerts, and a check of every one of them.

Starts everything on free loopback ports with its data below `.xiezhi/demo`, publishes the province, shows the alerts as
they come, waits until all of it has passed every stage, compares what was said with what was planted and with the
batch oracle, checks the audit log, proves one alert offline, stops everything, and exits 0 only if all of that held.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

import click

from consumers.alerts import pages
from consumers.alerts.database import url_of
from consumers.alerts.statement import Filter
from consumers.alerts.store import AlertStore
from consumers.audit.folder import AuditFolder
from deploy.scorecard import SaidAlert, score, subject_of, table
from deploy.settled import groups, wait_until_settled
from producers.province.generate import Province, generate
from producers.province.labels import write_labels
from producers.province.publication import Publication
from producers.province.publishing import paced, publish_all
from schemas.catalogue import CONTRACTS
from streams import history
from streams.calendars import CN, SiteDays, content
from streams.rules.days import start_of
from streams.rules.working_days import WorkingDays
from xiezhi.codec import Codec
from xiezhi.contracts.naming import DEAD_LETTER
from xiezhi.errors import XiezhiError
from xiezhi.lag import Lags, PartitionLag
from xiezhi.local.services import environment
from xiezhi.local.settings import LOOPBACK, LocalSettings, Ports, StackSettings
from xiezhi.local.stack import LocalStack
from xiezhi.log import LogReader
from xiezhi.project import load_project
from xiezhi.registry import ConfluentRegistry
from xiezhi.settings import Settings
from xiezhi.wall_clock import now_ms

HOME = Path(".xiezhi/demo")
PACK = "drill"
TICK_INTERVAL_S = 2.0
RECORDS_PER_S = 1_500.0
SETTLE_TIMEOUT_S = 240.0
VERIFIER = "xiezhi/audit/verify_receipt.py"
#: Alerts printed one by one; the rest are counted, so that a terminal stays readable.
ALERTS_SHOWN_MAX = 25
PROGRESS_EVERY_S = 2.0
#: What the clock may have put into the two fact partitions since the last look, for both groups that tell how far they
#: are on them: ticks are nobody's backlog.
TICK_RECORDS = 8

NEXT = """
What to try next (the alerts stay under {home}; nothing runs any more):  接下来可以试试：

  export XIEZHI_DATA_DIR={home}
  .venv/bin/xiezhi alerts list --severity red
  .venv/bin/xiezhi alerts show {alert}
  .venv/bin/xiezhi up          # the same data, live; in another terminal, after the same export:
  .venv/bin/xiezhi alerts follow --cursor me --from-start
  .venv/bin/xiezhi contracts list
  .venv/bin/xiezhi rules list
"""


@click.command()
@click.option("--seed", default=1, show_default=True, help="Seed of the synthetic province.")
@click.option("--records", default=20_000, show_default=True, help="Records to publish, about.")
@click.option(
    "--home", default=HOME, show_default=True, type=click.Path(path_type=Path), help="Wiped at the start."
)
def demo(seed: int, records: int, home: Path) -> None:
    """Run the demonstration; exit 0 only if everything planted was found and nothing else."""
    begun = time.monotonic()
    shutil.rmtree(home, ignore_errors=True)
    province = generate(seed, records, until_ms=min(now_ms(), end_of_calendar_ms()))
    home.mkdir(parents=True, exist_ok=True)
    write_labels(home / "labels.jsonl", province.labels)
    click.echo(
        "獬豸 Xiezhi demo · synthetic data only 仅合成数据 · 示其疑，不断其罪 suspicions, never verdicts"
    )
    stack = LocalStack(StackSettings(home.absolute() / "stack", _free_ports(), LocalSettings()), click.echo)
    click.echo("starting the broker and the registry 启动消息总线与注册中心 …")
    try:
        with stack:
            run = _Run(stack, stack.settings(tick_interval_s=TICK_INTERVAL_S, partitions=2), begun)
            problems = run.play(province)
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    click.echo(NEXT.format(home=home, alert=run.an_alert))
    click.echo(
        f"done in {time.monotonic() - begun:.0f} s: " + ("; ".join(problems) or "everything held 全部成立")
    )
    raise SystemExit(1 if problems else 0)


class _Run:
    """One run of the demonstration on a started stack."""

    def __init__(self, stack: LocalStack, settings: Settings, begun: float) -> None:
        self._stack, self._settings, self._begun = stack, settings, begun
        self._seq = self._shown = 0
        self._said_at = 0.0
        self._said = ""
        self._store: AlertStore | None = None
        self._codec = Codec(ConfluentRegistry(settings.registry_url))
        self.an_alert = ""

    def play(self, province: Province) -> list[str]:
        """All of it; returns what did not hold."""
        self._prepare()
        with ExitStack() as opened:
            self._store = AlertStore.open(url_of(self._settings))
            opened.callback(self._store.close)
            self._say(f"publishing {len(province.publications)} records of {len(CONTRACTS)} types 发布记录 …")
            self._publish(paced(province.publications, RECORDS_PER_S))
            self._settle("main phase 主阶段")
            self._say(f"publishing {len(province.corrections)} corrections after the alerts 事后更正 …")
            self._publish(province.corrections)
            self._settle("corrections 更正")
            return self._check(province)

    def _prepare(self) -> None:
        self._stack.start_project(load_project(), self._settings, pack=PACK, purpose="demonstration")
        self._say("router, clock, judge, alert store and audit started 服务已启动")
        lags = Lags(self._settings.bootstrap_servers, groups(self._settings))
        lags.wait_until_quiet(SETTLE_TIMEOUT_S, lambda _: self._stack.watch())

    def _publish(self, publications: Iterable[Publication]) -> None:
        """In a thread, so that alerts can be shown as they come."""
        failed: list[BaseException] = []

        def work() -> None:
            try:
                publish_all(publications, self._settings, self._codec)
            except BaseException as error:  # noqa: BLE001 -- raised again in the thread that waits
                failed.append(error)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        while thread.is_alive():
            self._look(())
            thread.join(0.2)
        if failed:
            raise failed[0]

    def _settle(self, what: str) -> None:
        self._said_at = time.monotonic()
        wait_until_settled(self._settings, pack=PACK, timeout_s=SETTLE_TIMEOUT_S, look=self._look)
        self._show_alerts()
        self._say(f"{what}: everything is routed, judged, stored and audited 全部已路由、研判、入库、留痕")

    def _look(self, lags: Sequence[PartitionLag]) -> None:
        """Keep services running, show new alerts, say now and then how far behind we are."""
        self._stack.watch()
        self._show_alerts()
        if lags and time.monotonic() - self._said_at > PROGRESS_EVERY_S:
            self._said_at = time.monotonic()
            behind = dict.fromkeys(groups(self._settings), 0)
            for lag in lags:
                behind[lag.group] += lag.records
            said = "behind 积压: " + ", ".join(f"{group} {count}" for group, count in behind.items())
            if sum(behind.values()) <= TICK_RECORDS:
                said = "nothing is on its way; waiting for settle times 已无积压，等待静置时间 …"
            if said != self._said:
                self._said = said
                self._say(said)

    def _show_alerts(self) -> None:
        if self._store is None:
            return
        page = self._store.after(self._seq, Filter(), limit=500)
        for stored in page.statements:
            self._shown += 1
            self.an_alert = stored.alert.record_id[:12]
            if self._shown <= ALERTS_SHOWN_MAX:
                click.echo("  " + pages.line(stored, "both"))
            elif self._shown == ALERTS_SHOWN_MAX + 1:
                click.echo("  … more alerts follow; they are counted below 更多预警见下方汇总")
        self._seq = max(self._seq, page.upto_seq)

    def _check(self, province: Province) -> list[str]:
        assert self._store is not None
        problems = []
        standing = {one.alert.record_id: one for one in self._store.standing(Filter(), limit=1_000_000)}
        said = [
            SaidAlert(one.alert.rule_id, subject_of(one.alert.subject), one.alert.state != "withdrawn")
            for one in standing.values()
        ]
        rows = score(province.labels, said)
        click.echo("")
        for line in table(rows):
            click.echo(line)
        problems += [f"rule {name} is not as planted" for name, row in rows.items() if not row.is_perfect]
        expected = {key: one.digest for key, one in history.oracle(self._settings, CONTRACTS).alerts.items()}
        stands = {
            key: one.alert.content_digest for key, one in standing.items() if one.alert.state != "withdrawn"
        }
        self._say(
            f"the batch oracle says {len(expected)} alerts, the stream {len(stands)}; same 一致: {expected == stands}"
        )
        if expected != stands:
            problems.append("stream and oracle differ")
        dead = self._dead_letters()
        self._say(f"{self._shown} statements stored, {dead} dead letters 死信")
        if dead:
            problems.append(f"{dead} dead letters")
        return problems + self._check_evidence()

    def _check_evidence(self) -> list[str]:
        """The audit log is checked, and a receipt of one alert, full and redacted, proves it without the bus."""
        self._say("xiezhi audit check 核对审计日志")
        problems = [] if self._run("audit", "check") else ["the audit log is not complete and consistent"]
        folder = AuditFolder.of(self._settings)
        assert self._store is not None
        standing = self._store.standing(Filter(states=("raised", "changed")), limit=1)
        self.an_alert = standing[0].alert.record_id[:12] if standing else self.an_alert
        home = self._settings.data_dir
        for options, name in (((), "receipt.json"), (("--redacted",), "receipt-redacted.json")):
            self._say(f"xiezhi receipt {self.an_alert} -o {home / name} {' '.join(options)}")
            written = self._run("receipt", self.an_alert, "-o", str(home / name), *options)
            click.echo(f"  python {VERIFIER} {home / name} --key {folder.public_key(folder.newest())}")
            key = str(folder.public_key(folder.newest()))
            if not written or not self._python(VERIFIER, str(home / name), "--key", key):
                problems.append(f"{name} proves nothing")
        return problems

    def _run(self, *arguments: str) -> bool:
        return self._python("-m", "xiezhi.cli.main", *arguments)

    def _python(self, *arguments: str) -> bool:
        """Run this Python, show what it prints, and say whether it ended well."""
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=load_project().root,
            env={**os.environ, **environment(self._settings)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SETTLE_TIMEOUT_S,
            check=False,
        )
        for line in done.stdout.splitlines():
            click.echo(f"  {line}")
        return done.returncode == 0

    def _dead_letters(self) -> int:
        with LogReader(self._settings.bootstrap_servers) as log:
            ranges = [log.range(DEAD_LETTER, number) for number in range(log.partitions(DEAD_LETTER))]
        return sum(high - low for low, high in ranges)

    def _say(self, text: str) -> None:
        click.echo(f"[{time.monotonic() - self._begun:5.1f} s] {text}")


def end_of_calendar_ms() -> int:
    """Where the calendar of working days ends: about deadlines beyond it no rule speaks, whatever was planted."""
    calendar = WorkingDays.from_value(content(CN, SiteDays())[""])
    return start_of(calendar.known_until)


def _free_ports() -> Ports:
    """Four loopback ports that nobody uses now; held together so that they differ."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(4)]
        for one in sockets:
            one.bind((LOOPBACK, 0))
        return Ports(*(int(one.getsockname()[1]) for one in sockets))


def main() -> None:
    """Entry point: one line on stderr for an error that has a name."""
    command: Callable[[], object] = demo
    try:
        command()
    except XiezhiError as error:
        click.echo(f"demo: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
