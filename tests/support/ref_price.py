#!/usr/bin/env python3
"""Answers price questions by the reference rules of ref_cost.py.

usage: ref_price.py modifiers.csv prices.csv... < questions.ndjson > answers.ndjson

A question: {"provider","model","at","tier","region","ctx","counts":{class: n}}; region "" for none
Its answer: {"nusd": n, "unpriced": 0 or 1, "fallback": 0 or 1}

A row of the region precedes a plain one. A class without a row in its tier takes its own standard price
times the modifier of the tier; else another class's in the tier, flagged; else another's of the standard
tier, flagged; what that cannot price either is left out and flagged. Names that differ in case alone are
one model, of two rows alike the dearer prices. The sum is rounded once, half to even.
"""
import csv, fnmatch, json, sys
from datetime import datetime, timezone
from fractions import Fraction
import ref_cost

FALL = dict(ref_cost.FALL)
# Classes that no dialect of ref_cost.py counts, by the same table.
FALL.update({'cache_write_audio': 'cache_write', 'input_image': 'input', 'cache_read_image': 'cache_read', 'input_video': 'input',
             'output_video': 'output'})
TOKENS = set(FALL) | {'input', 'output'}

def load(path):
    """-> (table of plain rows, table of rows by region), as ref_cost.load makes them"""
    plain, regional = {}, {}
    for (provider, model, comp, tier), rows in ref_cost.load(path).items():
        for row in rows:
            variant = row[1]
            if variant == '':
                plain.setdefault((provider, model.lower(), comp, tier), []).append(row)
            elif variant.startswith('region='):
                bare = (row[0], '') + row[2:]
                regional.setdefault((variant[7:], provider, model.lower(), comp, tier), []).append(bare)
    for rows in (*plain.values(), *regional.values()):
        rows.sort(key=lambda row: -row[5])
    return plain, regional

def load_modifiers(path):
    return [r for r in csv.DictReader(open(path))]

def price(tables, q, comp, tier, at):
    """-> (pico-USD or None, whether it is the region's own row)"""
    plain, regional = tables
    key = (q['provider'], q['model'].lower(), comp, tier)
    if q['region']:
        rows = {key: regional.get((q['region'], *key), [])}
        p = ref_cost.price(rows, *key, q['ctx'], at)
        if p is not None:
            return p, True
    return ref_cost.price(plain, *key, q['ctx'], at), False

def chain(tables, q, comp, tier, at):
    while comp is not None:
        p, own = price(tables, q, comp, tier, at)
        if p is not None:
            return p, own
        comp = FALL.get(comp)
    return None, False

def modifier(mods, q, kind, value, comp, at):
    day = at.strftime('%Y-%m-%d')
    for m in mods:
        k, values = m['condition'].split('=')
        if not value or k != kind or m['provider'] != q['provider']:
            continue
        if not any(v in ('*', value) for v in values.split('|')):
            continue
        if not any(fnmatch.fnmatchcase(q['model'].lower(), g) for g in m['models'].split('|')):
            continue
        if (m['from'] and day < m['from']) or (m['until'] and day >= m['until']):
            continue
        covered = comp in TOKENS and not (m['classes'] == 'uncached' and comp.startswith('cache_read'))
        return Fraction(int(m['num']), int(m['den'])) if covered else None
    return None

def class_price(tables, mods, q, comp, at):
    """-> (pico-USD or None, whether another row stood in)"""
    tier = q['tier']
    by_tier = None if tier == 'standard' else modifier(mods, q, 'tier', tier, comp, at)
    by_region = modifier(mods, q, 'region', q['region'], comp, at) or 1
    def answer(found, factor, fallback):
        p, own = found
        return p * factor * (1 if own else by_region), fallback
    found = price(tables, q, comp, tier, at)
    if found[0] is not None:
        return answer(found, 1, False)
    found = price(tables, q, comp, 'standard', at)
    if by_tier is not None and found[0] is not None:
        return answer(found, by_tier, False)
    found = chain(tables, q, comp, tier, at)
    if found[0] is not None:
        return answer(found, 1, True)
    found = chain(tables, q, comp, 'standard', at)
    if found[0] is not None:
        return answer(found, by_tier or 1, True)
    return None, False

def answer(tables, mods, q):
    at = datetime.fromisoformat(q['at'].replace('Z', '+00:00')).astimezone(timezone.utc)
    pico, unpriced, fallback = Fraction(0), 0, 0
    for comp, count in q['counts'].items():
        p, stood_in = class_price(tables, mods, q, comp, at)
        if p is None:
            unpriced = 1
        else:
            pico += p * count
            fallback |= stood_in
    return f'{{"nusd": {round(pico / 1000)}, "unpriced": {unpriced}, "fallback": {int(fallback)}}}'

if __name__ == '__main__':
    mods = load_modifiers(sys.argv[1])
    tables = ({}, {})
    for path in sys.argv[2:]:
        for table, more in zip(tables, load(path)):
            table.update(more)
    for line in sys.stdin:
        print(answer(tables, mods, json.loads(line)))
