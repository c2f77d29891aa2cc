"""Take the files of interest out of archives, under caps, the likeliest first (worker side)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from grader.archives import Archive, Member, Refused, in_memory, open_archive
from grader.intake.caps import DEFAULT_CAPS, MIB, Caps, is_junk
from grader.intake.choose import handed_out, likelihood
from grader.intake.holdings import Held, Places, Rank, bare_stem, without_covered_checkpoints
from grader.intake.kinds import HEAD_BYTES, READ, Kind, kind_by_name, kind_of
from grader.intake.names import quoted
from grader.intake.report import Note

_MOST_FILES = 1_000  # taken out of all archives together


@dataclass
class Unpacked:
    """
    What came out of the archives so far, and what was spent on it.

    Args:
        files: those that are read, each with its path: the archive's own counts as a folder.
        unread: path -> what it is, for files that are not read.
        notes: what was left out, and why.
        entries: members listed.
        total_bytes: unpacked bytes taken.
        archives: how many were looked at.
        opened: their paths, of those that could be.
        nested_bytes: bytes of archives that came out of others.
        looks: files whose first bytes were looked at to find out what they are.
    """

    files: list[Held] = field(default_factory=list)
    unread: dict[str, Kind] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    entries: int = 0
    total_bytes: int = 0
    archives: int = 0
    opened: set[str] = field(default_factory=set)
    nested_bytes: int = 0
    looks: int = 0


@dataclass(frozen=True)
class _Candidate:
    """A member that may be taken: where it will lie, and what it is."""

    archive: str
    member: Member
    path: str
    kind: Kind | None


def unpack(archives: Mapping[str, bytes | memoryview], *, caps: Caps = DEFAULT_CAPS) -> Unpacked:
    """
    Return the notebooks, modules and saved files inside archives, and inside archives within them.

    Args:
        archives: path -> content.
        caps: how much to take, of all archives together.
    """
    unpacking = _Unpacking(caps)
    waiting: Mapping[str, bytes | memoryview] = archives
    for nesting in range(1, caps.nesting + 1):
        waiting = unpacking.take_level(waiting, nesting)
    if waiting:
        text = f"{first_of(list(waiting))} was not opened: it lies within {caps.nesting} other archives."
        unpacking.into.notes.append(Note("archive", text))
    return unpacking.into


class _Unpacking:
    def __init__(self, caps: Caps) -> None:
        self._caps = caps
        self.into = Unpacked()

    def note(self, kind: str, path: str, text: str) -> None:
        self.into.notes.append(Note(kind, f"{quoted(path)} {text}"))

    def take_level(self, archives: Mapping[str, bytes | memoryview], nesting: int) -> dict[str, bytes]:
        """Take what is wanted out of archives that lie equally deep; return the archives among it."""
        paths = list(archives)
        late = paths[max(0, self._caps.archives - self.into.archives) :]
        if late:
            text = f"{first_of(late)} was not opened: at most {self._caps.archives} archives are."
            self.into.notes.append(Note("archive", text))
        self.into.archives += len(paths) - len(late)
        listed = {path: self._open(path, archives[path]) for path in paths[: len(paths) - len(late)]}
        opened = {path: archive for path, archive in listed.items() if archive is not None}
        named = [candidate for path in opened for candidate in self._candidates(path, opened[path])]
        known = [candidate for candidate in named if candidate.kind in READ]
        known += self._looked_at([candidate for candidate in named if candidate.kind is None], opened)
        within: dict[str, bytes] = {}
        for candidate, content in self._contents(self._affordable(known), opened):
            kind = kind_of(candidate.path, content[:HEAD_BYTES])
            if kind is Kind.ARCHIVE:
                within[candidate.path] = content
            elif kind in READ:
                self.into.files.append(Held(candidate.path, content, kind, nesting))
            else:
                self.into.unread[candidate.path] = kind
        return within

    def _open(self, path: str, data: bytes | memoryview) -> Archive | None:
        caps = self._caps
        try:
            if len(data) > caps.archive_bytes:
                raise Refused(f"was not opened: it is larger than {caps.archive_bytes // MIB} MiB.")
            left = caps.entries - self.into.entries
            archive = open_archive(in_memory(data), path, most_members=left, most_bytes=caps.stream_bytes)
        except Refused as refused:
            self.note("archive", path, str(refused))
            return None
        self.into.opened.add(path)
        self.into.entries += len(archive.members)
        if not archive.members:
            self.note("archive", path, "is an archive without any file in it.")
        return archive

    def _candidates(self, archive_path: str, archive: Archive) -> list[_Candidate]:
        """Return the members that may be of interest; those that cannot be read leave a note."""
        found: dict[str, _Candidate] = {}
        problems: dict[str, list[str]] = defaultdict(list)
        for member in archive.members:
            path = member.path or member.name
            if member.is_folder or is_junk(path):
                continue
            kind = kind_by_name(path)
            if member.problem:
                if kind in READ:
                    problems[member.problem].append(path)
            elif kind is not Kind.OTHER or bare_stem(path) in _STEMS:
                whole = f"{archive_path}/{path}"
                if whole not in found or member.name == path:
                    found[whole] = _Candidate(archive_path, member, whole, kind)
        for problem, paths in problems.items():
            self.into.notes.append(Note("archive", f"{first_of(paths)} in {quoted(archive_path)} {problem}"))
        for whole, candidate in found.items():
            if candidate.kind is Kind.OTHER:
                self.into.unread[whole] = Kind.OTHER
        kept = without_covered_checkpoints(found)
        return [found[path] for path in kept if found[path].kind is not Kind.OTHER]

    def _looked_at(self, unknown: Sequence[_Candidate], opened: Mapping[str, Archive]) -> list[_Candidate]:
        """Find out by their first bytes what files are whose names do not say it."""
        places = sorted(unknown, key=lambda each: (bare_stem(each.path) not in _STEMS, each.path.count("/"), each.path))
        looked = places[: self._caps.looks - self.into.looks]
        self.into.looks += len(looked)
        if len(looked) < len(places):
            text = f"{len(places) - len(looked)} files whose names do not say what they are were not looked at."
            self.into.notes.append(Note("left-out", text))
        found = []
        for candidate, head in self._contents(looked, opened, most=HEAD_BYTES):
            kind = kind_of(candidate.path, head)
            if kind in READ:
                found.append(_Candidate(candidate.archive, candidate.member, candidate.path, kind))
            elif kind is not Kind.OTHER or bare_stem(candidate.path) in _STEMS:
                self.into.unread[candidate.path] = kind
        return found

    def _affordable(self, candidates: Sequence[_Candidate]) -> list[_Candidate]:
        """Return what fits under the caps, the likeliest first, and leave a note about each other one."""
        places = Places([candidate.path for candidate in candidates], handed_out())
        taken: list[_Candidate] = []
        reasons: dict[str, list[str]] = defaultdict(list)
        for candidate in sorted(candidates, key=lambda each: self._likelihood(each, places)):
            reason = self._too_much(candidate, len(taken))
            if reason:
                reasons[reason].append(candidate.path)
                continue
            if candidate.kind is Kind.ARCHIVE:
                self.into.nested_bytes += candidate.member.size
            else:
                self.into.total_bytes += candidate.member.size
            taken.append(candidate)
        self.into.notes += [Note("left-out", f"{first_of(paths)} {reason}") for reason, paths in reasons.items()]
        return taken

    def _likelihood(self, candidate: _Candidate, places: Places) -> Rank:
        size = candidate.member.size
        return likelihood(candidate.path, candidate.kind, places.rank(candidate.path), size)

    def _too_much(self, candidate: _Candidate, taken: int) -> str:
        caps, size = self._caps, candidate.member.size
        if taken >= _MOST_FILES:
            return f"was left out: at most {_MOST_FILES:,} files are taken out of archives."
        if candidate.kind is Kind.ARCHIVE:
            is_over = self.into.nested_bytes + size > caps.archive_bytes
            return (
                f"was not opened: archives within others may hold {caps.archive_bytes // MIB} MiB." if is_over else ""
            )
        if size > caps.file_bytes:
            return f"was left out: it holds {-(-size // MIB)} MiB, and a file may hold {caps.file_bytes // MIB} MiB."
        if self.into.total_bytes + size > caps.total_bytes:
            return f"was left out: all files of archives together may hold {caps.total_bytes // MIB} MiB."
        return ""

    def _contents(
        self, candidates: Sequence[_Candidate], opened: Mapping[str, Archive], *, most: int | None = None
    ) -> Iterable[tuple[_Candidate, bytes]]:
        """Yield candidates with their bytes, or the first `most` of them; those that are damaged leave a note."""
        by_archive: dict[str, dict[int, _Candidate]] = defaultdict(dict)
        for candidate in candidates:
            by_archive[candidate.archive][candidate.member.index] = candidate
        for path, wanted in by_archive.items():
            for member, chunks in opened[path].read([each.member for each in wanted.values()]):
                candidate = wanted[member.index]
                try:
                    yield candidate, _joined(chunks, member.size, most)
                except Refused as refused:
                    if candidate.kind in READ:
                        self.note("archive", candidate.path, str(refused))


def _joined(chunks: Iterable[bytes], size: int, most: int | None) -> bytes:
    """Return the bytes of a member, or the first `most` of them; no more than it says that it has are believed."""
    pieces, length = [], 0
    for chunk in chunks:
        pieces.append(chunk)
        length += len(chunk)
        if length > size:
            raise Refused("is damaged inside its archive and was left out. Pack your files again.")
        if most is not None and length >= most:
            break
    return b"".join(pieces)[:most]


def first_of(paths: Sequence[str]) -> str:
    """Return the first of some paths, and how many more there are."""
    return quoted(paths[0]) + (f" (and {len(paths) - 1} more)" if len(paths) > 1 else "")


_STEMS = frozenset(map(bare_stem, handed_out()))
