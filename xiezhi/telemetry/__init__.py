"""Traces of alerts: what the log carries for them, the spans that follow from it, and where spans go.

Libraries make spans with the OpenTelemetry API alone; an SDK is set up only by `setup.tracing`, which services and
commands call. Names and attributes follow the messaging conventions 1.44. Identifiers in spans are opaque: hashes and
addresses in the log, never a record's id, key, subject or text.
"""
