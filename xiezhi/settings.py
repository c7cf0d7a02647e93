"""Settings of every process, read once from the environment (prefix `XIEZHI_`) and passed on.

A variable wins over the default; the command line wins over both. Nothing here opens or starts anything; one file is
read, which says the live generation.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from xiezhi.errors import ConfigurationError

#: Below `data_dir`: which generation is live, once it is not the first.
GENERATION_FILE = "generation"


def live_generation(data_dir: Path) -> int:
    """The generation that `xiezhi refile` switched the bus of this folder to, 1 if it never did.

    Raises ConfigurationError when the file holds anything else than a number.
    """
    file = data_dir / GENERATION_FILE
    try:
        return int(file.read_text("ascii"))
    except FileNotFoundError:
        return 1
    except ValueError as error:
        raise ConfigurationError(
            f"{file} holds no number: {error}; write the live generation into it"
        ) from error


def _live(validated: Mapping[str, Any]) -> int:
    return live_generation(validated.get("data_dir", Path()))


class Settings(BaseSettings):
    """Where the bus is and how this process behaves. Defaults fit the local stack of `make up`."""

    model_config = SettingsConfigDict(env_prefix="XIEZHI_", frozen=True, extra="ignore")

    #: Kafka brokers, host:port, comma separated.
    bootstrap_servers: str = "127.0.0.1:19092"
    #: Registry root that speaks the Confluent dialect.
    registry_url: str = "http://127.0.0.1:18081/apis/ccompat/v7"
    #: Everything local: stores, alert database, cursors. May be deleted at any time except the alert database.
    data_dir: Path = Path(".xiezhi/data")
    #: Partitions of every topic that `contracts apply` creates. Fixed for life once created.
    partitions: int = Field(default=2, ge=1)
    #: Generation of the fact topic that is live; default: what `generation` below `data_dir` says, else 1.
    generation: int = Field(default_factory=_live, ge=1)
    #: Seconds between two ticks of the clock.
    tick_interval_s: float = Field(default=60.0, ge=0.1)
    #: Keys that a judge process judges again a second after an activation, at most; and at most half of its time.
    rejudged_keys_per_s: float = Field(default=2000.0, gt=0)
    #: How far ahead of ingestion a record may say it occurred before it is a bad record.
    future_tolerance_s: float = Field(default=300.0, ge=0)
    #: Dead letters per topic and minute past which a service stops with exit code 78.
    dead_letters_per_minute_max: int = Field(default=1000, ge=0)
    #: Session time-out of consumer groups; how long a dead worker keeps its partitions.
    session_timeout_s: float = Field(default=6.0, gt=0)
    #: Folder of the audit log's private keys; default: `audit/keys` below `data_dir`. Keep it from the log's backups.
    audit_key_dir: Path | None = None
    #: Name of this worker's folder below `data_dir`; two workers of one service on one machine need two.
    worker: str = "0"
    #: File with working days of the site (YAML), laid over the library's when rules are activated.
    working_days: Path | None = None
    log_level: str = "INFO"
    #: Port on loopback where this process serves its metrics; 0: nowhere. `xiezhi up` gives each service its own.
    metrics_port: int = Field(default=0, ge=0, le=65535)
    #: Seconds between two looks of the monitor.
    monitor_interval_s: float = Field(default=5.0, gt=0)
    #: Free space below which `xiezhi doctor` complains, in gibibytes: the broker stops when its disk is full.
    disk_free_min_gib: float = Field(default=2.0, ge=0)
    #: Who acts, for the access trail: a URN or the name of a user. "": the account of the operating system.
    actor: str = ""
    #: Why, for the access trail, where a command is given no `--purpose`.
    purpose: str = ""
    #: Whether commands that leave an access record are refused without a purpose.
    purpose_required: bool = False


def read_settings() -> Settings:
    """The settings of a service. Raises ConfigurationError naming the variable, so that nobody restarts in vain."""
    try:
        return Settings()
    except ValidationError as error:
        raise wrong_setting(error) from error


def wrong_setting(error: ValidationError) -> ConfigurationError:
    """Names the environment variable: that is where a wrong setting comes from."""
    first = error.errors()[0]
    variable = f"XIEZHI_{first['loc'][0]}".upper() if first["loc"] else error.title
    return ConfigurationError(f"{variable}={first['input']}: {first['msg']}; correct or unset it")
