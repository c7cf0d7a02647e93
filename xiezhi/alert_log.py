"""Reading the alert topic: what a record of it must be, and which errors of a consumer end its process.

Shared by Python subscribers and the alert store, so that both accept the same statements.
"""

from __future__ import annotations

import logging
from typing import Any

from confluent_kafka import KafkaError
from pydantic import ValidationError

from xiezhi.codec import Codec
from xiezhi.contracts.alert import Alert
from xiezhi.envelope import Envelope
from xiezhi.errors import BadRecordError, BrokerUnavailableError, ConfigurationError, UnknownSchemaError
from xiezhi.log import RawRecord

logger = logging.getLogger(__name__)

_FORBIDDEN = (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED)


def read_alert(record: RawRecord, codec: Codec) -> tuple[Alert, Envelope]:
    """The statement in a record of the alert topic.

    Raises BadRecordError, RegistryUnavailableError. Fields that a newer writer added are left aside.
    """
    if record.key is None:
        raise BadRecordError("null_key", "an alert needs its id as key")
    if record.value is None:
        raise BadRecordError("null_value", "an alert is withdrawn by its state, never by a null value")
    envelope = Envelope.from_headers(record.headers)
    if envelope.type != record.topic:
        raise BadRecordError("wrong_type", f"ce_type is not the topic {record.topic}")
    try:
        alert = Alert.model_validate(codec.decode_as(record.topic, record.value), extra="ignore")
    except UnknownSchemaError as error:
        raise BadRecordError("unknown_schema", str(error)) from error
    except ValidationError as error:
        fields = sorted({".".join(map(str, problem["loc"])) for problem in error.errors(include_input=False)})
        raise BadRecordError("wrong_value", f"not as the contract says: {', '.join(fields)}") from error
    if not record.key == envelope.subject.encode() == alert.record_id.encode():
        raise BadRecordError("wrong_key", "key, ce_subject and record_id differ")
    if envelope.version != alert.position:
        raise BadRecordError("wrong_position", "ce_recordversion and position differ")
    return alert, envelope


#: What every client of the broker gets here. librdkafka would log each of hundreds of attempts to reconnect.
QUIETLY: dict[str, Any] = {"log_level": 0, "reconnect.backoff.ms": 500}


def say_when_away(error: KafkaError) -> None:
    """The client's `error_cb`: what it mends by itself is worth one line, when no broker is left."""
    if error.code() == KafkaError._ALL_BROKERS_DOWN:
        logger.warning("no broker can be reached; trying again")


def holds_record(message: Any) -> bool:
    """False for an event that the client mends by itself (the broker restarts, say); it is logged.

    Raises ConfigurationError when the place to read on from no longer exists or reading is not allowed, and
    BrokerUnavailableError when the client gave up.
    """
    error, place = message.error(), f"{message.topic()}/{message.partition()}"
    if error is None:
        return True
    if error.code() == KafkaError._AUTO_OFFSET_RESET:
        raise ConfigurationError(
            f"{place} does not have the offset to read on from: the topic was created anew or cut; "
            "move away the file or database that remembers it, then start again"
        )
    if error.code() in _FORBIDDEN:
        raise ConfigurationError(f"{place}: {error.str()}; ask the operator for the right to read")
    if error.fatal():
        raise BrokerUnavailableError(f"{place}: {error.str()}")
    logger.warning("%s: %s", place, error.str())
    return False
