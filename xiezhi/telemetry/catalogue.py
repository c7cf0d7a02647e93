"""Every metric of the bus: name, kind, unit, labels, and what it means in Chinese and English.

Names are those of the OpenTelemetry semantic conventions for messaging (1.44) where one exists, those of the
collector's Kafka receiver for consumer groups, `xiezhi.` otherwise. `docs/reference/metrics.md` is generated from this
module; dashboards and alert rules are checked against it. A label takes few values, all of them known to whoever
operates the bus: services, groups, topics, departments, rules. Never an id, a key, a token or a name.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """How the values of a metric come about."""

    COUNTER = "counter"  # only grows while its process lives
    GAUGE = "gauge"  # as it is at the moment of the scrape
    HISTOGRAM = "histogram"  # counted by size


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. `labels` are given with every value, in this order; `constants` are the same for all values."""

    name: str
    kind: Kind
    unit: str  # UCUM
    labels: tuple[str, ...]
    zh: str
    en: str
    buckets: tuple[float, ...] = ()
    constants: tuple[tuple[str, str], ...] = ()

    @property
    def exposed(self) -> str:
        """The name as Prometheus scrapes it (OpenTelemetry's compatibility specification)."""
        name = _underscored(self.name)
        suffix = _UNIT_SUFFIXES.get(self.unit, "")
        if suffix and not name.endswith(suffix):
            name += suffix
        return f"{name}_total" if self.kind is Kind.COUNTER and not name.endswith("_total") else name

    @property
    def series(self) -> tuple[str, ...]:
        """The names of its time series."""
        if self.kind is Kind.HISTOGRAM:
            return tuple(f"{self.exposed}{part}" for part in ("_bucket", "_sum", "_count"))
        return (self.exposed,)

    @property
    def exposed_labels(self) -> tuple[str, ...]:
        """Label names as Prometheus scrapes them."""
        return tuple(_underscored(label) for label in (*self.labels, *(name for name, _ in self.constants)))


_UNIT_SUFFIXES = {"s": "_seconds", "By": "_bytes"}


def _underscored(name: str) -> str:
    return name.replace(".", "_")


_C, _G, _H = Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM
_RECORDS = "{record}"
_TOPIC, _GROUP = "messaging.destination.name", "messaging.consumer.group.name"
_KAFKA = ("messaging.system", "kafka")
_LATENCY_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0)
#: A department's record is handed in within seconds by some, in monthly batches by others.
_LATENESS_S = (1.0, 10.0, 60.0, 600.0, 3600.0, 21600.0, 86400.0, 604800.0, 2678400.0, 31622400.0)

# Stages: router, judge, alert-store, audit.

