// SPDX-License-Identifier: Apache-2.0
// node-postgres with BEGIN and COMMIT in SQL. Arguments: host, port, database, user, rounds.
const assert = require('assert');
const { Client } = require('pg');
const [host, port, database, user, rounds] = process.argv.slice(2);

async function main() {
    const c = new Client({ host, port: Number(port), database, user, password: process.env.PGPASSWORD });
    await c.connect();
    for (let n = 0; n < Number(rounds); n++) {
        await c.query('BEGIN');
        const a = await c.query('SELECT v FROM rd WHERE id = $1', [1]);
        const b = await c.query({ name: 'get', text: 'SELECT v FROM rd WHERE id = $1', values: [2] });
        const d = await c.query('SELECT v FROM rd WHERE id = 3');
        assert.deepStrictEqual([a, b, d].map(r => r.rows[0].v), ['value 1', 'value 2', 'value 3']);
        await c.query(n % 2 ? 'COMMIT' : 'ROLLBACK');
    }
    await c.end();
    console.log(`${Number(rounds) * 3} reads of node-postgres ${require('pg/package.json').version}`);
}

main().catch(error => { console.error(error); process.exit(1); });
