"""
Verdicts from staff machines, for a platform without a GPU: embedded in its zip, signed, keyed by content.

Staff grade the export where there is a GPU, and release a zip with the verdicts in it. On the platform a submission of
exactly those bytes gets the embedded verdict, and everything else is graded there. The key that signs stays with the
staff; the zip has its public half. A verdict is taken only if the signature is right, and if grader, rubric and
content are the ones it was signed for.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grader.errors import StaffError
from grader.feedback.results import write_results
from grader.fleet.digests import content_digest, grader_digest, rubric_digest
from grader.pipeline.homework import Homework
from grader.rubric import Rubric, load_rubric

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ROOT = Path(__file__).parents[2]
SIGNING_KEY = ROOT / "grader" / "verdicts.key"  # never in a zip
FOLDER = ROOT / "grader" / "relayed"  # where the platform's zip has the verdicts
_NEEDED_THERE = ("grader/fleet/__init__.py", "grader/fleet/digests.py", "grader/fleet/relay.py")
_PUBLIC_KEY = "public.key"
_SIGNATURE_BYTES = 64
_MAX_BYTES = 16 * 2**20
_FORMAT = 1
_NOTE = "*These points come from a run on {where}, over exactly the files that you handed in.*"
_WHERE = {"cuda": "a GPU of the staff's", "cpu": "a machine of the staff's"}


@dataclass(frozen=True)
class Relayed:
    """What became of looking for a verdict: its results.json, or why there is none ("" where none was embedded)."""

    results: dict[str, Any] | None = None
    refused: str = ""


def verdict_files(
    homework: Homework, graded_folder: Path, rubric: Path, *, key_file: Path = SIGNING_KEY
) -> dict[str, bytes]:
    """
    Return what a release embeds: name in the zip -> bytes, a signed verdict for each graded submission.

    Args:
        homework: what was graded.
        graded_folder: what `python -m grader class` wrote.
        rubric: the rubric of the release.
        key_file: the staff's key; made here once if it is not there.

    Raises:
        StaffError: the class was graded by other sources or another rubric than those of the release.
    """
    # The platform has neither of the two, and takes no part in this.
    from grader.fleet.record import GRADED
    from grader.fleet.schedule import load_class

    graded_class = load_class(graded_folder)
    if graded_class.grader != grader_digest(homework) or graded_class.rubric != rubric_digest(load_rubric(rubric)):
        raise StaffError(
            happened=f"{graded_folder} was graded by other sources or another rubric than those of this release.",
            try_next="Grade the class again with `python -m grader class`, then release.",
        )
    key = _signing_key(key_file)
    inside = FOLDER.relative_to(ROOT).as_posix()
    files = {name: (ROOT / name).read_bytes() for name in _NEEDED_THERE}
    files[f"{inside}/{_PUBLIC_KEY}"] = key.public_key().public_bytes_raw()
    for item in graded_class.graded:
        record = item.record
        if record.status == GRADED:
            verdict = {
                "format": _FORMAT,
                "content": record.content,
                "grader": graded_class.grader,
                "rubric": graded_class.rubric,
                "device": graded_class.device,
                "results": record.results,
            }
            payload = json.dumps(verdict, sort_keys=True).encode()
            files[f"{inside}/{record.content}.verdict"] = key.sign(payload) + payload
    return files


def _signing_key(path: Path) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(Ed25519PrivateKey.generate().private_bytes_raw())
    try:
        return Ed25519PrivateKey.from_private_bytes(path.read_bytes())
    except (OSError, ValueError) as error:
        raise StaffError(
            happened=f"The signing key {path} cannot be read ({error}).",
            try_next="Put the right file there, or remove it: a new one is made.",
        ) from error


def relayed_verdict(homework: Homework, submission: Path, rubric: Rubric, *, folder: Path = FOLDER) -> Relayed:
    """
    Look for an embedded verdict on a submission, and take it only if everything about it is right.

    Nothing of the submission is parsed.
    """
    if not (folder / _PUBLIC_KEY).exists():
        return Relayed()
    content = content_digest(submission, homework.files)
    file = folder / f"{content}.verdict"
    if not file.exists():
        return Relayed()
    data = file.read_bytes()
    signature, payload = data[:_SIGNATURE_BYTES], data[_SIGNATURE_BYTES:]
    if len(data) > _MAX_BYTES or not _is_signed(signature, payload, (folder / _PUBLIC_KEY).read_bytes()):
        return Relayed(refused="its signature is wrong")
    try:
        verdict = json.loads(payload)
        expected = {
            "format": (_FORMAT, "it has another format"),
            "content": (content, "it is about another submission"),
            "grader": (grader_digest(homework), "it comes from other sources of the grader"),
            "rubric": (rubric_digest(rubric), "it comes from another rubric"),
        }
        for name, (value, refusal) in expected.items():
            if verdict[name] != value:
                return Relayed(refused=refusal)
        return Relayed(_with_note(verdict["results"], str(verdict["device"])))
    except (ValueError, KeyError, TypeError) as error:
        return Relayed(refused=f"it cannot be read ({type(error).__name__})")


def _is_signed(signature: bytes, payload: bytes, public_key: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, payload)
    except (InvalidSignature, ValueError):
        return False
    return True


def _with_note(results: dict[str, Any], device: str) -> dict[str, Any]:
    extra = {**results["extra_data"], "relayed": {"device": device}}
    return {**results, "output": f"{results['output']}\n\n{_NOTE.format(where=_WHERE[device])}", "extra_data": extra}


def relay_to(homework: Homework, submission: Path, rubric: Path, out: Path, *, folder: Path = FOLDER) -> Relayed:
    """
    Write the embedded verdict on a submission as results.json, if there is one and it may be taken.

    All of it happens in a process of its own: what it reads must not be in the memory that workers are forked from.

    Returns:
        Whether `results` were written (an empty dictionary stands for them here), or why not.
    """
    if not (folder / _PUBLIC_KEY).exists():
        return Relayed()
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        answer = b"1it could not be looked at"
        try:
            found = relayed_verdict(homework, submission, load_rubric(rubric), folder=folder)
            if found.results is not None:
                write_results(found.results, out / "results.json")
            answer = b"0" if found.results is not None else b"1" + found.refused.encode()
        except Exception as error:  # whatever it is, grading goes on
            answer = f"1it could not be taken ({type(error).__name__})".encode()
        finally:
            os.write(writing, answer)
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(pid, 0)
    return Relayed(results={}) if answer == b"0" else Relayed(refused=answer[1:].decode() or "")
