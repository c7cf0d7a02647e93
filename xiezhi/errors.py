"""Every error that Xiezhi raises on purpose, as one tree.

    XiezhiError
    ├── ConfigurationError          a setting, file or port is wrong; restarting will not help (exit 78)
    │   ├── DeadLetterLimitError    so many records of one topic are bad that the input itself must be wrong
    │   ├── UnregisteredSubjectError no contract was applied for a subject
    │   └── ActivationMismatchError the rule code on this machine is not the code that was activated
    ├── RecordRefusedError          a record breaks its contract and was refused before it left the publisher
    ├── BadRecordError              bytes on a topic break their contract; the record goes to the dead letters
    ├── UnknownSchemaError          the registry answers that it does not have this schema id or subject
    ├── IncompatibleSchemaError     the registry refuses a schema that would break readers
    ├── RegistryUnavailableError    the registry cannot be reached; wait and try again
    ├── BrokerUnavailableError      no broker can be reached; wait and try again
    ├── DeliveryError               the broker did not accept a record
    ├── ClockAheadError             this machine's clock is ahead of the broker's: what it says of time is not believed
    ├── AuditError                  bytes of the audit log or of a receipt are not what they must be
    │   ├── AuditFormatError        a key, note, checkpoint, tile or bundle is not in its one canonical form
    │   ├── AuditSignatureError     the key that was asked for did not sign this
    │   ├── AuditProofError         a proof does not lead to the root it should
    │   ├── AuditTamperedError      a whole log was checked; each finding names file and place
    │   ├── AuditUnusableError      the log may not be continued: damaged, put back, closed or in use (exit 78)
    │   └── AuditStorageError       the disk refused; nothing was signed, try again when it has room
    ├── AccessRefusedError          an access cannot be recorded or lacks its purpose: nothing is shown or done
    ├── StoreError                  a store (keyed state, alerts, cursors) cannot be opened, read or written
    └── StackError                  the local broker or registry did not start or stop as asked

An error says what happened, to which record (topic, partition, offset, event id) and what to do next.
Errors of the libraries underneath are chained, never leaked.
"""

from __future__ import annotations

from collections.abc import Sequence

#: sysexits.h EX_CONFIG: the supervisor does not restart a process that ends with it.
EXIT_WILL_NOT_HELP_TO_RESTART = 78


class XiezhiError(Exception):
    """Root of every error raised on purpose."""

    exit_code = 1


class ConfigurationError(XiezhiError):
    """A setting, file or port is wrong; the message names it and the remedy."""

    exit_code = EXIT_WILL_NOT_HELP_TO_RESTART


class DeadLetterLimitError(ConfigurationError):
    """More records of one topic were dead-lettered within a minute than the limit allows."""


class UnregisteredSubjectError(ConfigurationError):
    """The registry definitively has no schema for a subject: its contract was never applied."""


class ActivationMismatchError(ConfigurationError):
    """The code of a rule on this worker differs from the code that was activated."""


class RecordRefusedError(XiezhiError):
    """A record breaks its contract and was refused before it left the publisher.

    `field` is the dotted path of the offending field ("" when the whole record is meant), `reason` one sentence.
    """

    def __init__(self, reason: str, *, field: str = "", record_id: str = "") -> None:
        self.reason, self.field, self.record_id = reason, field, record_id
        where = f" field {field!r}" if field else ""
        super().__init__(f"record {record_id or '?'}{where}: {reason}")


class BadRecordError(XiezhiError):
    """Bytes on a topic break their contract. `reason` is a stable code for counting, `detail` one sentence."""

    def __init__(self, reason: str, detail: str) -> None:
        self.reason, self.detail = reason, detail
        super().__init__(f"{reason}: {detail}")


class UnknownSchemaError(XiezhiError):
    """The registry definitively does not know this schema id or subject (HTTP 404)."""


class IncompatibleSchemaError(XiezhiError):
    """The registry refuses a schema because readers of the subject would break."""


class RegistryUnavailableError(XiezhiError):
    """The registry cannot be reached or answers 5xx. Wait; never dead-letter."""


class BrokerUnavailableError(XiezhiError):
    """No broker answers at the configured addresses. Wait and try again."""


class DeliveryError(XiezhiError):
    """The broker did not accept a record within its delivery timeout."""


class ClockAheadError(XiezhiError):
    """This machine's clock is ahead of the broker's, so that its ticks are refused; set the time and start again."""


class AccessRefusedError(XiezhiError):
    """An access cannot be put on the trail, or lacks the purpose that must be stated: nothing was shown or done."""


class StoreError(XiezhiError):
    """A store (keyed state, alerts, cursors) cannot be opened, read or written."""


class AuditError(XiezhiError):
    """Bytes of the audit log or of a receipt are not what they must be."""


class AuditFormatError(AuditError):
    """A key, note, checkpoint, tile or bundle is not in its one canonical form."""


class AuditSignatureError(AuditError):
    """The key that was asked for did not sign this, or its signature is wrong."""


class AuditProofError(AuditError):
    """An inclusion or consistency proof does not lead to the root it should."""


class AuditTamperedError(AuditError):
    """A whole audit log was checked and found wrong. `findings` holds one sentence each: file, place, what is wrong."""

    def __init__(self, findings: Sequence[str]) -> None:
        self.findings = tuple(findings)
        super().__init__("the audit log is not what was signed:\n" + "\n".join(self.findings))


class AuditUnusableError(AuditError):
    """The log may not be continued: damaged, older than a checkpoint seen elsewhere, closed, or in use."""

    exit_code = EXIT_WILL_NOT_HELP_TO_RESTART


class AuditStorageError(AuditError):
    """The disk refused to read or write. Nothing was signed over it; try again when the cause is gone."""


class StackError(XiezhiError):
    """The local broker or registry did not start or stop as asked."""
