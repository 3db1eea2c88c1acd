#!/usr/bin/env python3
"""Writes sampler.txt: what the chain must give, computed in plain double
arithmetic from the definitions (doc/sampling.md), without the program.

    python3 tests/data/make_sampler.py > tests/data/sampler.txt

Lines:
  row R l0 l1 ...         logits (exact float32 values)
  history id id ...       for all cases
  exempt id id ...        left out of the penalties
  case R ban knob=value ... | seed i run br | drawn n_kept | id:lp:q ...
"""
import math
import random
import struct

V = 48
STAGES = ["repeat", "top-k", "top-p", "min-p", "temp"]
random.seed(20240607)


def f32(x):
    return struct.unpack("<f", struct.pack("<f", x))[0]


def philox(ctr, key):
    c, k = list(ctr), list(key)
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(p1 >> 32) ^ c[1] ^ k[0], p1 & 0xFFFFFFFF,
             (p0 >> 32) ^ c[3] ^ k[1], p0 & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


def die(seed, i, run, br):
    w = philox([i, run, br, 0], [seed & 0xFFFFFFFF, seed >> 32])
    return ((w[1] << 32 | w[0]) >> 11) / 2.0 ** 53


def probabilities(c):
    m = max(l for _, l in c)
    e = [math.exp(l - m) for _, l in c]
    s = math.fsum(e)
    return [x / s for x in e]


def near(a, b):
    """Would single precision decide this comparison otherwise?"""
    return abs(a - b) < 1e-5 * max(1.0, abs(a), abs(b))


class Borderline(Exception):
    pass


def chain(logits, hist, exempt, ban, k):
    c = [(i, l) for i, l in enumerate(logits) if math.isfinite(l) and i != ban]
    c.sort(key=lambda x: (-x[1], x[0]))
    flat = False
    for st in k["order"]:
        if st == "repeat" and (k["repeat"] != 1 or k["frequency"] or
                               k["presence"]):
            r = k["repeat-range"]
            seen = {}
            for t in (hist[-r:] if r else []):
                if t not in exempt:
                    seen[t] = seen.get(t, 0) + 1
            new = []
            for i, l in c:
                if i in seen:
                    l = l / k["repeat"] if l > 0 else l * k["repeat"]
                    l -= seen[i] * k["frequency"] + k["presence"]
                new.append((i, l))
            c = sorted(new, key=lambda x: (-x[1], x[0]))
        elif st == "top-k" and k["top-k"]:
            n = k["top-k"]
            if n < len(c) and not flat and c[n - 1][1] != c[n][1] \
                    and near(c[n - 1][1], c[n][1]):
                raise Borderline
            c = c[:n]
        elif st == "top-p" and k["top-p"] < 1:
            p, s = probabilities(c), 0.0
            for n in range(len(c)):
                s += p[n]
                if near(s, k["top-p"]):
                    raise Borderline
                if s >= k["top-p"]:
                    break
            c = c[:n + 1]
        elif st == "min-p" and k["min-p"] > 0:
            p = probabilities(c)
            if any(near(x, k["min-p"] * p[0]) for x in p[1:]):
                raise Borderline
            c = [x for x, q in zip(c, p) if q >= k["min-p"] * p[0]]
        elif st == "temp":
            t = k["temperature"]
            if t == 0:
                c = c[:1]
            elif math.isinf(t):
                c = [(i, 0.0) for i, _ in c]
                flat = True
            else:
                c = [(i, l / t) for i, l in c]
    return c, flat


def draw(c, flat, u):
    if flat:
        c = sorted(c)
    p, s = probabilities(c), 0.0
    for (i, _), q in zip(c, p):
        s += q
        if near(u, s):
            raise Borderline
        if u < s:
            return i
    raise Borderline


