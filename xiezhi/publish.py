"""Publishing a department's records: envelope, Avro, an idempotent producer, delivery reports.

A publisher may die at any moment: publishing the same records again gives the same event ids, so that repeats are
recognised and have no second effect. A broker that restarts is waited for. Trace context follows W3C Trace Context;
the span is the `send` span of the OpenTelemetry messaging conventions 1.44.
"""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer
from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from pydantic import BaseModel

from xiezhi.codec import Codec
from xiezhi.contracts.base import Contract
from xiezhi.envelope import Envelope
from xiezhi.errors import DeliveryError, RecordRefusedError
from xiezhi.registry import ConfluentRegistry
from xiezhi.settings import Settings
from xiezhi.telemetry.tracestate import with_sent_ms
from xiezhi.wall_clock import now_ms

#: How long the broker may be away before a record counts as not delivered. A broker restarts in seconds; a machine
#: in a minute or two.
DELIVERY_TIMEOUT_S = 120.0
#: The broker's default limit of a batch. librdkafka's own default is smaller and would refuse lawful records.
MESSAGE_BYTES_MAX = 1_048_588
#: Failures after which publishing stops until `flush` has said so, and how many are kept one by one: with a broker
#: gone for good, every further record would only wait for its own time-out.
FAILURES_MAX = 1_000
_QUEUE_WAIT_S = 0.1

_tracer = trace.get_tracer("xiezhi.publish")


@dataclass(frozen=True, slots=True)
class Failure:
    """A record that the broker did not accept in time. Publish it again: its event id will be the same."""

    topic: str
    record_id: str
    event_id: str
    reason: str


