#!/usr/bin/env python3
"""The real program, killed before every system call that changes a file.

    tests/kill/sweep.py PROGRAM [CALL ...]        (build/jielong write fdatasync)
    tests/kill/sweep.py PROGRAM --random N [SEED]

A scripted session runs under tmux, which stays an emulator of its own after
the program is dead, and under strace, which kills it before the n-th call of
one kind, for n = 1, 2, 3 ... until the session outlives the kill. Then what
stands on the dead screen is compared with the story as `jielong export` reads
it, character by character. The journal may be some records ahead of the
screen (write before paint), so what was undone or deleted there and not yet
painted is no loss. With --random it is killed at N random moments instead.

Not part of ./start test: it takes some seconds for each n. Needs tmux and,
without --random, strace. Exit status 0 when nothing was lost.
"""
import os
import random
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

CALLS = ["write", "fdatasync", "fsync", "rename", "ftruncate", "openat"]
COLS, ROWS = 80, 24
AHEAD = 8  # records that one frame may lag behind the journal
STEPS = [  # keys, and what must be on the screen before the next; None: a while
    ("渡口的灯是酉时灭的，老船工说：", "老船工说"),
    ("\t", "seed 7"),
    ("\r\x1b[200~贴上的一段：“你来了。”\x1b[201~", "贴上的一段"),
    ("\x1a", None),
    ("\x19", "贴上的一段"),
    ("\x12", None),
    ("\x1b[1;5H前言。", "前言"),
    ("\x1b[1;5F\t", "seed 7"),
    ("\x12", None),
    ("\x7f\x7f\x7f", None),
    ("\x13", "Saved"),
    ("\x11", None),
]


class Session:
    def __init__(self, program, trace):
        self.home = tempfile.mkdtemp(prefix="jielong-sweep-")
        self.story = self.home + "/s.jl"
        self.name = "jielong-sweep-%d" % os.getpid()
        self.env = {"HOME": self.home, "PATH": os.environ["PATH"],
                    "LC_ALL": "C.UTF-8"}
        config = self.home + "/tmux.conf"
        with open(config, "w") as f:
            f.write("set -g remain-on-exit on\nset -g escape-time 0\n"
                    "set -g default-terminal screen-256color\n"
                    "set -g status off\n")
        command = trace + [program, "--seed", "7", self.story]
        subprocess.run(["tmux", "-L", self.name, "-f", config, "new-session",
                        "-d", "-x", str(COLS), "-y", str(ROWS),
                        " ".join(map(shlex.quote, command))],
                       env=self.env, check=True)

    def tmux(self, *args):
        return subprocess.run(["tmux", "-L", self.name] + list(args),
                              env=self.env, capture_output=True,
                              text=True).stdout

    def dead(self):
        return self.tmux("display", "-p", "#{pane_dead}").strip() != "0"

    def screen(self):
        return self.tmux("capture-pane", "-p")

    def send(self, keys):
        self.tmux("send-keys", "-l", keys)

    def wait(self, text, seconds=20):
        end = time.time() + seconds
        while time.time() < end and not self.dead():
            if text in self.screen():
                return True
            time.sleep(0.02)
        return False

    def close(self, keep=False):
        self.tmux("kill-server")
        if not keep:
            shutil.rmtree(self.home)


def play(s):
    """The whole session; ends early where the program dies."""
    s.wait("F1 help")
    for keys, shown in STEPS:
        if s.dead():
            return
        s.send(keys)
        if shown:
            s.wait(shown)
        else:
            time.sleep(0.2)
    end = time.time() + 10
    while time.time() < end and not s.dead():
        time.sleep(0.05)


def letters(text):
    return "".join(text.split())


def page(screen):
    """The story's text on the screen: what stands above the status row."""
    rows = screen.split("\n")
    marks = [i for i, r in enumerate(rows)
             if r.startswith((" Page ›", " Panel ›", " Prompt ›"))]
    if not marks:
        return ""
    return letters("".join(r[4:] for r in rows[:marks[-1]]
                           if "╌╌" not in r and "Write the opening" not in r
                           and "Esc stops it" not in r))


def export(program, s, story):
    return subprocess.run([program, "export", story], env=s.env,
                          capture_output=True, text=True)


def shown_before(program, s, shown):
    """Was this on the page some records before the journal's end?"""
    with open(s.story, encoding="utf-8") as f:
        lines = f.readlines()
    path = s.home + "/less.jl"
    for less in range(1, min(AHEAD, len(lines) - 1) + 1):
        with open(path, "w", encoding="utf-8") as f:
            f.writelines(lines[:-less])
        if shown in letters(export(program, s, path).stdout):
            return True
    return False


def check(program, s, what):
    screen = s.screen()
    shown = page(screen)
    if not os.path.exists(s.story):
        ok, kept, note = shown == "", "", "no file"
    else:
        r = export(program, s, s.story)
        kept, note = letters(r.stdout), r.stderr.strip()
        ok = r.returncode == 0 and shown in kept
        if r.returncode == 0 and not ok:
            ok = shown_before(program, s, shown)
            note += " (the journal is ahead)"
    print("%-4s %-16s %4d letters shown, %4d kept %s" %
          ("ok" if ok else "LOST", what, len(shown), len(kept), note),
          flush=True)
    if not ok:
        print(screen, "\n", kept, "\n", s.home)
    return ok


def killed_at_calls(program, call):
    """Kills before the n-th call of each thread, for all n."""
    ok = True
    for n in range(1, 10000):
        s = Session(program, ["strace", "-f", "-qq", "-o", "/dev/null", "-e",
                              "trace=" + call, "-e",
                              "inject=%s:signal=KILL:when=%d" % (call, n)])
        play(s)
        if not s.dead():
            print("LOST %s %d: the program hangs in %s" % (call, n, s.home))
            s.close(keep=True)
            return False
        outlived = s.tmux("display", "-p", "#{pane_dead_signal}").strip() == "" \
            and s.tmux("display", "-p", "#{pane_dead_status}").strip() == "0"
        good = check(program, s, "%s %d" % (call, n))
        s.close(keep=not good)
        ok = ok and good
        if outlived:
            return ok
    return ok


def killed_at_random(program, count, seed):
    random.seed(seed)
    ok = True
    keys = [k for k, _ in STEPS[:-1]] + ["船", "hello ", "\x1b", "\x1b[D",
                                         "\x1b[A", "\t", "\x17", "\x1b[1;3D"]
    for i in range(count):
        s = Session(program, ["env", "TERM=screen-256color"])
        s.wait("F1 help")
        end = time.time() + random.uniform(0.05, 3)
        while time.time() < end:
            s.send(random.choice(keys))
        pid = int(s.tmux("display", "-p", "#{pane_pid}"))
        os.kill(pid, 9)
        while not s.dead():
            time.sleep(0.01)
        good = check(program, s, "random %d" % i)
        s.close(keep=not good)
        ok = ok and good
    return ok


def main(argv):
    if len(argv) < 2:
        sys.exit(__doc__)
    program, rest = os.path.abspath(argv[1]), argv[2:]
    if rest[:1] == ["--random"]:
        ok = killed_at_random(program, int(rest[1]),
                              int(rest[2]) if len(rest) > 2 else 1)
    else:
        ok = all([killed_at_calls(program, c) for c in rest or CALLS])
    print("nothing was lost" if ok else "something was lost")
    return 0 if ok else 1


sys.exit(main(sys.argv))
