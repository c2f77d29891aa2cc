"""
A notebook's kernel for an audit: a program of its own, started by the worker beside which it runs.

It is an ordinary ipykernel but for three things: after its sockets are made, and before a configuration, a module or a
cell that students could have written is read, it goes under the sandbox's strict filter, in which no socket can be
made; shell commands and most magics do nothing; and `google.colab` is there, without effect.
"""

import base64
import ctypes
import importlib
import importlib.util
import json
import sys
import types
from typing import Any

_SECCOMP_NUMBERS = {"x86_64": 317, "aarch64": 277}
_SET_MODE_FILTER, _ALL_THREADS = 1, 1
_KEPT_MAGICS = frozenset({"matplotlib", "time", "timeit", "precision"})


def give_up_sockets(instructions: bytes) -> None:
    """Put every thread of this process, and whatever it starts, under a filter for good."""
    import platform

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))

    buffer = ctypes.create_string_buffer(instructions, len(instructions))
    program = Program(len(instructions) // 8, ctypes.cast(buffer, ctypes.c_void_p))
    libc = ctypes.CDLL(None, use_errno=True)
    number = _SECCOMP_NUMBERS[platform.machine()]
    if libc.syscall(number, _SET_MODE_FILTER, _ALL_THREADS, ctypes.byref(program)) != 0:
        raise OSError(ctypes.get_errno(), "the kernel could not give up its sockets")


def quieten(shell: Any) -> None:
    """Let shell commands and magics do nothing, but for those that concern Python and figures alone."""
    run_line, run_cell = shell.run_line_magic, shell.run_cell_magic

    def run_line_magic(name: str, line: str, *arguments: object, **options: object) -> object:
        return run_line(name, line, *arguments, **options) if name in _KEPT_MAGICS else None

    def run_cell_magic(name: str, line: str, cell: str) -> object:
        return run_cell(name, line, cell) if name in _KEPT_MAGICS else None

    for attribute in ("system", "system_piped", "system_raw"):
        setattr(shell, attribute, lambda *_, **__: None)
    shell.getoutput = lambda *_, **__: []
    shell.run_line_magic, shell.run_cell_magic = run_line_magic, run_cell_magic


def offer_colab() -> None:
    """Make `google.colab` importable: mounting a drive, uploading and downloading do nothing."""
    try:
        google = importlib.import_module("google")  # other packages of that name space may be installed
    except ImportError:
        google = sys.modules["google"] = types.ModuleType("google")
        google.__path__ = []
    colab = types.ModuleType("google.colab")
    colab.__path__ = []
    sys.modules["google.colab"] = colab
    vars(google)["colab"] = colab

    def nothing(*_: object, **__: object) -> None:
        """Do nothing."""

    parts: dict[str, dict[str, Any]] = {
        "drive": {"mount": nothing, "flush_and_unmount": nothing},
        "files": {"upload": lambda *_, **__: {}, "download": nothing, "view": nothing},
        "output": {"clear": nothing, "eval_js": nothing, "enable_custom_widget_manager": nothing},
        "userdata": {"get": lambda *_, **__: ""},
    }
    for name, functions in parts.items():
        module = types.ModuleType(f"google.colab.{name}")
        vars(module).update(functions)
        sys.modules[module.__name__] = module
        setattr(colab, name, module)


def offer_stand_ins(folder: str) -> None:
    """Put the folder of stand-in packages on the path, if what it stands in for cannot be imported."""
    try:
        present = importlib.util.find_spec("torchvision") is not None and importlib.import_module("torchvision")
    except Exception:  # a package that does not fit the installed torch raises whatever it likes
        present = None
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
    if not present:
        sys.path.insert(0, folder)


def compute_exactly() -> None:
    """Keep float32 what it is on a GPU, and operations repeatable where they can be."""
    torch: Any = importlib.import_module("torch")
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True, warn_only=True)


def guarded(application: Any, settings: dict[str, str]) -> Any:
    """
    Return a kernel application that gives up its sockets before anything of the submission can run in it.

    Its sockets are made from what is installed alone: no configuration is read, and what lies beside the notebook is
    found only by what is imported after the filter stands.
    """

    class Guarded(application):  # type: ignore[misc]  # its type is known only where ipykernel is installed
        def load_config_file(self, *_: object, **__: object) -> None:
            """Read none: a cell of a kernel before this one may have written it."""

        def init_kernel(self) -> None:
            """Put this process under the filter, then begin with what reads files."""
            if settings["filter"]:
                give_up_sockets(base64.b64decode(settings["filter"]))
            super().init_kernel()

        def init_path(self) -> None:
            """Let modules beside the notebook be found, after everything that is installed and what stands in."""
            offer_colab()
            if settings["stand_ins"]:
                offer_stand_ins(settings["stand_ins"])
            if settings["device"] == "cuda":
                compute_exactly()
            sys.path.append("")

    return Guarded


def main(settings: dict[str, str]) -> None:
    """Be the kernel."""
    kernelapp: Any = importlib.import_module("ipykernel.kernelapp")
    thread_type: Any = importlib.import_module("ipykernel.iostream").IOPubThread

    # Output of the cells' own subprocesses would come home over TCP, which libzmq cannot even try to have here.
    kernelapp.IOPubThread = lambda pub_socket, pipe: thread_type(pub_socket, pipe=False)
    application = guarded(kernelapp.IPKernelApp, settings).instance()
    application.initialize(sys.argv[2:])
    quieten(application.shell)
    application.start()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
