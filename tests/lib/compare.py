# SPDX-License-Identifier: Apache-2.0
"""The same bytes to PostgreSQL and through the proxy: the answers have to be the same bytes."""
import struct


def same(direct, through, *parts, times=1):
    """Sends parts to both and compares the replies; returns the one through the proxy."""
    want = direct.ask(*parts, times=times)
    got = through.ask(*parts, times=times)
    if comparable(got) != comparable(want):
        raise AssertionError(f"different answers\n direct: {want.kinds} {short(want)}\n"
                             f" proxy:  {got.kinds} {short(got)}")
    return got


def comparable(reply):
    """The bytes, without the tables' oids: two databases give their own."""
    out = []
    for m in reply.messages:
        if m.kind == "T":
            (n,) = struct.unpack_from("!H", m.body)
            body, at = bytearray(m.body), 2
            for _ in range(n):
                at = body.index(b"\0", at) + 1
                body[at:at + 4] = b"\0\0\0\0"
                at += 18
            out.append((m.kind, bytes(body)))
        else:
            out.append((m.kind, m.body))
    return out


def short(reply):
    return [f"{m.kind}:{m.body[:60]!r}" for m in reply.messages[:12]]
