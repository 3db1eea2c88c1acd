#!/usr/bin/env python3
"""A model hub on this machine, with every fault a server can have.

    https_server.py CERTIFICATES MODEL LOG

serves the files of the folder MODEL as the model "o/tiny" over HTTPS on
127.0.0.1, and prints one line with four ports: of the good certificate, the
expired one, the one for another name, the one signed by itself. It ends when
its standard input does. LOG gets one JSON object for each request.

The first part of a path names what goes wrong, and with what number:
https://localhost:PORT/drop.1000/api/models/o/tiny. Faults hit weights.bin and
model.safetensors (the "victim"); all else is served as a hub would. What a
fault remembers (so many connections, which version) is kept for each first
part alone; a third part keeps runs apart: /drop.1000.a/...
"""

import hashlib
import http.server
import json
import os
import ssl
import sys
import threading
import time

VICTIM = "model.safetensors"
REVISION = "0123456789abcdef0123456789abcdef01234567"
SMALL = 4096  # files up to this are no LFS files


class Hub:
    def __init__(self, folder, log):
        self.files = {n: open(os.path.join(folder, n), "rb").read()
                      for n in os.listdir(folder)}
        self.log = open(log, "a", encoding="utf-8")
        self.lock = threading.Lock()
        self.state = {}
        self.ports = []

    def seen(self, key):
        """How often this was asked before."""
        with self.lock:
            n = self.state.get(key, 0)
            self.state[key] = n + 1
            return n

    def note(self, **row):
        with self.lock:
            self.log.write(json.dumps(row) + "\n")
            self.log.flush()


