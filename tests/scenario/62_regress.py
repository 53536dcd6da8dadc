# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL's own regression scripts, some of them: those that do most with sessions. All of them:
`make regress`. See tests/regress."""
import os
import sys

from runner import ROOT, Skip, limit

sys.path.insert(0, f"{ROOT}/tests/regress")

SCRIPTS = """
test_setup copy errors select transactions portals namespace prepared_xacts privileges guc plancache copy2 temp prepare
""".split()


SCRIPT = """-- a script
SELECT one;
COPY t FROM stdin;
1\t2
SELECT one;
\\.
SELECT one,
  two;

SELECT two; SELECT three;
SELECT one;""".split("\n")

KNOWN = """# a comment
why luck
may 2 SELECT one;
  |ERROR:  none
may 2 SELECT one;
  ~ +[0-2]
  |(1 row)
may cached   two;
why always
must pooled SELECT two; SELECT three;
  |x
"""


def said(one="1", copied="", two="2", others="3\n\n4", again="5"):
    """What psql says of that script: its lines but for data and blank ones, and these answers."""
    parts = ["-- a script", "SELECT one;", one, "COPY t FROM stdin;", copied, "SELECT one,", "  two;", two,
             "SELECT two; SELECT three;", others, "SELECT one;", again]
    return [line + "\n" for part in parts if part for line in (part + ("" if part in SCRIPT else "\n")).split("\n")]


def test_what_may_differ(ctx):
    """Made-up outputs: what is listed may differ, in that answer of that line alone; all else is a failure."""
    import known
    os.mkdir(f"{ctx.directory}/known")
    with open(f"{ctx.directory}/known/made_up.txt", "w", encoding="utf-8") as f:
        f.write(KNOWN)
    with open(f"{ctx.directory}/known/anywhere.txt", "w", encoding="utf-8") as f:
        f.write("why told\nmay it\n  |WARNING:  it\n  |DETAIL:  is told\n")
    rules = known.Known(f"{ctx.directory}/known")

    def judge(kind="cached", script="made_up", **answers):
        return rules.judge(kind, script, SCRIPT, said(), said(**answers))

    assert known.answers(SCRIPT, said())[("SELECT one;", 2)] == ("5",)
    assert known.answers(SCRIPT, said())[("  two;", 1)] == ("2",)
    assert judge() == ([], [])
    assert judge(again="ERROR:  none") == (["luck"], [])
    assert judge(again=" 1\n(1 row)") == (["luck"], [])
    assert judge(two="") == (["luck"], [])
    assert judge("pooled", others="x") == (["always"], [])
    assert judge("pooled", others="x", again="ERROR:  none") == (["always", "luck"], [])
    assert judge(script="other", one="WARNING:  it\nDETAIL:  is told\n1") == (["told"], [])
    assert judge(script="other", copied="WARNING:  it\nDETAIL:  is told") == (["told"], [])
    for bad in (dict(one="WARNING:  it\n1"), dict(one="1\nWARNING:  it\nDETAIL:  is told"), dict(one="ERROR:  none"),
                dict(again="ERROR:  some"), dict(again="ERROR:  none\nx"), dict(again=" 3\n(1 row)"),
                dict(again=""), dict(others="x"), dict(copied="ERROR:  no"), dict(two="3"),
                dict(one="2", again="ERROR:  none"), dict(kind="pooled", two="", others="x"),
                dict(kind="pooled"), dict(kind="pooled", others="y"), dict(script="other", again="ERROR:  none")):
        assert judge(**bad)[1], bad
    # A line that is lost, said twice, or followed by a blank one.
    for other in (said()[:-3], said() + said()[-2:], [line for line in said() if line != "  two;\n"], said() + ["\n"]):
        assert rules.judge("cached", "made_up", SCRIPT, said(), other)[1], other
    assert rules.strangers("made_up", SCRIPT) == []
    assert rules.strangers("made_up", SCRIPT[:4]) != []


def test_every_entry_has_its_line(ctx):
    """What is listed is there in the scripts; and no file allows a script as a whole."""
    import regress
    if not os.path.exists(f"{regress.SOURCE}/complete"):
        raise Skip("PostgreSQL's scripts are not here: make regress-source")
    known = regress.Known()
    for script, entries in known.scripts.items():
        assert entries and known.strangers(script, regress.lines_of(regress.SOURCE, script)) == [], script


@limit(600)
def test_the_scripts_of_postgresql(ctx):
    import regress
    if not os.path.exists(f"{regress.SOURCE}/complete"):
        raise Skip("PostgreSQL's scripts are not here: make regress-source")
    if ctx.sanitizer == "tsan":
        raise Skip("too slow")
    if not ctx.binary.endswith("pgweir"):
        raise Skip("for pgweir")
    everything = regress.schedule(regress.SOURCE)
    scripts = [s for s in everything if s in SCRIPTS]
    assert len(scripts) == len(SCRIPTS), set(SCRIPTS) - set(everything)
    outcome = regress.compare(ctx.binary, ctx.directory, scripts, hammers=2)
    ctx.note(f"{len(outcome.scripts)} scripts, {outcome.turns} turns of neighbours, {outcome.hits} hits")
    _, bad = regress.judge(outcome)
    assert not bad, "\n".join(bad[:100])
    assert sum(hits for script, hits in outcome.hits.items() if script.endswith("-reads")) > 5, outcome.hits
