#!/usr/bin/env python3
"""Every test, in four builds; called by ./start test.

release   gcc, all suites
asan      clang, AddressSanitizer and UBSan, -Werror, all suites
tsan      gcc, ThreadSanitizer, -Werror, the tests that have threads
fuzz      clang, libFuzzer over the parsers (tests/fuzz), with both sanitizers,
          each target for JIELONG_FUZZ_SECONDS (20) and as one test

The last line is "N passed, N failed, N skipped", counted over the TAP lines
of all builds. Arguments name single builds (release, asan, tsan, fuzz).
"""

import concurrent.futures
import json
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# The tests whose subject has threads: worker, generator, story, page.
THREADED = ["gen", "worker", "ring", "session", "story", "storyfile",
            "journal", "turn"]

BUILDS = {
    "release": dict(dir="build", cc="gcc", setup=["-Dtests=enabled"]),
    "asan": dict(dir="build/asan", cc="clang", setup=[
        "-Dtests=enabled", "-Dwerror=true", "-Dbuildtype=debugoptimized",
        "-Db_sanitize=address,undefined", "-Db_lundef=false"]),
    "tsan": dict(dir="build/tsan", cc="gcc", setup=[
        "-Dtests=enabled", "-Dwerror=true", "-Dbuildtype=debugoptimized",
        "-Db_sanitize=thread"]),
    "fuzz": dict(dir="build/fuzz", cc="clang", ninja="fuzz", setup=[
        "-Dtests=enabled", "-Dwerror=true", "-Dbuildtype=debugoptimized",
        "-Dfuzz=true", "-Db_sanitize=address,undefined", "-Db_lundef=false"]),
}


def run(cmd, env=None, quiet=False):
    out = subprocess.DEVNULL if quiet else None
    return subprocess.run(cmd, cwd=ROOT, env=env, stdin=subprocess.DEVNULL,
                          stdout=out).returncode


def ccache(cc):
    for d in os.environ.get("PATH", "").split(":"):
        if os.access(os.path.join(d, "ccache"), os.X_OK):
            return "ccache " + cc
    return cc


def build(name, b):
    d = os.path.join(ROOT, b["dir"])
    env = dict(os.environ, CC=ccache(b["cc"]))
    if not os.path.exists(os.path.join(d, "build.ninja")):
        code = run(["meson", "setup", d, *b["setup"]], env, quiet=True)
    else:
        code = run(["meson", "configure", d, *b["setup"]], env, quiet=True)
    if code == 0:
        code = run(["ninja", "-C", d] + ([b["ninja"]] if "ninja" in b else []),
                   env)
    return code == 0


def sanitizer_env(env):
    t = os.path.join(ROOT, "tests")
    env["ASAN_OPTIONS"] = "detect_leaks=1:abort_on_error=0:exitcode=99"
    env["LSAN_OPTIONS"] = f"suppressions={t}/lsan.supp:print_suppressions=0"
    env["UBSAN_OPTIONS"] = "print_stacktrace=1:halt_on_error=1"
    env["TSAN_OPTIONS"] = (f"suppressions={t}/tsan.supp:halt_on_error=0:"
                           "exitcode=66:second_deadlock_stack=1")
    return env


def test(name, b):
    """Runs meson test; returns (passed, failed, skipped)."""
    d = os.path.join(ROOT, b["dir"])
    env = sanitizer_env(dict(os.environ, JIELONG_TEST_BUILD=name))
    cmd = ["meson", "test", "-C", d, "--no-rebuild", "--print-errorlogs",
           "--timeout-multiplier", "1" if name == "release" else "4"]
    if name == "tsan":
        # Fixed addresses: gcc 12's runtime does not know the wider
        # randomisation of newer kernels.
        cmd = ["setarch", "-R"] + cmd
        listed = subprocess.run(["meson", "test", "-C", d, "--list"], cwd=ROOT,
                                capture_output=True, text=True).stdout
        have = {line.split(" / ")[-1].strip() for line in
                listed.splitlines() if line.strip()}
        cmd += sorted(t for t in THREADED if t in have)
    code = run(cmd, env)
    return count(os.path.join(d, "meson-logs", "testlog.json"), code)