def git_id(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def other_bytes(data):
    """The same length, one bit of the middle turned."""
    half = len(data) // 2
    return data[:half] + bytes([data[half] ^ 1]) + data[half + 1:]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # heads and bodies go out at once
    hub = None

    def log_message(self, *args):
        pass

    def do_GET(self):
        path = self.path.split("?")[0]
        parts = path.split("/")
        if len(parts) < 4:
            return self.plain(404, b"?")
        words = parts[1].split(".")
        fault, arg = words[0], int(words[1]) if len(words) > 1 else 0
        rest = "/".join(parts[2:])
        self.hub.note(path=self.path, host=self.headers.get("Host"),
                      range=self.headers.get("Range"),
                      if_range=self.headers.get("If-Range"),
                      authorization=self.headers.get("Authorization"))
        if rest.startswith("api/models/"):
            return self.listing(fault, arg, parts[1])
        return self.file(fault, arg, parts[1], parts[-1])

    def plain(self, status, body, headers=()):
        self.send_response(status)
        for k, v in headers:
            self.send_header(k, v)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    # --- the list of files

    def listing(self, fault, arg, key):
        if fault == "status":
            return self.plain(arg, b"{}")
        if fault == "nolist":
            return self.plain(200, b"<html>hello</html>")
        if fault == "endless":
            return self.plain(200, b"[" * (17 << 20))
        if fault == "busy" and self.hub.seen(key + "/list") < 2:
            return self.plain(503, b"")
        rows = [{"rfilename": "../../evil.json", "size": 3},
                {"rfilename": "onnx/model.onnx", "size": 3}]
        for name, data in sorted(self.hub.files.items()):
            row = {"rfilename": name, "size": len(data),
                   "blobId": git_id(data)}
            if len(data) > SMALL:
                row["blobId"] = "0" * 40
                row["lfs"] = {"sha256": sha256(data), "size": len(data),
                              "pointerSize": 134}
            if fault in ("bare", "barechange") or (fault == "changed" and arg):
                row.pop("lfs", None)
                row.pop("blobId", None)
            if fault == "bare":
                row.pop("size")
            if fault == "huge" and name == VICTIM:
                row["lfs"]["size"] = row["size"] = 1 << 43
            rows.append(row)
        if fault == "noweights":
            rows = [r for r in rows if r["rfilename"] != VICTIM]
        revision = REVISION[::-1] if fault == "changed" and arg else REVISION
        body = {"id": "o/tiny", "sha": revision, "siblings": rows,
                "cardData": {"license": "mit"}}
        return self.plain(200, json.dumps(body).encode())

    # --- one file

    def file(self, fault, arg, key, name):
        data = self.hub.files.get(name)
        if data is None:
            return self.plain(404, b"no such file")
        good = data
        if name != VICTIM and not (fault == "changed" and name == "config.json"):
            return self.body(data)
        n = self.hub.seen(key + "/" + name)
        call = getattr(self, "fault_" + fault, None)
        if call is None:
            return self.body(data)
        return call(arg, n, good, key, name)

    def body(self, data, etag=None, first=None, send=None, length=None,
             headers=()):
        """Serves data, or from the asked byte on; `send` bytes at most."""
        etag = etag or '"%s"' % sha256(data)[:32]
        asked = self.headers.get("Range")
        if first is None:
            first = 0
            if asked and self.headers.get("If-Range") == etag:
                first = int(asked[len("bytes="):-1])
        part = data[first:]
        self.send_response(206 if first else 200)
        if first:
            self.send_header("Content-Range", "bytes %d-%d/%d"
                             % (first, len(data) - 1, len(data)))
        self.send_header("ETag", etag)
        for k, v in headers:
            self.send_header(k, v)
        if length != "none":
            self.send_header("Content-Length",
                             str(len(part) if length is None else length))
        else:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if send is not None and send < len(part):
            self.wfile.write(part[:send])
            self.wfile.flush()
            self.close_connection = True
        else:
            self.wfile.write(part)
        return None

    # arg: its number; n: how often this file was asked for before

    def fault_drop(self, arg, n, data, key, name):
        self.body(data, send=arg)

    def fault_drop1(self, arg, n, data, key, name):
        self.body(data, send=arg if n == 0 else None)

    def fault_dead(self, arg, n, data, key, name):
        """After the first part, nothing any more."""
        self.body(data, send=arg if n == 0 else 0)

    def fault_stall(self, arg, n, data, key, name):
        if n > 0:
            return self.body(data)
        self.send_response(200)
        self.send_header("ETag", '"%s"' % sha256(data)[:32])
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[:arg])
        self.wfile.flush()
        time.sleep(20)
        self.close_connection = True
        return None

    def fault_short(self, arg, n, data, key, name):
        """Says it is shorter than the list says."""
        self.body(data[:-arg])

    def fault_long(self, arg, n, data, key, name):
        self.body(data + b"x" * arg)

    def fault_endless(self, arg, n, data, key, name):
        self.body(data + b"x" * 100000, length="none")

    def fault_longer(self, arg, n, data, key, name):
        """Tells no length and sends more."""
        self.body(data + b"x" * arg, length="none")

    def fault_cutoff(self, arg, n, data, key, name):
        """Tells no length and sends less, the first time."""
        self.body(data, send=arg if n == 0 else None, length="none")

    def fault_swap(self, arg, n, data, key, name):
        """Another file, with another ETag, after the first part."""
        if n == 0:
            return self.body(data, send=arg)
        return self.body(other_bytes(data))

    fault_barechange = fault_swap

    def fault_swapback(self, arg, n, data, key, name):
        """First the wrong file, then the right one."""
        if n == 0:
            return self.body(other_bytes(data), send=arg)
        return self.body(data)

    def fault_wrongrange(self, arg, n, data, key, name):
        """A part, but not the one that was asked for, the first times."""
        if n == 0:
            return self.body(data, send=arg)
        if n == 1:
            return self.body(data, first=arg + 1)
        return self.body(data)

    def fault_liar(self, arg, n, data, key, name):
        """Never the part that was asked for, and nothing whole either."""
        if not self.headers.get("Range"):
            return self.body(data, send=arg)
        return self.body(data, first=arg + 1)

    def fault_otheretag(self, arg, n, data, key, name):
        """A part of another version, as if If-Range meant nothing."""
        if n == 0:
            return self.body(data, send=arg)
        if n == 1:
            return self.body(other_bytes(data), first=arg)
        return self.body(data)

    def fault_norange(self, arg, n, data, key, name):
        """Knows no ranges: always the whole."""
        self.body(data, first=0, send=arg if n == 0 else None)

    def fault_unasked(self, arg, n, data, key, name):
        """A part though the whole was asked for."""
        self.body(data, first=arg)

    def fault_weak(self, arg, n, data, key, name):
        self.body(data, etag='W/"1"', send=arg if n == 0 else None)

    def fault_full(self, arg, n, data, key, name):
        """416 to every part that is asked for."""
        if self.headers.get("Range"):
            return self.plain(416, b"")
        return self.body(data, send=arg if n == 0 else None)

    def fault_flip(self, arg, n, data, key, name):
        self.body(other_bytes(data))

    def fault_flip1(self, arg, n, data, key, name):
        self.body(other_bytes(data) if n == 0 else data)

    def fault_gzip(self, arg, n, data, key, name):
        self.body(data, headers=[("Content-Encoding", "gzip")])

    def fault_code(self, arg, n, data, key, name):
        self.plain(arg, b"no")

    def fault_busy(self, arg, n, data, key, name):
        if n < 2:
            return self.plain(503, b"")
        return self.body(data)

    def fault_changed(self, arg, n, data, key, name):
        """config.json as it was (0), or another of the same length (1)."""
        if name == "config.json" and arg:
            return self.body(data[:-1] + b" ")
        return self.body(data)

    def go(self, to):
        self.plain(302, b"moved", [("Location", to)])

    def fault_loop(self, arg, n, data, key, name):
        self.go(self.path.split("?")[0] + "?%d" % n)

    def fault_hops(self, arg, n, data, key, name):
        """So many redirects, then the file."""
        if n < arg:
            return self.go(self.path)
        return self.body(data)

    def fault_cross(self, arg, n, data, key, name):
        """From localhost to 127.0.0.1, with the sum in the first answer."""
        if "localhost" in self.headers.get("Host", ""):
            return self.plain(302, b"", [
                ("Location", "https://127.0.0.1:%d%s"
                 % (self.server.server_port, self.path)),
                ("X-Linked-Etag", '"%s"' % sha256(data)),
                ("X-Linked-Size", str(len(data)))])
        return self.body(data, send=arg if arg and n == 1 else None)

    def fault_plain(self, arg, n, data, key, name):
        self.go("http://localhost:%d%s" % (self.server.server_port, self.path))

    def fault_file(self, arg, n, data, key, name):
        self.go("file:///etc/passwd")

    def fault_nowhere(self, arg, n, data, key, name):
        self.plain(302, b"")


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # clients that hang up are what this is for


def serve(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = Server(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True,
                                        do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


def main():
    certificates, folder, log = sys.argv[1:]
    Handler.hub = Hub(folder, log)
    print(*[serve(os.path.join(certificates, n + ".pem"))
            for n in ("good", "expired", "other", "alone")], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
