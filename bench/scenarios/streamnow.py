# SPDX-License-Identifier: Apache-2.0
"""StreamNow, video.

A day of sale: two thousand people at once, each with a connection, look through categories, titles
and their own lists, and some buy. The server has three hundred connections; who has none gets an
error, and who has one waits for lists that the server makes over and over. Prices change every
second, and viewers' own progress is written while they watch.

Checked are the price on each title's page, and that each viewer's list has what that viewer wrote.
"""
import answers
import judge
import plan as planning

NAME = "streamnow"
TITLE = "StreamNow: two thousand on the day of the sale"
MAX_CONNECTIONS = 300
POOL_SIZE = 20
QUIET, PEAK = 200, 2000      # people
PAUSE_S = 2.5                # between two pages of one
TITLES, CATEGORIES = 20000, 40
PRICE_S = 1.0                # between two changes of a price
PRICED = 20                  # titles whose prices change
LISTED = "t.id, t.name, p.cents, avg(r.stars) FROM titles t JOIN prices p ON p.title = t.id " \
    "JOIN ratings r ON r.title = t.id"
BEST = "GROUP BY t.id, t.name, p.cents ORDER BY avg(r.stars) DESC, t.id LIMIT 20"
# What people do, with the share of each in percent.
SHARES = (("title", 50), ("category", 33), ("sale", 10), ("list", 3), ("progress", 3), ("order", 1))


def remember(sql):
    """Nothing: all that is checked begins with version 1, or with 0 seconds."""


def _text(kind, dice, popular, viewer, seconds):
    """(kind with what a check needs, SQL)"""
    if kind == "title":
        title = popular.draw()
        return f"title:{title}", (
            f"SELECT p.version, t.name, t.about, p.cents, (SELECT avg(stars) FROM ratings r WHERE "
            f"r.title = {title}) FROM titles t, prices p WHERE t.id = {title} AND p.title = {title}")
    if kind == "category":
        return kind, f"SELECT {LISTED} WHERE t.category = {dice.randrange(CATEGORIES)} {BEST}"
    if kind == "sale":
        return kind, f"SELECT {LISTED} WHERE t.on_sale {BEST}"
    if kind == "list":
        return f"list:{viewer}", f"SELECT sum(seconds), count(*) FROM progress WHERE viewer = {viewer}"
    first = viewer * 37 % TITLES
    if kind == "progress":
        return f"progress:{viewer}:{seconds}", (
            f"UPDATE progress SET seconds = seconds + {seconds} WHERE viewer = {viewer} AND title = {first}")
    return kind, f"INSERT INTO orders (viewer, title) VALUES ({viewer}, {first})"


def plan(seconds, share):
    made = planning.Plan(seconds, share)
    office = made.user()
    for number, at in enumerate(made.every(PRICE_S)):
        title = number % PRICED
        made.ask(at, office, f"price:{title}", "UPDATE prices SET cents = cents - 1, version = "
                 f"version + 1 WHERE title = {title}")
    popular = planning.Zipf(made.dice, TITLES, 1.4)
    kinds, weights = zip(*SHARES)
    for viewer, times in made.visits(QUIET, PEAK, PAUSE_S):
        user = made.user()
        for turn, at in enumerate(times):
            kind = made.dice.choices(kinds, weights)[0]
            made.ask(at, user, *_text(kind, made.dice, popular, viewer, turn + 1))
    return made


def check(heard, _):
    prices = {title: answers.History(1, 0) for title in range(TITLES)}
    watched = {viewer: answers.History() for viewer in range(PEAK)}
    for one in heard:
        kind, *more = one.kind.split(":")
        if kind == "price":
            prices[int(more[0])].note(one, 1, 0)
        elif kind == "progress":
            watched[int(more[0])].note(one, int(more[1]), 0)
    verdicts = answers.Verdicts()
    for one in heard:
        kind, *more = one.kind.split(":")
        if one.ok and kind in ("title", "list"):
            history = (prices if kind == "title" else watched)[int(more[0])]
            verdicts.note(history.judge(one.sent, one.done, int(one.columns()[0]), 0, 0), one)
    return verdicts


def figures(results):
    yield judge.at_most("p95 at the peak", "25 ms", results, lambda one: one["peak_p95_ms"], 25,
                        judge.ms)
    yield judge.hit_rate("85 to 90%", results, 85)
    yield judge.less("server CPU for an answer", "90% less", results,
                     lambda one: one["server_cpu_ms"], 90, lambda value: f"{value:.2f} ms")
    yield judge.served("ten times the people", "2,000", results)
