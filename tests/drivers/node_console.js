// SPDX-License-Identifier: Apache-2.0
// node-postgres on the console: arguments are host, port, database, user; the password is PGPASSWORD.
const assert = require('assert');
const { Client } = require('pg');
const [host, port, , user] = process.argv.slice(2);

async function main() {
    const c = new Client({ host, port: Number(port), database: 'pgbouncer', user, password: process.env.PGPASSWORD });
    await c.connect();
    for (const query of ['SHOW POOLS', { name: 'pools', text: 'SHOW POOLS' }, { name: 'pools', text: 'SHOW POOLS' }]) {
        const r = await c.query(query);
        assert.deepStrictEqual(r.rows.filter(x => x.database === 'pgbouncer').map(x => x.cl_active), [1]);
    }
    await assert.rejects(c.query({ name: 'bad', text: 'SHOW NONSENSE' }), { code: '08P01' });
    await c.query('RECONNECT');
    await c.end();
}

main().then(() => console.log('node-postgres on the console'), error => { console.error(error); process.exit(1); });
