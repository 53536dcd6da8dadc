-- SPDX-License-Identifier: Apache-2.0
-- A newspaper in five editions. Readers see their own edition's articles only: row security by a
-- setting of the session.
CREATE TABLE articles (
    id int PRIMARY KEY, edition text NOT NULL, section int NOT NULL, score int NOT NULL,
    version int NOT NULL DEFAULT 1, headline text NOT NULL, body text NOT NULL
);
CREATE TABLE comments (article int NOT NULL, said text NOT NULL, at timestamptz DEFAULT now());
-- Article n is of edition n % 5; the first of each are the breaking news.
INSERT INTO articles
    SELECT n, (ARRAY['de', 'en', 'es', 'fr', 'it'])[1 + n % 5], n / 5 % 12,
           CASE WHEN n < 5 THEN 2000 ELSE (n * 7919) % 1000 END, 1, 'headline ' || n,
           repeat('what happened ', 40)
    FROM generate_series(0, 19999) AS n;
INSERT INTO comments
    SELECT n % 1000, 'what I think of it ' || n FROM generate_series(0, 99999) AS n;
CREATE INDEX ON articles (edition, section);
CREATE INDEX ON comments (article);
ALTER TABLE comments REPLICA IDENTITY FULL;
ALTER TABLE articles ENABLE ROW LEVEL SECURITY;
CREATE POLICY edition ON articles USING (edition = current_setting('app.edition', true));
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO app;
