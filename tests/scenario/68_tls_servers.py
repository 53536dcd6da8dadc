# SPDX-License-Identifier: Apache-2.0
"""TLS between pgweir and servers."""


def test_direct(ctx):
    p = ctx.proxy(start=False, server_tls_negotiation="direct")
    p.expect_failure = True
    p.spawn()
    assert p.wait_end() == 1
    assert "server_tls_negotiation=direct requires server_tls_sslmode=require or stricter" in p.log()
