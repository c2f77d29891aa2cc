"""The walls of an audit's worker: what they admit more than those of a graded one, and what they do not."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from grader import wire
from grader.sandbox import landlock
from grader.sandbox.host import Sandbox
from grader.sandbox.limits import Limits

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a worker a uid of its own")


def run_source(request: wire.Message, connection: socket.socket) -> wire.Message:
    """Run the request's source and send its `answer` home."""
    space: dict[str, Any] = {"given": request.meta["given"], "answer": {}}
    exec(request.meta["source"], space)
    return wire.Message("answer", space["answer"])


@pytest.fixture(scope="module")
def ask() -> Iterator[Callable[..., dict[str, Any]]]:
    """Return a function that runs source in a worker that may use local sockets and read one more folder."""
    # Not below pytest's own folder, which every run of pytest closes to others anew.
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "batch").write_text("pixels")
        sandbox = stack.enter_context(Sandbox({"source": run_source}, local_sockets=True, readable=(folder,)))

        def run(source: str) -> dict[str, Any]:
            meta = {"source": textwrap.dedent(source), "given": str(folder)}
            outcome = sandbox.run("source", wire.Message("run", meta), limits=Limits(wall_s=5.0, memory_mib=256))
            assert outcome.message is not None, outcome
            return outcome.message.meta

        yield run


@pytest.mark.parametrize("family", ["AF_INET", "AF_INET6", "AF_NETLINK", "AF_PACKET", "AF_VSOCK", "AF_ALG"])
def test_no_network_even_where_local_sockets_are(ask: Callable[..., dict[str, Any]], family: str) -> None:
    """Every family but AF_UNIX is denied as everywhere, and so is the way round by io_uring."""
    source = f"""
        import ctypes, socket
        try:
            socket.socket({int(getattr(socket, family))}, socket.SOCK_DGRAM)
        except OSError as error:
            answer["errno"] = error.errno
        libc = ctypes.CDLL(None, use_errno=True)
        answer["ring"] = [libc.syscall(425, 1, 0), ctypes.get_errno()]
        """

    assert ask(source) == {"errno": errno.EPERM, "ring": [-1, errno.EPERM]}


def test_a_client_and_its_kernel_can_speak(ask: Callable[..., dict[str, Any]]) -> None:
    """A socket in the scratch folder can be bound and reached."""
    source = """
        import socket
        server, client = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
        server.bind("here")
        server.listen()
        client.connect("here")
        client.send(b"x")
        answer["heard"] = server.accept()[0].recv(1).decode()
        """

    assert ask(source) == {"heard": "x"}


def test_the_data_set_can_be_read_and_not_changed(ask: Callable[..., dict[str, Any]]) -> None:
    """One more folder of the machine is readable; nothing in it can be written, and nothing beside it read."""
    source = """
        answer["read"] = open(given + "/batch").read()
        answer["denied"] = []
        for path, mode in ((given + "/batch", "w"), (given + "/more", "w"), ("/etc/passwd", "r")):
            try:
                open(path, mode)
            except PermissionError:
                answer["denied"].append(True)
        """

    assert ask(source) == {"read": "pixels", "denied": [True] * 3}


@pytest.mark.parametrize("local_sockets", [False, True])
def test_a_pair_of_sockets_cannot_be_turned_to_a_service_of_the_machine(local_sockets: bool, tmp_path: Path) -> None:
    """A datagram pair could be sent to any socket that everybody may write to, such as the system's log."""
    service = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    place = f"/run/grader-test-{os.getpid()}"
    service.bind(place)
    os.chmod(place, 0o666)
    source = """
        import socket
        answer["errors"] = []
        for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET, socket.SOCK_STREAM):
            try:
                pair = socket.socketpair(socket.AF_UNIX, kind)
                pair[0].sendto(b"x", given)
            except OSError as error:
                answer["errors"].append(error.errno)
        """
    try:
        with Sandbox({"source": run_source}, local_sockets=local_sockets) as sandbox:
            meta = {"source": textwrap.dedent(source), "given": place}
            outcome = sandbox.run("source", wire.Message("run", meta), limits=Limits(wall_s=5.0, memory_mib=256))
    finally:
        service.close()
        os.unlink(place)

    assert outcome.message is not None
    assert outcome.message.meta == {"errors": [errno.EPERM, errno.EPERM, errno.EPERM, errno.EISCONN]}


@pytest.mark.skipif(landlock.abi() < 5, reason="before version 5 Landlock says nothing about orders to devices")
@pytest.mark.parametrize("admitted", [True, False])
def test_orders_to_a_device_need_its_admission(admitted: bool) -> None:
    """A GPU is driven by ioctl, which Landlock denies to files that may only be read and written."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        devices = [Path("/dev/random")]
        landlock_process(devices if admitted else [], writing)
    os.close(writing)
    said = int(os.read(reading, 16) or b"-1")
    os.close(reading)
    os.waitpid(pid, 0)

    # RNDGETENTCNT answers with the kernel's count of random bits.
    assert (said == 0) is admitted
    assert admitted or said == errno.EACCES


def landlock_process(devices: list[Path], writing: int) -> None:
    """Give up all files but the devices, ask one for a number and say with what error that ended."""
    import ctypes
    import fcntl

    code = b"99"
    try:
        ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)
        landlock.restrict(readable=[Path("/dev/random")], writable=[], devices=devices)
        with open("/dev/random", "rb") as device:
            fcntl.ioctl(device, 0x80045200, bytes(4))
        code = b"0"
    except OSError as error:
        code = str(error.errno).encode()
    finally:
        os.write(writing, code)
        os._exit(0)