def count(path, code):
    passed = failed = skipped = 0
    try:
        with open(path, encoding="utf-8") as f:
            rows = [json.loads(line) for line in f if line.strip()]
    except OSError:
        rows = []
    for r in rows:
        out = r.get("stdout") or ""
        bad = len(re.findall(r"^not ok\b(?!.*# SKIP)", out, re.M))
        skip = len(re.findall(r"^(?:not )?ok\b.*# SKIP", out, re.M | re.I))
        good = len(re.findall(r"^ok\b", out, re.M)) - skip
        if r["result"] == "SKIP" and skip == 0:
            skip = 1
        if good + bad + skip == 0 and r["result"] == "OK":
            good = 1
        if r["result"] not in ("OK", "SKIP") and bad == 0:
            bad = 1 # a crash, a timeout, a sanitizer's report
        passed, failed, skipped = passed + good, failed + bad, skipped + skip
    if not rows or (code != 0 and failed == 0):
        failed += 1
    return passed, failed, skipped


def fuzz_targets():
    d = os.path.join(ROOT, "build", "fuzz", "tests", "fuzz")
    return sorted(f[5:] for f in os.listdir(d) if f.startswith("fuzz_")
                  and "." not in f)


def fuzz_one(target, seconds):
    """Runs a target; returns whether it found nothing, and how much it did."""
    base = os.path.join(ROOT, "build", "fuzz")
    corpus = os.path.join(base, "corpus", target)
    broken = os.path.join(base, "broken")
    for d in (corpus, broken):
        os.makedirs(d, exist_ok=True)
    env = sanitizer_env(dict(os.environ))
    env["ASAN_OPTIONS"] += ":allocator_may_return_null=1"
    p = subprocess.run(
        [os.path.join(base, "tests", "fuzz", "fuzz_" + target),
         f"-max_total_time={max(1, round(seconds))}", "-max_len=16384",
         "-rss_limit_mb=3000", "-timeout=10", "-print_final_stats=1",
         f"-artifact_prefix={broken}/{target}-", corpus],
        cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace")
    found = re.search(r"number_of_executed_units: *([0-9]+)", p.stdout)
    if p.returncode != 0:
        print(p.stdout[-6000:], flush=True)
    return p.returncode == 0, int(found.group(1)) if found else 0


def fuzz(targets, seconds, at_once):
    """All targets from the seeds and what was learnt before; as test()."""
    corpus = os.path.join(ROOT, "tests", "fuzz", "corpus.py")
    if run([sys.executable, corpus,
            os.path.join(ROOT, "build", "fuzz", "corpus")]) != 0:
        return 0, len(targets), 0
    passed = 0
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        jobs = [(t, pool.submit(fuzz_one, t, seconds)) for t in targets]
        for t, job in jobs:
            ok, n = job.result()
            passed += ok
            print(f"fuzz {t:16} {'OK' if ok else 'FAIL':5} {n} executions",
                  flush=True)
    return passed, len(targets) - passed, 0


def main():
    names = sys.argv[1:] or list(BUILDS)
    for n in names:
        if n not in BUILDS:
            print(f"tests/run.py: no build named {n}; there are "
                  + ", ".join(BUILDS), file=sys.stderr)
            return 2
    total = [0, 0, 0]
    for n in names:
        print(f"== {n}", flush=True)
        if not build(n, BUILDS[n]):
            print(f"== {n}: the build failed", flush=True)
            total[1] += 1
            continue
        if n == "fuzz":
            result = fuzz(fuzz_targets(), float(
                os.environ.get("JIELONG_FUZZ_SECONDS", "20")),
                max(1, os.cpu_count() or 1))
        else:
            result = test(n, BUILDS[n])
        print("== %s: %d passed, %d failed, %d skipped" % (n, *result),
              flush=True)
        total = [a + b for a, b in zip(total, result)]
    print("%d passed, %d failed, %d skipped" % tuple(total), flush=True)
    return 1 if total[1] else 0


if __name__ == "__main__":
    sys.exit(main())
