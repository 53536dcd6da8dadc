-- SPDX-License-Identifier: Apache-2.0
-- Reads of a few hot rows: after a moment every one of them can come from memory.
\set aid random(1, :keys)
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
