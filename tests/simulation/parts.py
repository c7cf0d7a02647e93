"""What a run is made of. Tests put in a part with a protection taken out, to see that it is missed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from consumers.alerts.service import AlertStoreService
from consumers.alerts.store import AlertStore
from streams.clock import Clock, LowWatermark
from streams.cores import JudgeCore, RouterCore
from streams.evaluation import ActiveRule
from streams.judge import Judge
from streams.kernel import Join
from streams.oracle import Verdict, judge_log
from streams.records import Guard
from streams.router import Router
from tests.simulation.processes import Process
from xiezhi.log import RawRecord
from xiezhi.store import KeyedStore

OracleOf = Callable[[Sequence[RawRecord], Sequence[Join], Mapping[str, ActiveRule], Guard, int], Verdict]


@dataclass(frozen=True)
class Parts:
    """The product's own, unless a test says otherwise."""

    router: type[Router] = Router
    judge: type[Judge] = Judge
    router_core: type[RouterCore] = RouterCore
    judge_core: type[JudgeCore] = JudgeCore
    store: type[KeyedStore] = KeyedStore
    process: type[Process] = Process
    clock: type[Clock] = Clock
    watermark: type[LowWatermark] = LowWatermark
    alert_store: type[AlertStore] = AlertStore
    alert_service: type[AlertStoreService] = AlertStoreService
    oracle: OracleOf = judge_log
