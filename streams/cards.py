"""Rule cards: what people read about a rule and may set on it, as packs of YAML and as canonical JSON in the log.

A card never decides: the rule's module does, with the card's parameters. Packs overlay each other (`extends`), so a
law pack states only what differs. A pack that lacks a text or names something unknown is refused when it is loaded.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from datetime import date
from pathlib import Path
from string import Formatter
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from streams import joins
from streams.calendars import SiteDays, content
from streams.kernel import Finding, Outcome, Parameters, Tier
from streams.rule_code import code_hash
from streams.rules.working_days import NAME, WorkingDays, is_calendar, summary
from streams.wording import Language, written
from xiezhi.errors import ConfigurationError

__all__ = ["Card", "Language", "code_hash", "load_pack", "render", "switched_off"]

Words = Annotated[str, Field(min_length=1)]

_PACKS = Path(__file__).parent / "packs"
_EPOCH_DAY = date(1970, 1, 1)
_DAY_MS = 86_400_000


class Part(BaseModel):
    """A piece of a card: nothing unknown in it, nothing changed later."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Text(Part):
    """One text for readers, in Chinese and in English."""

    zh: Words
    en: Words


class Reason(Text):
    """What a reason code of the rule means. Of a HIT it is the explanation, with {numbers} of the finding in it."""

    outcome: Outcome


class Setting(Part):
    """One value of a parameter: since a day and for a jurisdiction, or always and everywhere."""

    value: Any
    since: date | None = None
    jurisdiction: Annotated[str, Field(pattern=r"^[0-9]{0,12}$")] = ""

    @model_validator(mode="after")
    def _calendar_can_be_read(self) -> Self:
        self.read()
        return self

    def read(self) -> Any:
        """The value as rules get it: a calendar as WorkingDays, anything else as it is."""
        return WorkingDays.from_value(self.value) if is_calendar(self.value) else self.value

    def quoted(self) -> Any:
        """The value as an alert quotes it: of a calendar a summary, since its days would fill pages."""
        return summary(self.value) if is_calendar(self.value) else self.value


class Parameter(Part):
    """What can be set, and its values. The most specific jurisdiction wins, then the newest day."""

    about: Text
    values: Annotated[tuple[Setting, ...], Field(min_length=1)]


class Card(Part):
    """One rule as people see it; activated as a whole, together with the hash of the rule's code."""

    id: Words
    version: Annotated[int, Field(strict=True, ge=1)]
    title: Text
    text: Text
    reasons: Annotated[dict[str, Reason], Field(min_length=1)]
    subject: Annotated[tuple[str, ...], Field(min_length=1)]
    numbers: dict[str, Text]
    words: dict[str, Text] = {}  # how codes among the numbers read, e.g. "open": 公开招标
    legal_basis: Annotated[tuple[Words, ...], Field(min_length=1)]
    severity: Literal["red", "orange", "yellow"]
    handling: Literal["open", "sealed"] = "open"
    settle_seconds: Annotated[int, Field(strict=True, ge=0, le=86_400)] = 0
    identity_tier: Tier
    false_positives: Annotated[tuple[Text, ...], Field(min_length=1)]
    parameters_of: Annotated[dict[str, Parameter], Field(alias="parameters")] = {}
    utc_offset_minutes: Annotated[int, Field(strict=True, ge=-720, le=840)] = 0  # for dates in texts

    @model_validator(mode="after")
    def _texts_fit_the_numbers(self) -> Self:
        known = {*self.subject, *self.numbers}
        for code, reason in self.reasons.items():
            for lang, template in (("zh", reason.zh), ("en", reason.en)):
                unknown = _placeholders(template) - known
                if unknown:
                    raise ValueError(
                        f"reason {code!r} ({lang}) names {sorted(unknown)}, which no number is called"
                    )
        if not any(reason.outcome is Outcome.HIT for reason in self.reasons.values()):
            raise ValueError("no reason is a HIT, so the rule could never speak")
        return self

    @classmethod
    def from_json(cls, text: str) -> Card:
        """The card in an activation; raises ConfigurationError."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise ConfigurationError(f"this is not a rule card: {_first(error)}") from error

    def canonical_json(self) -> str:
        """The whole card with one spelling: what an activation carries and its hash covers."""
        whole = self.model_dump(mode="json", by_alias=True)
        return json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    def parameters(self) -> Parameters:
        """The parameters as rules read them."""
        return Parameters({name: _entries(parameter) for name, parameter in self.parameters_of.items()})

    def parameters_as_json(self) -> dict[str, Any]:
        """Values as an alert quotes them: bare where there is one for always and everywhere, else with conditions."""
        return {name: _quoted(parameter) for name, parameter in self.parameters_of.items()}


def render(card: Card, finding: Finding, lang: Language) -> str:
    """The explanation of a finding. Raises ConfigurationError when card and rule disagree about reasons or numbers."""
    reason = card.reasons.get(finding.reason)
    if reason is None or reason.outcome is not finding.outcome:
        raise ConfigurationError(f"card {card.id} knows no {finding.outcome} for reason {finding.reason!r}")
    values = {**finding.subject, **finding.numbers}
    currency = str(finding.numbers.get("currency", ""))
    shown = {
        name: _word(card, value, lang) or written(name, value, currency, card.utc_offset_minutes)
        for name, value in values.items()
    }
    try:
        return (reason.zh if lang == "zh" else reason.en).format_map(shown)
    except KeyError as error:
        raise ConfigurationError(
            f"card {card.id}, reason {finding.reason!r}: the rule gives no {error}"
        ) from error


def load_pack(name: str, site: SiteDays | None = None) -> tuple[Card, ...]:
    """The cards of a pack, by id: exactly one for every rule of the joins that the pack does not switch off.

    Raises ConfigurationError. Calendars that parameters name become their days here, with those of the `site` laid
    over them.
    """
    merged = _merged_pack(name)
    offset = merged.get("utc_offset_minutes", 0)
    cards = [
        _card(name, rule_id, {"utc_offset_minutes": offset, **_with_days(body, site or SiteDays())})
        for rule_id, body in merged["cards"].items()
        if rule_id not in merged.get("removed", {})
    ]
    ruled = {rule.id for join in joins.JOINS for rule in join.rules} - set(merged.get("removed", {}))
    carded = {card.id for card in cards}
    if ruled != carded:
        raise ConfigurationError(
            f"pack {name!r}: rules without a card {sorted(ruled - carded)}, "
            f"cards without a rule {sorted(carded - ruled)}"
        )
    return tuple(sorted(cards, key=lambda card: card.id))


def switched_off(name: str) -> dict[str, str]:
    """Rules that a pack takes out, and why: `removed: {P01: …}`."""
    return {str(rule_id): str(why) for rule_id, why in _merged_pack(name).get("removed", {}).items()}


def _merged_pack(name: str) -> dict[str, Any]:
    """The YAML of a pack laid over the packs it extends."""
    path = _PACKS / f"{name}.yaml"
    if not path.is_file():
        known = sorted(found.stem for found in _PACKS.glob("*.yaml"))
        raise ConfigurationError(f"there is no rule pack {name!r}; known are {known}")
    try:
        pack = yaml.load(path.read_text("utf-8"), _UniqueKeys)  # noqa: S506 -- descends from CSafeLoader
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path.name}: {error}") from error
    unknown = set(pack) - {"extends", "utc_offset_minutes", "cards", "removed"}
    if unknown:
        raise ConfigurationError(f"{path.name}: unknown keys {sorted(unknown)}")
    base = pack.pop("extends", None)
    return _overlaid(_merged_pack(base), pack) if base else dict(pack)


def _overlaid(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` on `base`: mappings merge key by key, everything else is replaced."""
    result = dict(base)
    for key, value in over.items():
        held = result.get(key)
        if isinstance(held, Mapping) and isinstance(value, Mapping):
            value = _overlaid(held, value)
        result[key] = value
    return result


