# SPDX-License-Identifier: Apache-2.0
"""MediaPulse, news.

Something has happened: eight times as many readers, and the articles that all of them read are the
ones that are edited all the while. Each reader's session says once which edition it reads
(`SET app.edition`), and row security shows that edition's articles only. A pooler that hands a
server to the next session as it is shows one reader another's edition; a cache that is told by hand
shows old pages.

Three of the five breaking articles are edited through what is measured: the next page that is asked
for must show the edit. Two are edited around it, straight on the server: within `max_staleness`.
Every page is checked, its version and its edition.
"""
import answers
import judge
import plan as planning

NAME = "mediapulse"
TITLE = "MediaPulse: breaking news"
MAX_CONNECTIONS = 1000
POOL_SIZE = 20
MAX_STALENESS_US = 250_000   # pgweir's default
QUIET, PEAK = 120, 950       # readers
PAUSE_S = 1.2                # between two pages of one
EDITIONS = ("de", "en", "es", "fr", "it")
AROUND = (3, 4)              # breaking articles that are edited on the server
EDIT_S = 2.0                 # between two edits of each
SECTIONS = 12
READ = 2000                  # articles that anybody reads
SHARES = (("page", 45), ("front", 35), ("section", 18), ("comment", 2))
LISTED = "SELECT id, version, edition, headline, left(body, 200) FROM articles"


def remember(sql):
    """Nothing: all articles begin with version 1."""


def _text(kind, edition, dice, popular):
    article = popular.draw() * len(EDITIONS) + edition
    if kind == "page":
        return (f"SELECT id, version, edition, headline, body, (SELECT count(*) FROM comments WHERE "
                f"article = {article}) FROM articles WHERE id = {article}")
    if kind == "front":
        return f"{LISTED} ORDER BY score DESC, id LIMIT 30"
    if kind == "section":
        return f"{LISTED} WHERE section = {dice.randrange(SECTIONS)} ORDER BY score DESC, id LIMIT 20"
    return f"INSERT INTO comments (article, said) VALUES ({article}, 'indeed')"


def plan(seconds, share):
    made = planning.Plan(seconds, share)
    for article, edition in enumerate(EDITIONS):
        way = planning.SERVER if article in AROUND else planning.TARGET
        desk = made.user(f"SET app.edition = '{edition}'", way)
        for at in made.every(EDIT_S):
            made.ask(at + article * EDIT_S / len(EDITIONS), desk, f"edit:{edition}",
                     "UPDATE articles SET version = version + 1, body = body || '!' "
                     f"WHERE id = {article} RETURNING id, version, edition")
    popular = planning.Zipf(made.dice, READ // len(EDITIONS), 1.1)
    kinds, weights = zip(*SHARES)
    for number, times in made.visits(QUIET, PEAK, PAUSE_S):
        edition = number % len(EDITIONS)
        reader = made.user(f"SET app.edition = '{EDITIONS[edition]}'")
        for at in times:
            kind = made.dice.choices(kinds, weights)[0]
            made.ask(at, reader, f"{kind}:{EDITIONS[edition]}",
                     _text(kind, edition, made.dice, popular))
    return made


def check(heard, cached):
    histories = {article: answers.History(1, 0) for article in range(len(EDITIONS))}
    verdicts = answers.Verdicts()
    pages = []
    for one in heard:
        kind, edition = one.kind.split(":")
        if kind == "edit" and not (one.ok and not one.value):
            histories[EDITIONS.index(edition)].note(one, 1, 0)
        if one.ok and kind != "comment":
            pages.append((kind, edition, one))
    for kind, edition, one in pages:
        # No row at all: row security hid what this session may see.
        article, version, shown = one.columns()[:3] if one.value else (-1, 0, None)
        if shown != edition:
            verdicts.note("leaked", one)
        elif kind != "edit" and int(article) in histories:
            bound_us = MAX_STALENESS_US if cached and int(article) in AROUND else 0
            verdicts.note(histories[int(article)].judge(one.sent, one.done, int(version), 0,
                                                        bound_us), one)
        else:
            verdicts.note("right", one)
    return verdicts


def figures(results):
    yield judge.at_most("most server connections", "950 to 120", results,
                        lambda one: one["connections"], 120, str)
    yield judge.none("pages of another edition", "inconsistent data", results, "leaked")
    yield judge.none("stale pages", "two incidents", results, "stale")
    yield judge.served("eight times the readers", "served", results)
    yield judge.Figure("p95 at the peak", "", judge.each(
        results, lambda one: judge.ms(one["peak_p95_ms"])))
