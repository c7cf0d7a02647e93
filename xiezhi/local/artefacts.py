"""Kafka and the schema registry as files: fetched once from a Maven repository, checked against pins.

`artefacts.toml`, shipped with the package, names every file and its sha256. What the cache holds is used
without touching the network; a file that does not match its digest is never used. Versions are resolved by
`deploy/lock_artefacts.py`, not here.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import shutil
import tarfile
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from xiezhi.errors import ConfigurationError, StackError
from xiezhi.local.settings import LocalSettings

if TYPE_CHECKING:
    from jgo.maven import MavenContext

LOCK = Path(__file__).with_name("artefacts.toml")
ATTEMPTS = 3
RETRY_PAUSE_S = 1.0
TIMEOUT_S = 30

Say = Callable[[str], None]


@dataclass(frozen=True)
class Artefact:
    """One pinned file of a Maven repository."""

    part: Literal["broker", "registry", "benchmark"]
    group: str
    name: str
    version: str
    sha256: str
    bytes: int
    classifier: str = ""
    packaging: str = "jar"

    @property
    def filename(self) -> str:
        suffix = f"-{self.classifier}" if self.classifier else ""
        return f"{self.name}-{self.version}{suffix}.{self.packaging}"

    def below(self, repository: Path) -> Path:
        """Where a repository laid out like Maven's keeps it."""
        return repository.joinpath(*self.group.split("."), self.name, self.version, self.filename)


def pinned(part: str, lock: Path = LOCK) -> tuple[Artefact, ...]:
    """The artefacts of one part of the stack, in the lock's order."""
    with lock.open("rb") as file:
        entries = tomllib.load(file)["artefact"]
    return tuple(Artefact(**entry) for entry in entries if entry["part"] == part)


def broker_jars(settings: LocalSettings, say: Say) -> tuple[Path, ...]:
    """The broker's class path; downloads what is missing. Raises ConfigurationError or StackError."""
    return fetch(pinned("broker"), settings, say)


def registry_folder(settings: LocalSettings, say: Say) -> Path:
    """The unpacked registry, downloaded when missing. Raises ConfigurationError or StackError."""
    (archive,) = pinned("registry")
    folder = settings.cache / "registry" / f"{archive.version}-{archive.sha256[:16]}"
    if not folder.is_dir():
        (packed,) = fetch([archive], settings, say)
        with _exclusive(settings.cache):
            _unpack(packed, folder)
    return folder


def fetch(artefacts: Sequence[Artefact], settings: LocalSettings, say: Say) -> tuple[Path, ...]:
    """Paths of the artefacts in the cache, each with the right digest; downloads those that are missing."""
    repository = settings.cache / "maven"
    with _exclusive(settings.cache):
        missing = [a for a in artefacts if not _is_intact(a.below(repository), a)]
        if missing:
            _fill(missing, repository, settings, say)
    return tuple(a.below(repository) for a in artefacts)


def _fill(missing: Sequence[Artefact], repository: Path, settings: LocalSettings, say: Say) -> None:
    folder = _mirror_folder(settings)
    if folder is not None:
        for artefact in missing:
            _copy(artefact, folder, repository)
        return
    if settings.offline:
        raise ConfigurationError(
            f"XIEZHI_OFFLINE is set and {len(missing)} files of the local stack are not in {repository} (the "
            f"first is {missing[0].filename}); start once with a network, or set XIEZHI_MAVEN_REPOSITORY to a "
            "folder that has them"
        )
    _download(missing, repository, settings, say)


def _mirror_folder(settings: LocalSettings) -> Path | None:
    where = settings.maven_repository
    return None if not where or "://" in where else Path(where).expanduser().absolute()