class Publisher:
    """Sends the records of one source. Use as a context manager, from one thread.

    `publish` and `withdraw` return before the broker has the record; it is durable once `flush` has returned
    without an error, and leaving the context flushes. Delivery failures do not stop the records after them, up to
    FAILURES_MAX; they are counted in `failed`, the newest are in `failures`.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        source: str,
        codec: Codec | None = None,
        delivery_timeout_s: float = DELIVERY_TIMEOUT_S,
        librdkafka: Mapping[str, Any] | None = None,
    ) -> None:
        """`source` is the URN of the publishing system, e.g. urn:xiezhi:330100:finance.

        `librdkafka` adds settings of the client underneath, such as those of a secured broker.
        """
        self._source = source
        self._codec = codec or Codec(ConfluentRegistry(settings.registry_url))
        self._delivery_timeout_s = delivery_timeout_s
        configuration = {**producer_settings(settings, delivery_timeout_s), **(librdkafka or {})}
        self._producer = Producer(configuration, logger=logging.getLogger("librdkafka"))
        self._sent = 0
        self.delivered = 0
        self.failed = 0
        self.failures: deque[Failure] = deque(maxlen=FAILURES_MAX)
        self._reported = 0  # failures that flush() has already raised for

    def __enter__(self) -> Publisher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if kind is None:
            self.flush()
        else:
            self._producer.flush(1.0)  # what is on its way may arrive; the error matters more than the rest

    @property
    def pending(self) -> int:
        """Records accepted and not yet reported on."""
        return self._sent - self.delivered - self.failed

    def publish(
        self,
        contract: Contract,
        record: BaseModel,
        *,
        occurred_ms: int,
        jurisdiction: str,
        version: int = 0,
    ) -> None:
        """Send a record, an instance of the contract's model; `version` grows with every correction of it.

        Blocks only while the queue is full. Raises RecordRefusedError (nothing was sent), ConfigurationError and
        RegistryUnavailableError (first record of a contract), DeliveryError (the queue does not move, or too many
        records failed).
        """
        if not isinstance(record, contract.model):
            raise TypeError(f"expected {contract.model.__name__}, got {type(record).__name__}")
        value = record.model_dump()
        envelope = self._envelope(contract, value["record_id"], occurred_ms, version, jurisdiction)
        self._send(envelope, self._codec.encode(contract.subject, value))

    def withdraw(
        self, contract: Contract, record_id: str, *, occurred_ms: int, jurisdiction: str, version: int
    ) -> None:
        """Take a record back. `version` must be greater than that of the statement it takes back."""
        self._send(self._envelope(contract, record_id, occurred_ms, version, jurisdiction), None)

    def flush(self, timeout_s: float | None = None) -> None:
        """Wait until the broker has reported on every record; by default as long as delivery may take.

        Raises DeliveryError when records failed since the last call or are still under way.
        """
        self._producer.flush(self._delivery_timeout_s + 5 if timeout_s is None else timeout_s)
        fresh, self._reported = self.failed - self._reported, self.failed
        if fresh or self.pending:
            last = f"; the last: {self.failures[-1].reason}" if fresh else ""
            raise DeliveryError(
                f"{fresh} records were not delivered, {self.pending} are still under way{last}. "
                "Publish the same records again: what has arrived will be recognised."
            )

    def _envelope(
        self, contract: Contract, record_id: str, occurred_ms: int, version: int, jurisdiction: str
    ) -> Envelope:
        return Envelope.create(
            source=self._source,
            type=contract.topic,
            subject=record_id,
            occurred_ms=occurred_ms,
            version=version,
            jurisdiction=jurisdiction,
        )

    def _send(self, envelope: Envelope, value: bytes | None) -> None:
        if self.failed - self._reported >= FAILURES_MAX:
            raise DeliveryError(
                f"{self.failed - self._reported:,} records were not delivered; no more are tried"
            )
        span = _start_span(envelope)
        traceparent, tracestate = trace_context(span, now_ms())
        headers = envelope._replace(traceparent=traceparent, tracestate=tracestate).to_headers()
        report = self._reporter(envelope, span)
        deadline = time.monotonic() + self._delivery_timeout_s
        while True:
            try:
                self._producer.produce(
                    envelope.type, value, envelope.subject.encode(), headers=headers, on_delivery=report
                )
                self._sent += 1
                break
            except BufferError:
                # Back-pressure: the queue drains as reports come in; every record in it is reported by its timeout.
                if time.monotonic() > deadline:
                    raise DeliveryError(
                        f"the broker has accepted nothing for {self._delivery_timeout_s:.0f} s; is it running?"
                    ) from None
                self._producer.poll(_QUEUE_WAIT_S)
            except KafkaException as error:
                raise _refusal(envelope, error) from error
        self._producer.poll(0)

    def _reporter(self, envelope: Envelope, span: Span) -> Callable[[KafkaError | None, Any], None]:
        def report(error: KafkaError | None, message: Any) -> None:
            if error is None:
                self.delivered += 1
            else:
                self.failed += 1
                reason = _explained(error)
                self.failures.append(Failure(envelope.type, envelope.subject, envelope.event_id, reason))
            _end_span(span, error, message)

        return report


def producer_settings(settings: Settings, delivery_timeout_s: float = DELIVERY_TIMEOUT_S) -> dict[str, Any]:
    """librdkafka settings with which every record of the bus is sent."""
    return {
        "bootstrap.servers": settings.bootstrap_servers,
        "enable.idempotence": True,  # retries neither repeat nor reorder
        "acks": "all",
        "partitioner": "murmur2_random",  # what Java clients use: one key, one partition, whoever publishes
        "compression.type": "lz4",
        "linger.ms": 15,  # batches of many records cost the broker and every reader a fraction
        "message.max.bytes": MESSAGE_BYTES_MAX,
        "delivery.timeout.ms": int(delivery_timeout_s * 1000),
        "queue.buffering.max.messages": 50_000,  # both bound memory when the broker is slower than the source
        "queue.buffering.max.kbytes": 131_072,
        "reconnect.backoff.max.ms": 1_000,  # the default of 10 s would outlast most restarts
        "topic.metadata.propagation.max.ms": 10_000,  # topics are made beforehand: a missing one is a mistake
    }


def trace_context(span: Span, sent_ms: int) -> tuple[str, str]:
    """`traceparent` that names the publish span, and `tracestate` that says when it was sent.

    Without an OpenTelemetry SDK no span is recorded, yet the ids are drawn all the same, so that the bus can make the
    span once an alert rests on the record; the flags then say "not sampled", whatever the caller's said: they are about
    the span that the header names.
    """
    context = span.get_span_context()
    if span.is_recording():
        trace_id, span_id = f"{context.trace_id:032x}", f"{context.span_id:016x}"
    else:
        trace_id = f"{context.trace_id:032x}" if context.is_valid else os.urandom(16).hex()
        span_id = os.urandom(8).hex()
    sampled = span.is_recording() and context.trace_flags.sampled
    return f"00-{trace_id}-{span_id}-{int(sampled):02x}", with_sent_ms(
        context.trace_state.to_header(), sent_ms
    )


def _start_span(envelope: Envelope) -> Span:
    span = _tracer.start_span(f"send {envelope.type}", kind=SpanKind.PRODUCER)
    if span.is_recording():
        span.set_attributes(
            {
                "messaging.system": "kafka",
                "messaging.operation.name": "send",
                "messaging.operation.type": "send",
                "messaging.destination.name": envelope.type,
                "messaging.message.id": envelope.event_id,
            }
        )
    return span


def _end_span(span: Span, error: KafkaError | None, message: Any) -> None:
    if not span.is_recording():
        return
    if error is not None:
        span.set_attribute("error.type", error.name())
        span.set_status(Status(StatusCode.ERROR, error.str()))
    else:
        span.set_attribute("messaging.destination.partition.id", str(message.partition()))
        span.set_attribute("messaging.kafka.offset", message.offset())
    span.end()


def _refusal(envelope: Envelope, error: KafkaException) -> Exception:
    cause = error.args[0]
    if cause.code() == KafkaError.MSG_SIZE_TOO_LARGE:
        return RecordRefusedError(
            f"larger than {MESSAGE_BYTES_MAX} bytes with its envelope", record_id=envelope.subject
        )
    return DeliveryError(f"record {envelope.subject} of {envelope.type}: {_explained(cause)}")


def _explained(error: KafkaError) -> str:
    if error.code() in (KafkaError._UNKNOWN_TOPIC, KafkaError.UNKNOWN_TOPIC_OR_PART):
        return f"{error.str()}; run `xiezhi contracts apply` first"
    return str(error.str())
