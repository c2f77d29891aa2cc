"""Hidden inputs come from all bits of their key, in the order in which torch draws."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from grader.checks.drawing import KEY_BYTES, generator_from


def drawn(key: bytes, count: int = 8) -> tuple[int, ...]:
    """Return the first numbers that a key gives."""
    return tuple(torch.randint(2**62, (count,), generator=generator_from(key)).tolist())


def test_every_bit_of_the_key_counts() -> None:
    """One bit more or less, the first or the last, gives other numbers; the same key gives the same."""
    keys = [(1 << bit).to_bytes(KEY_BYTES, "big") for bit in range(8 * KEY_BYTES)] + [bytes(KEY_BYTES)]

    assert len({drawn(key) for key in keys}) == len(keys)
    assert drawn(keys[3]) == drawn(keys[3])


def test_keys_that_share_what_a_seed_would_keep_differ() -> None:
    """torch's own seeding takes seeds that agree in 32 bits for one; keys that do, do not."""
    assert torch.rand(3, generator=torch.Generator().manual_seed(5)).tolist() == (
        torch.rand(3, generator=torch.Generator().manual_seed(5 + 2**32)).tolist()
    )
    assert drawn(bytes(12) + b"5555") != drawn(bytes(11) + b"15555")


def test_numbers_are_as_evenly_spread_as_torchs_own() -> None:
    """Means and variances of uniform and normal numbers are within five standard errors, and none comes twice."""
    generator = generator_from(bytes(range(KEY_BYTES)))
    uniform = torch.rand(100_000, generator=generator, dtype=torch.float64)
    normal = torch.randn(100_000, generator=generator, dtype=torch.float64)

    assert abs(float(uniform.mean()) - 0.5) < 5 * (1 / 12) ** 0.5 / 100_000**0.5
    assert abs(float(normal.mean())) < 5 / 100_000**0.5
    assert abs(float(normal.var()) - 1) < 5 * (2 / 100_000) ** 0.5
    assert len(np.unique(uniform.numpy())) == 100_000


@pytest.mark.parametrize("key", [b"", bytes(15), bytes(32)])
def test_keys_of_another_length_are_refused(key: bytes) -> None:
    """A key that was cut would not count in full."""
    with pytest.raises(ValueError, match="a key has 16 bytes"):
        generator_from(key)