def _copy(artefact: Artefact, mirror: Path, repository: Path) -> None:
    source, target = artefact.below(mirror), artefact.below(repository)
    if not source.is_file():
        raise ConfigurationError(
            f"the Maven mirror {mirror} has no {source.relative_to(mirror)}; copy it there, "
            "or set XIEZHI_MAVEN_REPOSITORY to a complete mirror"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    _require_intact(target, artefact, str(mirror))


def _download(missing: Sequence[Artefact], repository: Path, settings: LocalSettings, say: Say) -> None:
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.maven import MavenContext, PythonResolver

    origin = settings.maven_repository.rstrip("/") or MAVEN_CENTRAL_URL
    progress = Progress(sum(artefact.bytes for artefact in missing), say)
    resolver = PythonResolver(progress_callback=progress.of_file)
    maven = MavenContext(resolver, repository, remote_repos={"origin": origin}, timeout=TIMEOUT_S)
    say(f"downloading {len(missing)} files, {_megabytes(progress.total)}, from {origin} into {repository}")
    for artefact in missing:
        _download_one(maven, artefact, origin)
        _require_intact(artefact.below(repository), artefact, origin)


class Progress:
    """Says how far a download of `total` bytes has come, one line per tenth."""

    def __init__(self, total: int, say: Say) -> None:
        self.total, self._say = total, say
        self._done = 0

    @contextlib.contextmanager
    def of_file(self, name: str, size: int) -> Iterator[Callable[[int], None]]:
        """The callback protocol of the Maven client; a retried file counts again, up to the total."""
        yield self._advance

    def _advance(self, count: int) -> None:
        before, self._done = self._done, min(self._done + count, self.total)
        if self._done * 10 // self.total > before * 10 // self.total:
            self._say(f"  {self._done * 100 // self.total:3} %  {_megabytes(self._done)}")


def _download_one(maven: MavenContext, artefact: Artefact, origin: str) -> None:
    """One file into the cache, tried a few times, because a dropped connection is common."""
    import requests

    target = artefact.below(maven.repo_cache)
    component = maven.project(artefact.group, artefact.name).at_version(artefact.version)
    for attempt in range(1, ATTEMPTS + 1):
        target.unlink(missing_ok=True)  # what an interrupted download left behind
        try:
            component.artifact(artefact.classifier, artefact.packaging).resolve()
        except (requests.RequestException, RuntimeError) as error:  # RuntimeError: not in this repository
            target.unlink(missing_ok=True)
            if attempt == ATTEMPTS:
                raise ConfigurationError(
                    f"cannot download {artefact.filename} from {origin} ({_reason(error)}); the first start "
                    "needs the network: connect, or set XIEZHI_MAVEN_REPOSITORY to a mirror (URL or folder)"
                ) from error
            time.sleep(RETRY_PAUSE_S * attempt)
        else:
            return


def _reason(error: Exception) -> str:
    """The innermost cause in a few words; the outer layers repeat it with object addresses."""
    cause: BaseException = error
    while (inner := cause.__cause__ or cause.__context__) is not None:
        cause = inner
    return f"{type(cause).__name__}: {cause}"[:200]


def _require_intact(path: Path, artefact: Artefact, origin: str) -> None:
    if not _is_intact(path, artefact):
        path.unlink(missing_ok=True)
        raise StackError(
            f"{artefact.filename} from {origin} does not have the sha256 that this release pins, so it was not "
            "used; try again, and if it happens again do not trust that repository"
        )


def _is_intact(path: Path, artefact: Artefact) -> bool:
    try:
        if path.stat().st_size != artefact.bytes:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == artefact.sha256
    except FileNotFoundError:
        return False


def _unpack(archive: Path, folder: Path) -> None:
    """Unpacks beside the target and renames: a half-unpacked folder is never taken for a whole one."""
    if folder.is_dir():
        return
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    with tarfile.open(archive) as tar:
        tar.extractall(partial, filter="data")
    partial.rename(folder)
    archive.unlink()  # 158 MB that nothing reads again


@contextlib.contextmanager
def _exclusive(cache: Path) -> Iterator[None]:
    """One process at a time changes the cache; the others wait and then find everything there."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.0f} MB"
