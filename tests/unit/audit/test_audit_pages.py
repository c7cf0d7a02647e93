"""The pages about the audit log: their code runs as it stands there, and finds what it should."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from xiezhi.audit.log import AuditLog
from xiezhi.audit.note import Signer, Verifier
from xiezhi.audit.reader import AuditLogReader
from xiezhi.audit.rotation import next_key

DOCS = Path(__file__).parents[3] / "docs"
SIGNER = Signer("audit.test/page", bytes(range(32)))


def python_of(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", (DOCS / page).read_text("utf-8"), re.S | re.M)


@pytest.mark.parametrize("size", [0, 1, 256, 700])
def test_the_script_of_the_reference_page_verifies_a_log_and_finds_a_changed_entry(
    tmp_path: Path, size: int
) -> None:
    with AuditLog.create(tmp_path / "log", SIGNER.name, SIGNER) as log:
        log.append([f"entry {at}".encode() for at in range(size)], [b"s" * 16] * size)
        log.publish()
    (script,) = python_of("reference/audit-log.md")
    command = [sys.executable, "-c", script, str(tmp_path / "log"), str(SIGNER.verifier)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert told.stdout == f"{size} entries are those that audit.test/page signed\n"
    for path in (tmp_path / "log/tile/entries").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes().replace(b"entry", b"Entry"))
            assert subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 1


def test_the_code_of_the_page_about_keys_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made, changed, lost = python_of("how-to/audit-keys.md")
    names: dict[str, object] = {}
    exec(made, names)  # noqa: S102 - the page's own code
    signer = names["signer"]
    assert isinstance(signer, Signer)
    AuditLog.create(Path("log-1"), signer.name, signer).close()
    exec(changed, names)  # noqa: S102 - likewise
    assert (
        next_key(AuditLogReader(Path("log-1"), signer.verifier)) == Signer.read(Path("audit-2.key")).verifier
    )
    exec(lost, names)  # noqa: S102 - likewise
    replacement = names["replacement"]
    assert isinstance(replacement, Signer)
    for folder, verifier in (
        ("log-1", signer.verifier),
        ("log-3", Verifier.parse(str(replacement.verifier))),
    ):
        AuditLogReader(Path(folder), verifier).verify()
