"""
Where student code computes, and how exactly.

The process from which workers are forked never starts CUDA, because a fork of it could not use it any more: each worker
does so for itself, here, when its question is asked.
"""

from __future__ import annotations

import torch

_MIB = 2**20


def prepare(name: str, *, memory_mib: int) -> torch.device:
    """
    Return a device, set up so that values on it can be compared with the reference's.

    On a GPU float32 is float32 (TF32 would round to 10 bits), operations that have a repeatable form take it, and a
    worker gets as much of the memory as it may have of the machine's, so that several can share one GPU. On the CPU
    nothing has to be set.

    Args:
        name: "cpu" or "cuda".
        memory_mib: the most memory that tensors may take on a GPU.
    """
    device = torch.device(name)
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = False
        torch.use_deterministic_algorithms(True, warn_only=True)
        share = memory_mib * _MIB / torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, share), device)
    return device


def seed_torch(seed: int, device: torch.device) -> None:
    """Seed torch's generators as `torch.manual_seed` does, which would keep a stack trace for a GPU never used."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed_all(seed)