rows = [
    [f32(random.gauss(0, 2.5)) for _ in range(V)],
    [f32(random.gauss(-8, 1.2)) for _ in range(V)],          # all negative
    [f32(random.gauss(0, 0.4)) for _ in range(V)],           # nearly flat
    [f32(random.choice([-1, 0, 1, 2]) * 0.75) for _ in range(V)],  # ties
    [f32(random.gauss(3, 3)) for _ in range(V)],             # and holes:
]
for i in (0, 7, 31):
    rows[4][i] = -math.inf
rows[4][12], rows[4][13] = math.nan, math.inf
rows[0][5] = f32(rows[0][5] + 14)                            # one sure token
hist = [random.randrange(V) for _ in range(40)]
exempt = [3, 17, 18, 40]

neutral = {"temperature": 1.0, "top-k": 0, "top-p": 1.0, "min-p": 0.0,
           "repeat": 1.0, "repeat-range": 256, "frequency": 0.0,
           "presence": 0.0, "order": STAGES}
settings = [
    {}, {"temperature": 0}, {"temperature": math.inf}, {"temperature": 0.7},
    {"temperature": 2.5}, {"top-k": 1}, {"top-k": 7}, {"top-k": 47},
    {"top-k": 1000}, {"top-p": 0.9}, {"top-p": 0.0}, {"top-p": 0.37},
    {"min-p": 0.1}, {"min-p": 1.0}, {"min-p": 0.004},
    {"repeat": 1.3}, {"repeat": 1.3, "repeat-range": 5}, {"repeat": 2.0,
     "repeat-range": 0}, {"frequency": 0.35}, {"presence": 1.1},
    {"presence": -0.5, "frequency": -0.2, "repeat": 1.1},
    {"temperature": 0.9, "top-k": 40, "top-p": 0.95, "min-p": 0.05,
     "repeat": 1.05},
    {"temperature": math.inf, "top-k": 8},
    {"temperature": math.inf, "top-k": 8, "order":
     ["temp", "repeat", "top-k", "top-p", "min-p"]},
    {"temperature": 1.8, "min-p": 0.1, "top-p": 0.8, "order":
     ["temp", "repeat", "top-k", "top-p", "min-p"]},
    {"temperature": 1.8, "min-p": 0.1, "top-p": 0.8},
    {"top-k": 10, "repeat": 1.5, "presence": 0.6, "top-p": 0.9, "order":
     ["top-k", "top-p", "repeat", "min-p", "temp"]},
    {"top-p": 0.7, "min-p": 0.2, "order":
     ["min-p", "top-p", "top-k", "temp", "repeat"]},
    {"temperature": 0.5, "repeat": 1.4, "order":
     ["temp", "repeat", "top-k", "top-p", "min-p"]},
]


def text(v):
    if isinstance(v, list):
        return ",".join(v)
    if isinstance(v, float) and math.isinf(v):
        return "inf"
    return repr(v)


for r, row in enumerate(rows):
    print("row", r, *("%.9g" % x for x in row))
print("history", *hist)
print("exempt", *exempt)
left_out = 0
for r, row in enumerate(rows):
    fin = [l for l in row if math.isfinite(l)]
    m = max(fin)
    lse = m + math.log(math.fsum(math.exp(l - m) for l in fin))
    for n, s in enumerate(settings):
        k = dict(neutral, **s)
        ban = 5 if n % 3 == 1 else -1
        at = (random.getrandbits(64), random.randrange(1000),
              random.randrange(1, 9), random.randrange(4))
        try:
            c, flat = chain(row, hist, exempt, ban, k)
            got = draw(c, flat, die(*at))
        except Borderline:
            left_out += 1
            continue
        p = probabilities(c)
        print("case", r, ban, *("%s=%s" % (a, text(b)) for a, b in s.items()),
              "|", *at, "|", got, len(c), "|",
              *("%d:%.7g:%.7g" % (i, row[i] - lse,
                                  math.log(q) if q > 0 else -math.inf)
                for (i, _), q in zip(c, p)))
print("end", left_out)
