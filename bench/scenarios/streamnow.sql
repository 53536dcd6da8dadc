-- SPDX-License-Identifier: Apache-2.0
-- A catalogue of videos, its prices and ratings, and how far each viewer has watched what.
CREATE TABLE titles (
    id int PRIMARY KEY, category int NOT NULL, name text NOT NULL, about text NOT NULL,
    on_sale boolean NOT NULL
);
CREATE TABLE prices (
    title int PRIMARY KEY, cents int NOT NULL, version int NOT NULL DEFAULT 1
);
CREATE TABLE ratings (title int NOT NULL, stars int NOT NULL);
CREATE TABLE progress (
    viewer int, title int, seconds int NOT NULL DEFAULT 0, PRIMARY KEY (viewer, title)
);
CREATE TABLE orders (viewer int NOT NULL, title int NOT NULL, at timestamptz DEFAULT now());
INSERT INTO titles
    SELECT n, n % 40, 'title ' || n, repeat('what it is about ', 12), n % 50 = 0
    FROM generate_series(0, 19999) AS n;
INSERT INTO prices SELECT n, 199 + n % 1500 FROM generate_series(0, 19999) AS n;
INSERT INTO ratings
    SELECT n % 20000, 1 + (n + n / 20000 * 3) % 5 FROM generate_series(0, 139999) AS n;
INSERT INTO progress
    SELECT viewer, (viewer * 37 + n * 101) % 20000
    FROM generate_series(0, 1999) AS viewer, generate_series(0, 9) AS n;
CREATE INDEX ON titles (category);
CREATE INDEX ON titles (id) WHERE on_sale;
CREATE INDEX ON ratings (title);
-- Rows are told whole: a viewer's progress ends that viewer's list, a rating that title's page.
ALTER TABLE ratings REPLICA IDENTITY FULL;
ALTER TABLE progress REPLICA IDENTITY FULL;
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO app;
