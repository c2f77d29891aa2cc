"""Generators of hidden inputs from a key of 128 bits, all of which count."""

from __future__ import annotations

import numpy as np
import torch

KEY_BYTES = 16
_STATE_BYTES = 5056  # of torch's Mersenne Twister
_FIRST_WORD, _WORDS = 24, 624  # after the seed, how much is left of the block, a flag, and the place in it


def generator_from(key: bytes) -> torch.Generator:
    """
    Return a torch generator whose whole state is drawn with numpy's Philox.

    `torch.Generator.manual_seed` keeps 32 bits of its seed: who could try all of them would find the inputs.

    Args:
        key: 16 bytes.

    Raises:
        ValueError: the key has another length, or this torch keeps the state in another way.
    """
    if len(key) != KEY_BYTES:
        raise ValueError(f"a key has {KEY_BYTES} bytes, not {len(key)}")
    generator = torch.Generator().manual_seed(0)
    state = generator.get_state().numpy()
    if state.nbytes != _STATE_BYTES:
        raise ValueError(f"the state of torch's generator has {state.nbytes} bytes; {_STATE_BYTES} are known")
    drawn = np.random.Philox(key=int.from_bytes(key, "big")).random_raw(_WORDS // 2).astype("<u8")
    state[_FIRST_WORD : _FIRST_WORD + 8 * _WORDS].view("<u8")[:] = drawn.view("<u4")
    generator.set_state(torch.from_numpy(state))
    return generator
