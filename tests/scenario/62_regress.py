# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL's own regression scripts, some of them: those that do most with sessions. All of them:
`make regress`. See tests/regress."""
import os
import sys

from runner import ROOT, Skip, limit

sys.path.insert(0, f"{ROOT}/tests/regress")

SCRIPTS = """test_setup boolean copy copyselect copydml insert create_misc create_table create_index create_view errors select
transactions portals namespace delete prepared_xacts privileges lock rowsecurity identity generated merge async
sysviews rules psql psql_crosstab create_role portals_p2 guc advisory_lock window plancache plpgsql copy2 temp domain
rangefuncs prepare truncate sequence returning largeobject with explain date timestamp timestamptz
""".split()


@limit(180)
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
    outcome = regress.compare(ctx.binary, ctx.directory, scripts)
    ctx.note(f"{len(scripts)} scripts, {outcome.turns} turns of neighbours")
    _, bad = regress.judge(outcome, scripts)
    assert not bad, "\n".join(bad[:100])
