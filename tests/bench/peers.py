#!/usr/bin/env python3
"""jielong beside other programs that run the same network, by turns.

    peers.py --jielong build/jielong --dir DIR [--llama-bench PATH]
             [--batched-bench PATH] [--completion PATH] [--shapes small,xl]
             [--types f32,bf16,int8,int4] [--rows decode,late,...] [--rounds 3]
             [--threads 2] [--lanes NAME] [--lock FILE] [--json FILE]

Random weights of each shape are written to DIR by `jielong convert` and
converted from f32 into each type's GGUF; every program opens the same file.
A round measures jielong and then each peer; ratios are taken inside a round,
to the best peer of that row, and told are the median round, the least and the
most. Peers are llama.cpp's own tools. Needs nothing but Python's library.

Rows: decode (from position 20), late (from 900), prefill (512 tokens; bf16
also with --fast), lanes (ten samples of one prompt, tokens/s together), first
(the whole program from its start to one token, files warm), memory (peak
against weights x 1.1 + keys and values + 40 MB), rival (two threads beside a
nice-19 loop of another session, against one thread alone), idle (processor
time of the open page with nobody typing).
"""
import argparse
import contextlib
import fcntl
import json
import os
import pty
import select
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

FILE_TYPE = {"f32": "f32", "bf16": "bf16", "int8": "q8_0", "int4": "q4_0"}
ROWS = ["decode", "late", "prefill", "lanes", "first", "memory", "rival",
        "idle"]
# (row, shape, type): the ratio to the best peer that the project wants.
MARKS = {
    ("decode", "small", "f32"): 1.0, ("decode", "small", "bf16"): 1.05,
    ("decode", "small", "int8"): 1.4, ("decode", "small", "int4"): 1.5,
    ("decode", "xl", "f32"): 1.1, ("decode", "xl", "bf16"): 1.2,
    ("decode", "xl", "int8"): 1.2, ("decode", "xl", "int4"): 1.3,
    ("late", "small", "int8"): 1.8, ("late", "xl", "int8"): 1.4,
    ("prefill", "small", "f32"): 1.4, ("prefill", "small", "bf16 fast"): 4,
    ("prefill", "small", "int8"): 2.5,
    ("lanes", "small", "int8"): 2.2, ("lanes", "xl", "int8"): 1.8,
    ("first", "small", "int8"): 0.5, ("first", "xl", "int8"): 0.4,
}
LESS_IS_BETTER = {"first", "memory", "idle"}


def out_of(argv, env=None, timeout=900):
    r = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       stdin=subprocess.DEVNULL, env=env, timeout=timeout)
    if r.returncode != 0:
        raise RuntimeError("%s: status %d: %s" % (
            " ".join(argv), r.returncode, r.stderr.decode("utf-8", "replace")
            .strip()[-300:]))
    return r.stdout.decode("utf-8", "replace")


def autogroup(nice):
    """A session's share of the machine beside other sessions', whatever the
    niceness inside them (sched(7)); often nobody may lift it."""
    try:
        with open("/proc/self/autogroup", "w") as f:
            f.write(str(nice))
        return True
    except OSError:
        return False


def autogroup_now():
    try:
        with open("/proc/self/autogroup") as f:
            return int(f.read().split()[-1])
    except (OSError, ValueError, IndexError):
        return 0


