-- SPDX-License-Identifier: Apache-2.0
-- Sixty customers' figures: a row for each day, region and device of theirs.
CREATE TABLE views (
    customer int NOT NULL, day date NOT NULL, region int NOT NULL, device int NOT NULL,
    views int NOT NULL, watched int NOT NULL
);
INSERT INTO views
    SELECT customer, date '2026-01-01' + day, region, device,
           (customer * 31 + day * 17 + region * 7 + device) % 997, day * region
    FROM generate_series(0, 59) AS customer, generate_series(0, 179) AS day,
         generate_series(0, 19) AS region, generate_series(0, 4) AS device;
CREATE INDEX ON views (customer);
-- Rows are told whole, so a new row ends the answers of its own customer, not of all.
ALTER TABLE views REPLICA IDENTITY FULL;
GRANT SELECT, INSERT ON views TO app;
