"""Which kills are tried: every single one, or a seeded sample of single ones, pairs and triples."""

from __future__ import annotations

import random
from collections.abc import Iterator

from tests.support.shim.board import How, Kill

LENGTHS = (1, 1, 2, 2, 3, 4)  # how many lives in a row are killed
RECOVERY_SHARE = 3  # a life that recovers makes about a third of the effects


def every(effects: int) -> Iterator[list[Kill]]:
    """Yield each kill once; after one effect is before the next, so only the last has an after."""
    for at in range(1, effects + 1):
        yield [Kill(at, How.BEFORE)]
        yield [Kill(at, How.TORN)]


def sample(effects: int, *, kills: int, seed: str) -> Iterator[list[Kill]]:
    """Yield runs of kills until there are so many; the first is anywhere, the next are in recoveries."""
    chance = random.Random(seed)
    left = kills
    while left > 0:
        length = min(chance.choice(LENGTHS), left)
        later = max(1, effects // RECOVERY_SHARE)
        spans = [effects, *[later] * (length - 1)]
        yield [Kill(chance.randint(1, span), chance.choice(list(How))) for span in spans]
        left -= length
