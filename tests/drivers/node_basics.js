// SPDX-License-Identifier: Apache-2.0
// node-postgres: arguments are host, port, database, user; the password is PGPASSWORD.
const assert = require('assert');
const { Client, Pool } = require('pg');
const [host, port, database, user] = process.argv.slice(2);
const where = { host, port: Number(port), database, user, password: process.env.PGPASSWORD };

async function one() {
    const c = new Client({ ...where, application_name: 'node', statement_timeout: 5000 });
    await c.connect();
    await c.query('CREATE TABLE nd(id int PRIMARY KEY, v jsonb)');
    for (let i = 0; i < 50; i++) {
        await c.query({ name: `insert${i % 3}`, text: `INSERT INTO nd VALUES ($1, $2) -- ${i % 3}`,
                        values: [i, { n: i }] });
    }
    for (let i = 0; i < 50; i++) {
        const r = await c.query({ name: 'get', text: 'SELECT v FROM nd WHERE id = $1', values: [i] });
        assert.deepStrictEqual(r.rows, [{ v: { n: i } }]);
    }
    await c.query('BEGIN');
    await assert.rejects(c.query('SELECT nope'), { code: '42703' });
    await c.query('ROLLBACK');
    const r = await c.query('SELECT 1 AS a; SELECT 2 AS b');
    assert.deepStrictEqual(r.map(x => x.rows), [[{ a: 1 }], [{ b: 2 }]]);
    const t = await c.query("SELECT current_setting('statement_timeout') AS t");
    assert.deepStrictEqual(t.rows, [{ t: '5s' }]);
    await c.end();
}

async function many() {
    const pool = new Pool({ ...where, max: 10 });
    await Promise.all([...Array(200).keys()].map(async n => {
        const r = await pool.query('SELECT $1::int AS n', [n]);
        assert.deepStrictEqual(r.rows, [{ n }]);
    }));
    await pool.end();
}

one().then(many).then(() => console.log(`node-postgres ${require('pg/package.json').version}`),
    error => { console.error(error); process.exit(1); });
