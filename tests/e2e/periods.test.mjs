// Goal: a month begins when a calendar of its zone first shows the first of it, in all zones, from 1990 to
// 2040. Method: every month that the program's own code prints is compared with one found here by asking
// Intl what clocks of the zone show, and nothing else.
//
// Intl has a copy of the zone data, the program reads the system's. Where they are of different releases,
// months from the older one's year on may differ, because a government has changed its mind; this is said.
// Other differences fail, but for those named below with their reason.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { OUT, run } from './support/process.mjs';

const FIRST_YEAR = 1990;
const LAST_YEAR = 2040;
const MONTHS = (LAST_YEAR - FIRST_YEAR + 1) * 12;
const ZONES_FILE = '/usr/share/zoneinfo/tzdata.zi';
const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
// No clock is farther from UTC.
const FARTHEST = 27 * HOUR;

// zone: [why, first and last month that may differ]
const DIFFERENT = {
    WET: ['to Intl a link to Lisbon, as since 2024b; Debian keeps the zone of its own, which had no central '
        + 'European time', '1992-10', '1996-03'],
};

/** Reads the clocks of a zone: ms since 1970 of what they show, taken as if it were UTC. */
function clocksOf(timeZone) {
    const format = new Intl.DateTimeFormat('en-US', {
        timeZone, calendar: 'gregory', numberingSystem: 'latn', hourCycle: 'h23', year: 'numeric',
        month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit', second: '2-digit',
    });

    return (at) => {
        const text = format.format(at); // 11/24/2026, 17:30:00
        const two = (place) => text.charCodeAt(place) * 10 + text.charCodeAt(place + 1) - 11 * 48;

        return Date.UTC(two(6) * 100 + two(8), two(0) - 1, two(3), two(12), two(15), two(18));
    };
}

/** The first instant of an hour at which clocks show `wanted` or later, to the second; none: null. */
function firstOfHour(shown, from, wanted) {
    for (let minute = from; minute <= from + HOUR; minute += MINUTE) {
        if (shown(minute) < wanted)
            continue;
        let at = minute;

        while (at > from && shown(at - SECOND) >= wanted)
            at -= SECOND;
        return at;
    }
    return null;
}

/** The first instant at which clocks show `wanted` or later. */
function firstShown(shown, wanted) {
    const before = shown(wanted - FARTHEST) + FARTHEST - wanted;
    const after = shown(wanted + FARTHEST) - FARTHEST - wanted;
    const usual = wanted - before;

    if (before === after && shown(usual) === wanted && shown(usual - SECOND) === wanted - SECOND)
        return usual;
    // Clocks are set around here: hour by hour, and minute by minute where one may have it. They are set on a
    // minute and by minutes, so that no minute in between is missed.
    let last = shown(wanted - FARTHEST);

    for (let from = wanted - FARTHEST; from < wanted + FARTHEST; from += HOUR) {
        const next = shown(from + HOUR);

        if (next >= wanted || next - last !== HOUR) {
            const at = firstOfHour(shown, from, wanted);

            if (at !== null)
                return at;
        }
        last = next;
    }
    return null;
}

let names;
let release;
const printed = new Map();

before(() => {
    const lines = readFileSync(ZONES_FILE, 'utf8').split('\n').map((line) => line.split(' '));

    release = lines[0][2];
    names = lines.filter(([kind]) => kind === 'Z' || kind === 'L')
        .map(([kind, first, second]) => (kind === 'Z' ? first : second))
        .filter((name) => name !== 'Factory'); // "local time has not been set"
    const dump = run(join(OUT, 'period_dump'), [String(FIRST_YEAR), String(LAST_YEAR)],
        { input: `${names.join('\n')}\n` });

    assert.equal(dump.status, 0, dump.stderr);
    for (const line of dump.stdout.trimEnd().split('\n')) {
        const [name, ...starts] = line.split(' ');
        printed.set(name, starts.map(Number));
    }
});

test('months of all zones begin when Intl says that they do', (t) => {
    const different = new Map(); // zone: months that begin at another time
    let zones = 0;

    assert.equal(printed.size, names.length);
    for (const [name, starts] of printed) {
        if (starts.length === 0) // a link that is in a package of its own
            continue;
        const shown = clocksOf(name);

        assert.equal(starts.length, MONTHS, name);
        zones++;
        for (const [month, start] of starts.entries()) {
            const date = Date.UTC(FIRST_YEAR, month, 1);

            if (firstShown(shown, date) !== start)
                different.set(name, [...different.get(name) ?? [], new Date(date).toISOString().slice(0, 7)]);
        }
    }
    t.diagnostic(`${zones} zones, ${zones * MONTHS} months; system tzdata ${release}, Node's ${process.versions.tz}`);
    assert.ok(zones >= 400, `${zones} zones have a file`);

    const wrong = [];

    for (const [name, months] of different) {
        const [first, last] = [months[0], months.at(-1)];
        const [why, from, to] = DIFFERENT[name] ?? ['', '9', ''];
        const isKnown = first >= from && last <= to;
        const isNewer = release !== process.versions.tz && first >= [release, process.versions.tz].sort()[0].slice(0, 4);
        const reason = isKnown ? why : isNewer ? 'the releases differ' : 'WRONG';

        t.diagnostic(`${name}: ${months.length} months of ${first} to ${last} differ: ${reason}`);
        if (!isKnown && !isNewer)
            wrong.push(name);
    }
    assert.deepEqual(wrong, []);
});

// What the comparison rests on: that this side finds the peculiar ones by itself.
test('Intl knows the peculiar ones', () => {
    const first = (zone, ...date) => new Date(firstShown(clocksOf(zone), Date.UTC(...date))).toISOString();

    assert.equal(first('America/Havana', 2026, 10, 1), '2026-11-01T04:00:00.000Z'); // midnight twice
    assert.equal(first('America/St_Johns', 2006, 9, 29), '2006-10-29T02:30:00.000Z'); // for a minute only
    assert.equal(first('America/Asuncion', 2017, 9, 1), '2017-10-01T04:00:00.000Z'); // no midnight
    assert.equal(first('Pacific/Apia', 2011, 11, 30), '2011-12-30T10:00:00.000Z'); // no such day
    assert.equal(first('Asia/Kathmandu', 2026, 2, 1), '2026-02-28T18:15:00.000Z');
});
