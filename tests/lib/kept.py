# SPDX-License-Identifier: Apache-2.0
"""Sessions of the superuser that stay for the next statement of a test. Each statement is to find one as a new
connection is; to begin one is most of what a statement costs."""
import re
import select

# What a session remembers, or what makes later ones begin otherwise.
REMEMBERED = re.compile(r"(^|;)\s*(set|reset|listen|unlisten|load|discard|declare|prepare\s+(?!transaction)|deallocate)\b"
                        r"|\b(temp|temporary|pg_temp|set_config|setseed|currval|lastval|pg_export_snapshot)\b|advisory"
                        r"|\balter\s+(role|user|system|database)\b", re.I)


class Kept:
    """connect(database) -> Wire. One idle session for each database at most."""

    def __init__(self, connect):
        self.connect, self.idle = connect, {}

    def query(self, text, database):
        """A simple query; returns its rows."""
        session = self._take(database) or self.connect(database)
        try:
            rows = session.query(text).rows
        except BaseException:
            session.close()
            raise
        if REMEMBERED.search(text):
            session.close()
            self.close()
        elif session.status != "I":
            session.close()
        else:
            self._give(session, database)
        return rows

    def close(self):
        for database in list(self.idle):
            self.leave(database)

    def leave(self, database):
        session = self.idle.pop(database, None)
        if session:
            session.close()

    def _take(self, database):
        session = self.idle.pop(database, None)
        if session and select.select([session.socket], [], [], 0)[0]:
            session.close()  # the server has ended it
            session = None
        return session

    def _give(self, session, database):
        if self.idle.setdefault(database, session) is not session:
            session.close()  # another thread's was first