def _with_days(body: Mapping[str, Any], site: SiteDays) -> dict[str, Any]:
    """The body of a card whose parameters hold the days of the calendars that they name."""
    filled = {
        name: {**parameter, "values": [each for one in parameter["values"] for each in _filled(one, site)]}
        for name, parameter in body.get("parameters", {}).items()
        if any(is_calendar(one.get("value")) for one in parameter["values"])
    }
    return {**body, "parameters": {**body.get("parameters", {}), **filled}}


def _filled(setting: Mapping[str, Any], site: SiteDays) -> list[Mapping[str, Any]]:
    """One setting, or one for every division that has days of its own."""
    if not is_calendar(setting.get("value")):
        return [setting]
    here = setting.get("jurisdiction", "")
    return [
        {**setting, "jurisdiction": prefix if len(prefix) > len(here) else here, "value": days}
        for prefix, days in content(str(setting["value"][NAME]), site).items()
        if not prefix or prefix.startswith(here)
    ]


def _card(pack: str, rule_id: str, body: Mapping[str, Any]) -> Card:
    try:
        return Card.model_validate({"id": rule_id, **body})
    except ValidationError as error:
        raise ConfigurationError(f"pack {pack!r}, card {rule_id!r}: {_first(error)}") from error


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"


def _entries(parameter: Parameter) -> list[dict[str, Any]]:
    entries = []
    for setting in parameter.values:
        entry = {"value": setting.read(), "jurisdiction": setting.jurisdiction}
        if setting.since is not None:
            entry["from_ms"] = (setting.since - _EPOCH_DAY).days * _DAY_MS
        entries.append(entry)
    return entries


def _quoted(parameter: Parameter) -> Any:
    if parameter.values == (Setting(value=parameter.values[0].value),):
        return parameter.values[0].quoted()
    return [
        {**setting.model_dump(mode="json", exclude_defaults=True), "value": setting.quoted()}
        for setting in parameter.values
    ]


def _word(card: Card, value: int | str, lang: Language) -> str | None:
    word = card.words.get(value) if isinstance(value, str) else None
    return None if word is None else word.zh if lang == "zh" else word.en


def _placeholders(template: str) -> set[str]:
    """Names in braces; raises ValueError for anything but a plain name."""
    found = set()
    for _, name, spec, conversion in Formatter().parse(template):
        if name is None:
            continue
        if not name.isidentifier() or spec or conversion:
            raise ValueError(f"{{{name}}} is not a plain name in braces")
        found.add(name)
    return found


class _UniqueKeys(yaml.CSafeLoader):
    """YAML whose mappings name a key once: a card pasted twice must not silently lose its first copy.

    The parser in C, which PyYAML's wheels contain, reads a pack ten times faster than the one in Python.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is given twice", node.start_mark
                )
        return super().construct_mapping(node, deep)