CONSUMED = Metric(
    "messaging.client.consumed.messages",
    _C,
    "{message}",
    (_TOPIC, _GROUP),
    "各环节处理的记录数，重启后重复处理的计入",
    "Records that a stage has taken in, repeats after a restart included",
    constants=(_KAFKA, ("messaging.operation.name", "poll")),
)
SENT = Metric(
    "messaging.client.sent.messages",
    _C,
    "{message}",
    (_TOPIC,),
    "各环节向主题发送的记录数",
    "Records that a stage has handed to its producer",
    constants=(_KAFKA, ("messaging.operation.name", "send")),
)
BATCHES = Metric(
    "xiezhi.batches",
    _C,
    "{batch}",
    ("stage", "topic"),
    "各环节处理的批数；记录数除以批数即平均每批记录数",
    "Batches that a stage has taken in; records divided by batches is their mean size",
)
BUSY = Metric(
    "xiezhi.process.time",
    _C,
    "s",
    ("stage", "topic"),
    "各环节处理记录所用时间，不含发送与等待；其增长率即占用一个处理器核的比例",
    "Time that a stage spent on batches, without sending and waiting: its rate is the busy part of one core",
)
IN_FLIGHT = Metric(
    "xiezhi.batch.in_flight",
    _G,
    "{batch}",
    ("stage",),
    "已处理、尚未全部送达的批数",
    "Batches whose output is not yet all on the broker",
)
PARTITIONS = Metric(
    "xiezhi.partitions.assigned",
    _G,
    "{partition}",
    ("stage",),
    "本进程负责的分区数",
    "Partitions that this process has open",
)
WAITED = Metric(
    "xiezhi.wait.time",
    _C,
    "s",
    ("stage", "on"),
    "等待注册中心（registry）、代理（broker）、发送队列（queue）或磁盘（disk）的时间",
    "Time spent waiting for the registry, the broker, room in the producer's queue or on the disk",
)
DEAD_LETTERS = Metric(
    "xiezhi.dead_letters",
    _C,
    _RECORDS,
    ("stage", "topic", "reason"),
    "转入死信的记录数，按环节、主题、原因",
    "Records that went to the dead letters",
)
LATENESS = Metric(
    "xiezhi.record.lateness",
    _H,
    "s",
    ("owner", "topic"),
    "部门记录从发生到入库的时间；抽样，每主题每秒至多一条",
    "From occurred to ingested of a department's records; a sample, at most one per topic and second",
    _LATENESS_S,
)
OUTCOMES = Metric(
    "xiezhi.rule.outcomes",
    _C,
    "{outcome}",
    ("rule", "outcome"),
    "规则（或派生）研判结果数，重复研判计入",
    "Answers of rules and derivations, repeated evaluations included",
)
REJUDGED = Metric(
    "xiezhi.rejudged.keys",
    _C,
    "{key}",
    (),
    "规则启用或变更后在后台重新研判的键数",
    "Keys judged again in the background after an activation",
)
RULE_FAILURES = Metric(
    "xiezhi.rule.failures",
    _C,
    "{failure}",
    ("rule",),
    "规则（或派生）出错次数；出错时维持原有结论",
    "Rules and derivations that raised; their last statements are held",
)
SAID = Metric(
    "xiezhi.alerts.said",
    _C,
    "{statement}",
    ("rule", "severity", "state"),
    "研判发出的预警陈述数",
    "Statements about alerts that the judge sent",
)
STORED = Metric(
    "xiezhi.alerts.stored",
    _C,
    "{statement}",
    ("severity", "state"),
    "预警库采纳的预警陈述数",
    "Statements about alerts that took effect in the alert store",
)
ALERT_LATENCY = Metric(
    "xiezhi.alert.latency",
    _H,
    "s",
    ("segment",),
    "预警时延，分段：发生→入库（occurred_ingested，取最后一条证据）、入库→提出（ingested_said）、提出→存储（said_stored）",
    "Latency of alerts by segment: occurred_ingested (of the evidence ingested last), ingested_said, said_stored",
    (*_LATENCY_S, *_LATENESS_S[4:]),
)

# Clock.

WATERMARK = Metric(
    "xiezhi.clock.watermark",
    _G,
    "s",
    (),
    "低水位：此前入库的记录均已研判（Unix 秒）",
    "Low watermark: everything ingested before it has been judged (Unix seconds)",
)
TICKS = Metric("xiezhi.clock.ticks", _C, "{tick}", (), "时钟发出的节拍数", "Ticks broadcast")

# Monitor: what no single stage can know.

