"""
Mistakes that are known by name: small changes to the reference, and what to tell who made them.

To add one, write the contract's function with the mistake in it, under its decorator, in the module of that function:

    @misconception(
        "random_masking.mask-inverted",
        happened="Your `mask` is 1 where a patch was kept.",
        right="`mask` should be 1 where a patch was removed.",
    )
    def mask_inverted(x, keep_length, ids_shuffle):
        '''The mask is 1 for the patches that are kept.'''
        kept, mask, ids_restore = random_masking(x, keep_length, ids_shuffle)
        return kept, 1 - mask, ids_restore

A mistake that leaves the values of some question right names the `aspects` that it shows in. The tests ask that each
differs from the right answer, and from every other entry, at the inputs of its questions.
"""

from homework.misconceptions import (  # noqa: F401  # importing them fills the catalogue, in this order
    classifier,
    decoder,
    encoder,
    evaluation,
    gradients,
    masking,
    patches,
    representation,
    runs,
    theory,
    update,
    vit,
)
from homework.misconceptions.catalogue import CATALOGUE

__all__ = ["CATALOGUE"]
