# SPDX-License-Identifier: Apache-2.0
"""`make scenarios`: systems that fell over, each played to a bare PostgreSQL, to PgBouncer and to
pgweir: the same requests at the same moments. See bench/README.md."""
import argparse
import importlib
import os
import sys
import time

sys.path.insert(1, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import chart  # noqa: E402
import judge  # noqa: E402
import report  # noqa: E402
import run  # noqa: E402
import scratch as place  # noqa: E402
import world as worlds  # noqa: E402

STORIES = ("streamflow", "studiolive", "streamnow", "mediapulse")
FULL = {"seconds": 25, "patience": 10, "share": 1}
QUICK = {"seconds": 4, "patience": 5, "share": 0.2}
QUICK_WORD = " Quick: a fifth of the people; the report's figures are not judged."


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--stories", default=",".join(STORIES), help="some of " + ",".join(STORIES))
    parser.add_argument("--quick", action="store_true", help="does it run at all; under two minutes")
    parser.add_argument("--seconds", type=float, help="of one run; the users' patience is added")
    parser.add_argument("--pgweir", default="build/pgweir", help="the program to measure")
    parser.add_argument("--pgbouncer", help="a PgBouncer other than the installed one")
    parser.add_argument("--users", default="build/bench/users", help="the load generator")
    parser.add_argument("--out", default="bench/results", help="where tables and charts are written")
    options = parser.parse_args()
    for name, value in (QUICK if options.quick else FULL).items():
        if getattr(options, name, None) is None:
            setattr(options, name, value)
    options.stories = options.stories.split(",")
    unknown = set(options.stories) - set(STORIES)
    if unknown:
        raise place.BenchError(f"no such scenario: {', '.join(sorted(unknown))}")
    if options.seconds < 3:
        raise place.BenchError("a run needs at least 3 seconds")
    return options


def play(options, story):
    """One story against all targets, in a directory of its own: {target: summary}."""
    scratch = place.Scratch()
    try:
        run.say(f"{story.TITLE}: PostgreSQL and its data")
        world = worlds.World(scratch, story, options)
        world.load()
        plan = story.plan(options.seconds, options.share)
        path = scratch.file("plan", plan.text())
        results = {}
        for name in worlds.TARGETS:
            begin = time.monotonic()
            found = world.run(name, path)
            one = results[name] = judge.summary(found, story, plan.course)
            run.say(f"{story.NAME}, {worlds.TITLES[name]}: p95 {judge.ms(one['peak_p95_ms'])}, "
                    f"{one['failed']:,} of {one['requests']:,} failed, {one['connections']} "
                    f"connections [{time.monotonic() - begin:.0f} s]")
        facts = report.machine(world.cluster, world.maker)
        return {"story": story, "results": results, "plan": plan, "machine": facts}
    finally:
        scratch.close()


def measure(options, scratch):
    """`scratch` is unused: each story has its own."""
    return [play(options, importlib.import_module(name)) for name in options.stories]


def table(one):
    titles = [worlds.TITLES[name] for name in worlds.TARGETS]
    text = f"## {one['story'].TITLE}\n" + report.markdown_table(
        ["", "report", *titles, "goal"], judge.rows(one["results"], one["story"])) + "\n"
    text += f"\n{one['plan'].repeated_percent():.0f}% of the reads had been asked before.\n"
    for name, result in one["results"].items():
        text += "".join(f"\n{worlds.TITLES[name]}: {line}\n" for line in result["examples"])
    return text


def finish(options, played):
    facts = played[0]["machine"]
    text = (f"# pgweir scenarios, {facts['time']}\n\n{facts['cores']} cores ({facts['cpu']}), "
            f"PostgreSQL {facts['postgresql']}, PgBouncer {facts['pgbouncer']}; users, proxy and "
            f"server share the machine. {options.seconds:g} s a run, patience "
            f"{options.patience:g} s.{QUICK_WORD if options.quick else ''}\n\n" + "\n".join(map(table, played)))
    result = {"machine": facts, "stories": {one["story"].NAME: one["results"] for one in played}}
    report.publish(options.out, "scenarios", result, text)
    for one in played:
        path = os.path.join(options.out, f"{one['story'].NAME}.svg")
        with open(path, "w", encoding="utf-8") as file:
            file.write(chart.draw(one["story"], one["results"], one["plan"].course))
        print(f"Written: {path}")
    missed = [one["story"].NAME for one in played
              if not judge.met(one["results"], one["story"], options.quick)]
    if missed:
        print(f"goals missed: {', '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(run.guarded(parse, measure, finish))