GROUP_LAG = Metric(
    "kafka.consumer_group.lag",
    _G,
    _RECORDS,
    ("group", "topic", "partition"),
    "消费组积压记录数",
    "Records between a consumer group's committed offset and the end of the partition",
)
GROUP_OFFSET = Metric(
    "kafka.consumer_group.offset",
    _G,
    "1",
    ("group", "topic", "partition"),
    "消费组已提交的偏移量",
    "Offset that a consumer group has committed",
)
GROUP_LAG_TIME = Metric(
    "xiezhi.consumer_group.lag_time",
    _G,
    "s",
    ("group", "topic"),
    "消费组积压时间：最早未提交记录的入库时间距今",
    "Age of the oldest record that a consumer group has not committed, by ingestion; 0 without lag",
)
GROUP_MEMBERS = Metric(
    "kafka.consumer_group.members",
    _G,
    "{member}",
    ("group",),
    "消费组成员数",
    "Members of a consumer group",
)
TOPIC_RECORDS = Metric(
    "xiezhi.topic.records",
    _G,
    _RECORDS,
    ("owner", "topic"),
    "主题现有记录数",
    "Records on a topic",
)
LAST_INGESTED = Metric(
    "xiezhi.topic.last_ingested",
    _G,
    "s",
    ("owner", "topic"),
    "主题最近一条记录的入库时间（Unix 秒）",
    "When the newest record of a topic was ingested (Unix seconds); no value for an empty topic",
)
EXPECTED_EVERY = Metric(
    "xiezhi.topic.expected_every",
    _G,
    "s",
    ("owner", "topic"),
    "数据契约承诺的更新间隔",
    "The rhythm that a contract promises",
)
BROKER_UP = Metric("xiezhi.broker.up", _G, "1", (), "代理是否应答", "1 when the broker answers, else 0")
REGISTRY_UP = Metric(
    "xiezhi.registry.up", _G, "1", (), "注册中心是否应答", "1 when the schema registry answers, else 0"
)
LOOKED = Metric(
    "xiezhi.monitor.looked",
    _G,
    "s",
    (),
    "监视服务最近一次完整查看的时间（Unix 秒）",
    "When the monitor last saw all of the bus (Unix seconds)",
)
DISK_FREE = Metric(
    "xiezhi.disk.free", _G, "By", (), "数据目录所在磁盘的剩余空间", "Free space where the data folder is"
)
RESTARTS = Metric(
    "xiezhi.process.restarts",
    _G,
    "{restart}",
    ("process",),
    "本机各进程被守护程序重启的次数（`xiezhi status`）；仅本机栈",
    "How often the supervisor restarted a process of the local stack (`xiezhi status`)",
)

# Audit service.

AUDIT_LEAVES = Metric(
    "xiezhi.audit.leaves",
    _G,
    "{leaf}",
    (),
    "审计日志的叶子数",
    "Leaves of the audit log, all of them on disk",
)
AUDIT_CHECKPOINT = Metric(
    "xiezhi.audit.checkpoint",
    _G,
    "s",
    (),
    "最近一次签名检查点的时间（Unix 秒）",
    "When the newest checkpoint was signed (Unix seconds)",
)
AUDIT_UNSIGNED = Metric(
    "xiezhi.audit.unsigned",
    _G,
    "{leaf}",
    (),
    "最近检查点之后的叶子数",
    "Leaves beyond the newest checkpoint",
)
AUDIT_GAPS = Metric(
    "xiezhi.audit.gaps",
    _C,
    _RECORDS,
    ("topic",),
    "审计日志缺失的偏移量数",
    "Offsets that the audit log had to leave out",
)

STAGE_METRICS = (
    CONSUMED,
    SENT,
    BATCHES,
    BUSY,
    IN_FLIGHT,
    PARTITIONS,
    WAITED,
    DEAD_LETTERS,
    LATENESS,
    OUTCOMES,
    REJUDGED,
    RULE_FAILURES,
    SAID,
    STORED,
    ALERT_LATENCY,
)
CLOCK_METRICS = (WATERMARK, TICKS)
MONITOR_METRICS = (
    GROUP_LAG,
    GROUP_OFFSET,
    GROUP_LAG_TIME,
    GROUP_MEMBERS,
    TOPIC_RECORDS,
    LAST_INGESTED,
    EXPECTED_EVERY,
    BROKER_UP,
    REGISTRY_UP,
    LOOKED,
    DISK_FREE,
    RESTARTS,
)
AUDIT_METRICS = (AUDIT_LEAVES, AUDIT_CHECKPOINT, AUDIT_UNSIGNED, AUDIT_GAPS)
#: Every service gives these; they are the Prometheus client's, by its names.
PROCESS_METRICS = (
    Metric("process.cpu", _C, "s", (), "进程占用的处理器时间", "CPU time of the process"),
    Metric("process.resident_memory", _G, "By", (), "进程占用的内存", "Resident memory of the process"),
    Metric(
        "process.start_time",
        _G,
        "s",
        (),
        "进程启动时间（Unix 秒）",
        "When the process started (Unix seconds)",
    ),
)
METRICS = (*STAGE_METRICS, *CLOCK_METRICS, *MONITOR_METRICS, *AUDIT_METRICS, *PROCESS_METRICS)
