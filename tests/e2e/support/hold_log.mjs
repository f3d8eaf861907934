// Every hold's beginning and end, noted in the database file itself: triggers of the test's own write a
// line in the transaction that adds or removes the hold, whichever code of the product runs it. Both
// functions want a server that has ended.

import { join } from 'node:path';
import { run } from './process.mjs';

const INSTALL = `
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.executescript("""
CREATE TABLE test_log (is_end INTEGER NOT NULL, hold_id INTEGER NOT NULL, team_id INTEGER NOT NULL);
CREATE TRIGGER test_hold_begins AFTER INSERT ON hold
BEGIN INSERT INTO test_log VALUES (0, new.id, new.team_id); END;
CREATE TRIGGER test_hold_ends AFTER DELETE ON hold
BEGIN INSERT INTO test_log VALUES (1, old.id, old.team_id); END;
""")
db.close()
`;

const READ = `
import json, sqlite3, sys
db = sqlite3.connect("file:" + sys.argv[1] + "?mode=ro", uri=True)
rows = db.execute("""
SELECT (SELECT public_id FROM team WHERE team.id = log.team_id), hold_id, sum(is_end = 0), sum(is_end = 1),
    (SELECT count(*) FROM charge WHERE charge.id = hold_id AND kind = 0),
    EXISTS (SELECT 1 FROM hold WHERE hold.id = hold_id)
FROM test_log AS log GROUP BY hold_id""").fetchall()
names = ("team", "hold", "begun", "ended", "charges", "isOpen")
print(json.dumps({"holds": [dict(zip(names, (row[0], str(row[1])) + row[2:])) for row in rows],
    "charges": db.execute("SELECT count(*) FROM charge WHERE kind = 0").fetchone()[0]}))
`;

function python(script, gate) {
    const { status, stdout, stderr } = run('python3', ['-c', script, join(gate.dataDir, 'tollgate.db')]);

    if (status !== 0)
        throw new Error(`python3: ${stderr}`);
    return stdout;
}

/** From the next start on. */
export function installHoldLog(gate) {
    python(INSTALL, gate);
}

/** { holds: [{ team, hold, begun, ended, charges, isOpen }], charges }: of each hold how often it began and
 * ended and how many charges stand under its id; and how many charges there are in all. */
export function readHoldLog(gate) {
    return JSON.parse(python(READ, gate));
}
