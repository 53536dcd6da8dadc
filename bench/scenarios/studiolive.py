# SPDX-License-Identifier: Apache-2.0
"""StudioLive, creators' analytics.

While they are live, creators and their teams look at sums over all events so far, and events arrive
all the while. Such a sum is out of date before it has been computed. With ten times as many who
look, each waits for sums that others have the server compute as well.

Who looks at pgweir's dashboards accepts two seconds (a `ttl` in one line of [cache_rules]); bare and
PgBouncer are held to none. Each answer is checked: it must be the sum over exactly the first so many
events of that creator, and none may be missing that was acknowledged longer ago than that.
"""
import answers
import judge
import plan as planning

NAME = "studiolive"
TITLE = "StudioLive: everybody looks while events arrive"
MAX_CONNECTIONS = 300
POOL_SIZE = 20
ACCEPTED_S = 2
CACHE_RULES = f"dashboards = table=events text='select count(*)*' ttl={ACCEPTED_S}s"
QUIET, PEAK = 20, 200        # dashboards that are open
PAUSE_S = 2.5                # between two looks
CREATORS = 12
WRITERS = 4                  # each with some of the creators
EVENT_S = 0.1                # between two events of one writer
PANELS = (
    "SELECT count(*), sum(watched), count(DISTINCT viewer), "
    "percentile_cont(0.5) WITHIN GROUP (ORDER BY watched) FROM events WHERE creator = {}",
    "SELECT count(*), sum(watched), count(DISTINCT viewer), kind FROM events WHERE creator = {} "
    "GROUP BY ROLLUP (kind) ORDER BY count(*) DESC, kind",
)

base = {}  # creator: (events, sum) before anybody wrote


def remember(sql):
    for row in sql("SELECT creator, count(*), sum(watched) FROM events GROUP BY 1").splitlines():
        creator, count, total = map(int, row.split("|"))
        base[creator] = (count, total)


def plan(seconds, share):
    made = planning.Plan(seconds, share)
    for writer in range(WRITERS):
        user = made.user()
        for number, at in enumerate(made.every(EVENT_S)):
            creator = writer + WRITERS * (number % (CREATORS // WRITERS))
            watched = 1 + number % 600
            made.ask(at, user, f"event:{creator}:{watched}",
                     "INSERT INTO events (creator, kind, viewer, watched) VALUES "
                     f"({creator}, {number % 5}, {number}, {watched})")
    popular = planning.Zipf(made.dice, CREATORS, 0.8)
    for number, times in made.visits(QUIET, PEAK, PAUSE_S):
        user, creator = made.user(), popular.draw()
        for turn, at in enumerate(times):
            panel = PANELS[(number + turn) % len(PANELS)]
            made.ask(at, user, f"look:{creator}", panel.format(creator))
    return made


def check(heard, cached):
    histories = {creator: answers.History(*of) for creator, of in base.items()}
    for one in heard:
        kind, creator, *more = one.kind.split(":")
        if kind == "event":
            histories[int(creator)].note(one, 1, int(more[0]))
    verdicts = answers.Verdicts()
    bound_us = ACCEPTED_S * 1_000_000 if cached else 0
    for one in heard:
        if one.ok and one.kind.startswith("look"):
            count, total = map(int, one.columns()[:2])
            history = histories[int(one.kind.split(":")[1])]
            verdicts.note(history.judge(one.sent, one.done, count, total, bound_us), one)
    return verdicts


def figures(results):
    yield judge.at_most("p95 at the peak", "5 to 8 s to 1 to 2 s", results,
                        lambda one: one["peak_p95_ms"], 1000, judge.ms)
    yield judge.served("ten times the concurrency", "100% uptime", results)
