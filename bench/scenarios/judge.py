# SPDX-License-Identifier: Apache-2.0
"""From answers to figures, and from figures to goals. A goal is about pgweir alone; what the others
did stands beside it."""
import collections
from dataclasses import dataclass

import answers
import world

OURS = "pgweir-cache"


@dataclass(frozen=True)
class Figure:
    """A line of the result. `told` is the report's word; `values` the measured ones by target.
    `factor`: by how much the report's figure was beaten; `met` is None where there is no goal."""
    what: str
    told: str
    values: dict
    met: bool = None
    factor: float = None
    reported: bool = False  # a figure of the report's, which asks for a whole run


def summary(found, story, course):
    """The figures of one target. Latencies are of the answered requests of the peak, from the
    moment a request was due."""
    heard = found["answers"]
    good = [one for one in heard if one.ok]
    peak = [one for one in heard if course.in_peak(one.at / 1e6)]
    times = [one.ms for one in peak if one.ok]
    verdicts = story.check(heard, "cache" in found)
    return {
        "requests": len(heard), "answered": len(good), "failed": len(heard) - len(good),
        "failures": dict(collections.Counter(one.state for one in heard if not one.ok)),
        "peak_p50_ms": answers.percentile(times, 0.5), "peak_p95_ms": answers.percentile(times, 0.95),
        "peak_p99_ms": answers.percentile(times, 0.99),
        "peak_asked_per_s": len(peak) / (course.fall - course.peak),
        "peak_answered_per_s": len(times) / (course.fall - course.peak),
        "connections": max(count for _, count in found["connections"]),
        "server_cpu_s": found["server_cpu_s"],
        "server_cpu_ms": found["server_cpu_s"] * 1000 / max(1, len(good)),
        "verdicts": verdicts.counted, "examples": verdicts.examples,
        "hit_percent": _hit_percent(found.get("cache")), "cache": found.get("cache"), "texts": found.get("texts"),
        "series": _series(heard, found["connections"]),
    }


def _hit_percent(cache):
    """Of the reads that the proxy saw, in percent."""
    writes = "bypass_not_select"
    if not cache:
        return None
    figures = dict(line.split("|")[:2] for line in cache.splitlines())
    hits, misses = int(figures["hits"]), int(figures["misses"])
    others = sum(int(value) for name, value in figures.items()
                 if name.startswith("bypass_") and name != writes)
    return 100 * hits / max(1, hits + misses + others)


def _series(heard, connections):
    """By second of the run: p95, asked, answered, failed, connections."""
    seconds = int(max(one.at for one in heard) / 1e6) + 1
    slots = [{"asked": 0, "failed": 0, "ms": [], "connections": 0, "answered": 0}
             for _ in range(seconds)]
    for one in heard:
        slot = slots[int(one.at / 1e6)]
        slot["asked"] += 1
        if one.ok:
            slot["ms"].append(one.ms)
            done = int(one.done / 1e6)
            if done < seconds:
                slots[done]["answered"] += 1
        else:
            slot["failed"] += 1
    for at, count in connections:
        if 0 <= at < seconds:
            slots[int(at)]["connections"] = max(slots[int(at)]["connections"], count)
    for slot in slots:
        slot["p95_ms"] = answers.percentile(slot.pop("ms"), 0.95)
    return slots


def each(results, text):
    """{target: text(its summary)}"""
    return {name: text(one) for name, one in results.items()}


def common(results, story):
    """What holds for all stories."""
    ours = results[OURS]
    bad = lambda one: sum(one["verdicts"][v] for v in ("stale", "wrong", "leaked"))
    yield Figure("requests", "", each(results, lambda one: f"{one['requests']:,}"))
    yield Figure("failed", "0", each(results, _failures), ours["failed"] == 0)
    yield Figure("answered per s at the peak", "", each(
        results, lambda one: f"{one['peak_answered_per_s']:,.0f} of {one['peak_asked_per_s']:,.0f}"))
    yield Figure("p50 at the peak", "", each(results, lambda one: ms(one["peak_p50_ms"])))
    yield Figure("p99 at the peak", "", each(results, lambda one: ms(one["peak_p99_ms"])))
    yield Figure("most server connections", f"pool of {story.POOL_SIZE}", each(
        results, lambda one: str(one["connections"])), ours["connections"] <= story.POOL_SIZE)
    yield Figure("server CPU for an answer", "", each(
        results, lambda one: f"{one['server_cpu_ms']:.2f} ms"))
    yield Figure("answers checked", "", each(
        results, lambda one: f"{sum(one['verdicts'].values()):,}"))
    yield Figure("of these stale, wrong or another's", "0", each(
        results, lambda one: str(bad(one))), bad(ours) == 0)


def _failures(one):
    if not one["failed"]:
        return "0"
    worst = max(one["failures"], key=one["failures"].get)
    words = {"53300": "too many clients", "late": "no answer", "lost": "connection lost"}
    return f"{one['failed']:,} ({100 * one['failed'] / one['requests']:.0f}%, " \
           f"{words.get(worst, worst)})"


def ms(value):
    if value is None:
        return "-"
    return f"{value:,.0f} ms" if value >= 100 else f"{value:.1f} ms"


def at_most(what, told, results, value, limit, text):
    """A figure of pgweir's that must not be above the report's."""
    ours = value(results[OURS])
    if ours is None:
        return Figure(what, told, each(results, lambda one: "-"), False, None, True)
    factor = limit / ours if ours else None
    return Figure(what, told, each(results, lambda one: text(value(one))), ours <= limit, factor, True)


def less(what, told, results, value, percent, text):
    """A figure of pgweir's that must be lower than bare by so many percent. The factor compares
    what is left."""
    bare, ours = value(results["direct"]), value(results[OURS])
    down = 100 * (1 - ours / bare) if bare else 0
    values = {name: f"{text(value(one))}" for name, one in results.items()}
    values[OURS] += f" ({down:.0f}% less)"
    return Figure(what, told, values, down >= percent,
                  (100 - percent) / max(0.01, 100 - down), True)


def hit_rate(told, results, percent):
    ours = results[OURS]["hit_percent"]
    values = each(results, lambda one: "-")
    values[OURS] = f"{ours:.1f}%"
    # Beaten by how many times fewer reads that are left for the server.
    return Figure("reads answered from memory", told, values, ours >= percent,
                  (100 - percent) / max(0.01, 100 - ours), True)


def served(what, told, results):
    return Figure(what, told, each(
        results, lambda one: f"{100 * one['answered'] / one['requests']:.1f}% served"),
        results[OURS]["failed"] == 0)


def none(what, told, results, verdict):
    return Figure(what, told, each(results, lambda one: f"{one['verdicts'][verdict]:,}"),
                  results[OURS]["verdicts"][verdict] == 0)


def met(results, story, quick):
    return all(one.met is not False for one in all_of(results, story)
               if not (quick and one.reported))


def all_of(results, story):
    return [*story.figures(results), *common(results, story)]


def rows(results, story):
    for one in all_of(results, story):
        goal = "" if one.met is None else "met" if one.met else "MISSED"
        if one.factor:
            goal += f", {one.factor:.1f} times"
        yield [one.what, one.told, *(one.values[name] for name in world.TARGETS), goal]
