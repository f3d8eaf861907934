#!/usr/bin/env python3
"""Answers price questions by the reference rules of ref_cost.py.

usage: ref_price.py prices.csv... < questions.ndjson > answers.ndjson

A question: {"provider","model","at","tier","ctx","counts":{class: n}}
Its answer: {"nusd": n, "unpriced": 0 or 1, "fallback": 0 or 1}

A class that its tier cannot price is priced by the standard tier and flagged; what that cannot price
either is left out and flagged. The sum is rounded once, half to even.
"""
import json, sys
from datetime import datetime, timezone
import ref_cost

ref_cost.buckets = lambda dialect, usage: (usage['counts'], usage['ctx'])
# Classes that no dialect of ref_cost.py counts, by the same table.
ref_cost.FALL.update({'cache_write_audio': 'cache_write', 'input_image': 'input', 'cache_read_image': 'cache_read', 'input_video': 'input',
                      'output_video': 'output'})

def class_cost(t, q, name, count, at):
    """-> (pico-USD or None, whether another row stood in)"""
    for tier in dict.fromkeys((q['tier'], 'standard')):
        v = {'id': '', 'dialect': 'counts', 'provider': q['provider'], 'model': q['model'], 'at': q['at'], 'tier': tier,
             'usage': {'counts': {name: count}, 'ctx': q['ctx']}}
        try:
            pico, _ = ref_cost.cost(t, v)
        except SystemExit:
            continue
        own = ref_cost.price(t, q['provider'], q['model'], name, tier, q['ctx'], at)
        return pico, own is None or tier != q['tier']
    return None, False

def answer(t, q):
    at = datetime.fromisoformat(q['at'].replace('Z', '+00:00')).astimezone(timezone.utc)
    pico, unpriced, fallback = 0, 0, 0
    for name, count in q['counts'].items():
        cost, stood_in = class_cost(t, q, name, count, at)
        if cost is None:
            unpriced = 1
        else:
            pico += cost
            fallback |= stood_in
    nusd, rest = divmod(pico, 1000)
    if rest > 500 or (rest == 500 and nusd % 2 == 1):
        nusd += 1
    return f'{{"nusd": {nusd}, "unpriced": {unpriced}, "fallback": {int(fallback)}}}'

if __name__ == '__main__':
    t = {}
    for path in sys.argv[1:]:
        t.update(ref_cost.load(path))
    for line in sys.stdin:
        print(answer(t, json.loads(line)))