class Bench:
    def __init__(self, a):
        self.a = a
        self.env = dict(os.environ, XDG_CACHE_HOME=os.path.join(a.dir, "cache"))
        self.values = {}  # (row, shape, type) -> {who: [value per round]}
        self.shares = {}

    @contextlib.contextmanager
    def quiet(self):
        """A round at a time: others that measure here hold the same lock."""
        if not self.a.lock:
            yield
            return
        with open(self.a.lock, "a") as f:
            fcntl.flock(f, fcntl.LOCK_EX)
            yield

    def note(self, row, shape, typ, who, value):
        per = self.values.setdefault((row, shape, typ), {})
        per.setdefault(who, []).append(value)
        print("# %-8s %-6s %-10s %-22s %10.4g" % (row, shape, typ, who, value),
              file=sys.stderr, flush=True)

    # --- files ---

    def path(self, shape, typ):
        return os.path.join(self.a.dir, "%s-%s.gguf" % (shape, FILE_TYPE[typ]))

    def make(self, shape, typ):
        base, path = self.path(shape, "f32"), self.path(shape, typ)
        if not os.path.exists(base):
            out_of([self.a.jielong, "convert", "--shape", shape, base])
        if not os.path.exists(path):
            out_of([self.a.jielong, "convert", base, path, "--type",
                    FILE_TYPE[typ]])
        with open(path, "rb") as f:  # warm
            while f.read(1 << 24):
                pass

    # --- this program ---

    def ours(self, shape, typ, only, threads=None, fast=False):
        argv = [self.a.jielong, "bench", self.path(shape, typ), "--type", typ,
                "--threads", str(threads or self.a.threads), "--rounds", "1",
                "--only", only, "--json"] + (["--fast"] if fast else [])
        return json.loads(out_of(argv, self.env).splitlines()[-1])

    def our_round(self, shape, typ, rows):
        only = [w for w in ("decode", "late", "prefill") if w in rows]
        if "lanes" in rows:
            only.append(self.a.lanes)
        if not only:
            return
        r = self.ours(shape, typ, ",".join(["read"] + only))
        for row in rows:
            name = self.a.lanes if row == "lanes" else row
            if name in r:
                self.note(row, shape, typ, "jielong", r[name][0])
            if name + "_share" in r:
                self.shares.setdefault((row, shape, typ), []).append(
                    r[name + "_share"][0])
        if "memory" in rows and {"late", "prefill"} <= set(rows):
            limit = r["weight_bytes"] * 1.1 + r["kv_bytes"] + 40e6
            self.note("memory", shape, typ, "jielong", r["peak_bytes"] / 1e6)
            self.note("memory", shape, typ, "limit", limit / 1e6)
        if "prefill" in rows and typ == "bf16":
            r = self.ours(shape, typ, "prefill", fast=True)
            self.note("prefill", shape, "bf16 fast", "jielong",
                      r["prefill"][0])

    # --- llama.cpp ---

    def llama_bench(self, shape, typ, prompt, gen, depth):
        """Best of flash attention on and off, its two ways of attention."""
        argv = [self.a.llama_bench, "-m", self.path(shape, typ), "-t",
                str(self.a.threads), "-p", str(prompt), "-n", str(gen), "-d",
                str(depth), "-fa", "0,1", "-r", "1", "-o", "json"]
        rows = json.loads(out_of(argv))
        for r in rows:
            yield ("prefill" if r["n_prompt"] else
                   "late" if r["n_depth"] else "decode",
                   "llama.cpp fa=%d" % r["flash_attn"], r["avg_ts"])

    def peer_round(self, shape, typ, rows):
        gen = 64 if shape != "xl" else 24
        if self.a.llama_bench and {"decode", "prefill"} & set(rows):
            for row, who, v in self.llama_bench(
                    shape, typ, 512 if "prefill" in rows else 0,
                    gen if "decode" in rows else 0, 0):
                self.note(row, shape, typ, who, v)
                if row == "prefill" and typ == "bf16":
                    self.note(row, shape, "bf16 fast", who, v)
        if self.a.llama_bench and "late" in rows:
            for row, who, v in self.llama_bench(shape, typ, 0, gen // 2, 900):
                self.note(row, shape, typ, who, v)
        if self.a.batched_bench and "lanes" in rows:
            argv = [self.a.batched_bench, "-m", self.path(shape, typ), "-t",
                    str(self.a.threads), "-c", "1024", "-npp", "64", "-ntg",
                    str(gen // 2), "-npl", "10", "-pps", "--output-format",
                    "jsonl"]
            for fa in ("on", "off"):
                out = out_of(argv + ["-fa", fa])
                r = [json.loads(s) for s in out.splitlines()
                     if s.startswith("{")]
                self.note("lanes", shape, typ, "llama.cpp fa=" + fa,
                          r[-1]["speed_tg"])

    # --- the whole program ---

    def first_round(self, shape, typ):
        path, n = self.path(shape, typ), str(self.a.threads)
        who = [("jielong", [self.a.jielong, "-m", path, "--type", typ, "-p",
                            "abc", "-n", "1", "-t", "0", "--stop-at",
                            "length"])]
        if self.a.completion:
            who.append(("llama.cpp", [self.a.completion, "-m", path, "-p",
                                      "abc", "-n", "1", "--temp", "0",
                                      "-no-cnv", "--no-warmup", "-t", n]))
        for name, argv in who:
            out_of(argv, self.env)  # warm
            t = time.monotonic()
            out_of(argv, self.env)
            t = time.monotonic() - t
            self.note("first", shape, typ, name, t)

    def rival_round(self, shape, typ):
        """Two threads beside a rival against one thread alone. The rival's
        session has the share of ours, so its niceness counts for nothing; where
        shares may be lifted no third one disturbs."""
        alone = self.ours(shape, typ, "decode", 1)["decode"][0]
        rival = subprocess.Popen(
            ["sh", "-c", "{ echo $1 >/proc/self/autogroup; } 2>/dev/null; "
             "while :; do :; done", "rival", str(autogroup_now())],
            start_new_session=True, preexec_fn=lambda: os.nice(19))
        try:
            time.sleep(0.5)
            beside = self.ours(shape, typ, "decode", 2)["decode"][0]
        finally:
            os.killpg(rival.pid, signal.SIGKILL)
            rival.wait()
        self.note("rival", shape, typ, "alone, 1 thread", alone)
        self.note("rival", shape, typ, "jielong", beside)

    def idle(self, seconds=10):
        home = tempfile.mkdtemp(prefix="peers-")
        env = dict(self.env, HOME=home, XDG_DATA_HOME=home, TERM="xterm",
                   XDG_CONFIG_HOME=home, XDG_STATE_HOME=home)
        pid, fd = pty.fork()
        if pid == 0:
            os.execve(self.a.jielong, [self.a.jielong, home + "/a.jl"], env)

        def drain(s):
            end = time.monotonic() + s
            while time.monotonic() < end:
                if select.select([fd], [], [], 0.05)[0]:
                    try:
                        os.read(fd, 65536)
                    except OSError:
                        raise RuntimeError("the page has ended")

        def ticks():
            with open("/proc/%d/stat" % pid) as f:
                words = f.read().rsplit(")", 1)[1].split()
            return int(words[11]) + int(words[12])

        try:
            drain(5)
            before = ticks()
            drain(seconds)
            used = ticks() - before
        finally:
            os.kill(pid, signal.SIGTERM)
            os.waitpid(pid, 0)
            os.close(fd)
            shutil.rmtree(home, ignore_errors=True)
        ms = 1000 * used / os.sysconf("SC_CLK_TCK")
        self.note("idle", "box", "-", "jielong", ms)

    # --- all of it ---

    def round(self, shape, typ, rows):
        if "first" in rows and typ == "int8":
            self.first_round(shape, typ)
        self.our_round(shape, typ, rows)
        self.peer_round(shape, typ, rows)
        if "rival" in rows and (shape, typ) == ("small", "int8"):
            self.rival_round(shape, typ)

    def run(self):
        a, rows = self.a, self.a.rows
        for shape in a.shapes:
            for typ in a.types:
                self.make(shape, typ)
                for _ in range(a.rounds):
                    with self.quiet():
                        self.round(shape, typ, rows)
        if "idle" in rows:
            self.idle()

    def result(self, key):
        """Ratios to the best peer, round by round."""
        row, per = key[0], self.values[key]
        mine = per.get("jielong", [])
        peers = {k: v for k, v in per.items() if k != "jielong"}
        r = {"row": row, "shape": key[1], "type": key[2], "jielong": mine,
             "peers": peers, "mark": MARKS.get(key)}
        if row == "rival":
            r["mark"] = 0.8
        if row == "memory":
            r["mark"] = 1.0
        if key in self.shares:
            r["share"] = statistics.median(self.shares[key])
        pick = min if row in LESS_IS_BETTER else max
        ratios = []
        for i, v in enumerate(mine):
            beside = [p[i] for p in peers.values() if i < len(p)]
            if beside:
                ratios.append(v / pick(beside))
        if ratios:
            r["ratio"] = [statistics.median(ratios), min(ratios), max(ratios)]
            best = pick(peers, key=lambda k: statistics.median(peers[k]))
            r["best_peer"] = best
            if r["mark"]:
                r["reached"] = (r["ratio"][0] <= r["mark"]
                                if row in LESS_IS_BETTER else
                                r["ratio"][0] >= r["mark"])
        return r


def machine():
    name = "?"
    with open("/proc/cpuinfo") as f:
        for line in f:
            if line.startswith("model name"):
                name = line.split(":", 1)[1].strip()
    return "%d processors, %s" % (os.cpu_count(), name)


def table(results, rounds):
    print("%s; median of %d rounds (least .. most)\n" % (machine(), rounds))
    print("| row | shape | type | jielong | best peer | ratio | mark | of the "
          "read limit |\n|---|---|---|---|---|---|---|---|")
    for r in results:
        best = r["peers"].get(r.get("best_peer"), [])
        print("| %s | %s | %s | %s | %s | %s | %s | %s |" % (
            r["row"], r["shape"], r["type"],
            "%.4g" % statistics.median(r["jielong"]) if r["jielong"] else "",
            "%.4g %s" % (statistics.median(best), r["best_peer"])
            if best else "",
            "%.2f (%.2f .. %.2f)" % tuple(r["ratio"]) if "ratio" in r else "",
            "%g %s" % (r["mark"], "reached" if r.get("reached") else "missed")
            if r["mark"] and "ratio" in r else "",
            "%.2f" % r["share"] if "share" in r else ""))


def main():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--jielong", required=True)
    p.add_argument("--dir", required=True)
    p.add_argument("--llama-bench")
    p.add_argument("--batched-bench")
    p.add_argument("--completion")
    p.add_argument("--shapes", default="small,xl")
    p.add_argument("--types", default="f32,bf16,int8,int4")
    p.add_argument("--rows", default=",".join(ROWS))
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--lanes", default="lanes10", help="the figure that stands "
                   "for ten samples (decode: of a\nprogram that makes them one "
                   "after the other)")
    p.add_argument("--lock")
    p.add_argument("--json")
    a = p.parse_args()
    for name in ("shapes", "types", "rows"):
        setattr(a, name, getattr(a, name).split(","))
    if not set(a.types) <= set(FILE_TYPE) or not set(a.rows) <= set(ROWS):
        p.error("unknown type or row")
    a.jielong = os.path.abspath(a.jielong)
    os.makedirs(a.dir, exist_ok=True)
    was = autogroup_now()
    if not autogroup(-20):
        print("# this session's share of the machine cannot be lifted",
              file=sys.stderr)
    b = Bench(a)
    try:
        b.run()
    finally:
        autogroup(was)
        order = sorted(b.values, key=lambda k: ROWS.index(k[0]))
        results = [b.result(k) for k in order]
        table(results, a.rounds)
        if a.json:
            with open(a.json, "w") as f:
                json.dump({"machine": machine(), "threads": a.threads,
                           "results": results}, f, indent=1)


if __name__ == "__main__":
    main()
