-- SPDX-License-Identifier: Apache-2.0
-- Twelve creators who are live, and what their viewers did until now.
CREATE TABLE events (
    creator int NOT NULL, kind int NOT NULL, viewer int NOT NULL, watched int NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO events
    SELECT n % 12, n % 5, n % 20011, (n * 31) % 600, now() - n * interval '1 s'
    FROM generate_series(1, 420000) AS n;
CREATE INDEX ON events (creator);
-- Rows are told whole, so an event ends the answers about its own creator, not about all.
ALTER TABLE events REPLICA IDENTITY FULL;
GRANT SELECT, INSERT ON events TO app;
