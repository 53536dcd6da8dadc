# SPDX-License-Identifier: Apache-2.0
"""StreamFlow, analytics dashboards.

One PostgreSQL. Each open dashboard has a connection and asks for its panels again and again. On a
weekday morning ten times as many people come as at night: connections run out, and those who have
one wait for sums that all the others want as well. New figures come in all the while, twice a
second those of one customer, through the same door. Each panel tells how many rows it has summed
and what they come to, so each answer is checked: no row that was acknowledged may be missing.
"""
import answers
import judge
import plan as planning

NAME = "streamflow"
TITLE = "StreamFlow: the weekday morning peak"
MAX_CONNECTIONS = 200
POOL_SIZE = 20
QUIET, PEAK = 60, 600        # dashboards that are open
PAUSE_S = 1.0                # between two panels of one
CUSTOMERS = 60
PANELS = ("day", "region", "device", "device, region")
BATCH = 20                   # rows of one load
LOAD_S = 0.5

base = {}  # customer: (rows, sum) before anybody wrote


def remember(sql):
    rows = sql("SELECT customer, count(*), sum(views) FROM views GROUP BY customer")
    for row in rows.splitlines():
        customer, count, total = map(int, row.split("|"))
        base[customer] = (count, total)


def panel(by, customer):
    return (f"SELECT count(*), sum(views), sum(watched), {by} FROM views WHERE customer = "
            f"{customer} GROUP BY ROLLUP (({by})) ORDER BY count(*) DESC, {by}")


def plan(seconds, share):
    made = planning.Plan(seconds, share)
    loader = made.user()
    for number, at in enumerate(made.every(LOAD_S)):
        customer = number % CUSTOMERS
        row = f"({customer}, '2026-07-01', 1, 1, {number + 1}, 1)"
        made.ask(at, loader, f"load:{customer}:{number + 1}",
                 "INSERT INTO views VALUES " + ", ".join([row] * BATCH))
    popular = planning.Zipf(made.dice, CUSTOMERS, 0.6)
    for number, times in made.visits(QUIET, PEAK, PAUSE_S):
        user, customer = made.user(), popular.draw()
        for turn, at in enumerate(times):
            by = PANELS[(number + turn) % len(PANELS)]
            made.ask(at, user, f"panel:{customer}", panel(by, customer))
    return made


def check(heard, _):
    """Nothing older than what was acknowledged before the question was sent."""
    histories = {customer: answers.History(*of) for customer, of in base.items()}
    for one in heard:
        kind, *more = one.kind.split(":")
        if kind == "load":
            histories[int(more[0])].note(one, BATCH, BATCH * int(more[1]))
    verdicts = answers.Verdicts()
    for one in heard:
        if one.ok and one.kind.startswith("panel"):
            count, total = map(int, one.columns()[:2])
            history = histories[int(one.kind.split(":")[1])]
            verdicts.note(history.judge(one.sent, one.done, count, total, 0), one)
    return verdicts


def figures(results):
    yield judge.at_most("p95 at the peak", "2,800 ms to 87 ms", results,
                        lambda one: one["peak_p95_ms"], 87, judge.ms)
    yield judge.less("server connections", "80% less", results,
                     lambda one: one["connections"], 80, str)
    yield judge.served("ten times the load", "without a re-architecture", results)
