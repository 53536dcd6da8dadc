# SPDX-License-Identifier: Apache-2.0
"""Which of many alike cases are tried today. PGWEIR_TEST_DAY chooses the day, PGWEIR_TEST_ALL=1 takes all."""
import os
import random
import time

DAY = int(os.environ.get("PGWEIR_TEST_DAY") or time.time() // 86400)
ALL = os.environ.get("PGWEIR_TEST_ALL") == "1"


def is_of_the_day(n, parts):
    """Whether the n-th of some cases is, of which one in so many is tried on a day."""
    return ALL or (n + DAY) % parts == 0


def of_the_day(cases, parts, number=0):
    """One of so many parts of a dict of cases, in their order. Tests that try the same cases in several ways take parts
    of other numbers."""
    if ALL:
        return cases
    shuffled = random.Random(DAY).sample(list(cases), len(cases))
    chosen = set(shuffled[number % parts::parts])
    return {name: case for name, case in cases.items() if name in chosen}
