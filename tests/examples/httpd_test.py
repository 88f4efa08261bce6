#!/usr/bin/env python3
# weft-test: procs=1,4 timeout=120 serial=1 emulated=0
"""examples/httpd, driven by what its users have: curl, wrk, and clients that misbehave.

By hand:  WEFT_BUILD_DIR=build/release python3 tests/examples/httpd_test.py [-v] [httpd_test.case.name]
"""
import hashlib
import os
import re
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

HTTPD = os.path.join(os.environ.get("WEFT_BUILD_DIR", "build/release"), "examples", "httpd")
SCALE = float(os.environ.get("WEFT_TEST_TIME_SCALE", "1"))
SECRET = b"this must never be served"
LARGE = 50 * 1024 * 1024


class Server:
    """A running httpd. Its lines are in .lines once it has been stopped."""

    def __init__(self, directory, *options):
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [HTTPD, directory, "--port", "0", *options], stdout=subprocess.PIPE, stderr=self.errors, text=True)
        self.first_line = self.process.stdout.readline()
        m = re.fullmatch(r"httpd: serving (.*) on http://127\.0\.0\.1:(\d+)/\n", self.first_line)
        if not m:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"first line {self.first_line!r}, then {self.stderr()!r}")
        self.port = int(m.group(2))
        self.url = f"http://127.0.0.1:{self.port}"
        self.lines = []

    def stderr(self):
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace")

    def stop(self, number=signal.SIGINT, limit=2.0):
        """Ends it as Ctrl-C does; gives the status and how long that took."""
        start = time.monotonic()
        self.process.send_signal(number)
        try:
            rest, _ = self.process.communicate(timeout=limit * SCALE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise AssertionError(f"still there {limit * SCALE} s after the signal; stderr: {self.stderr()}")
        self.lines = rest.splitlines()
        return self.process.returncode, time.monotonic() - start

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            status, _ = self.stop()
            assert status == 0, (status, self.stderr())
        else:
            rest, _ = self.process.communicate()
            self.lines = rest.splitlines()
        self.errors.close()

    def connect(self, timeout=10):
        s = socket.create_connection(("127.0.0.1", self.port), timeout=timeout * SCALE)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return s

    def raw(self, data, timeout=10):
        """Sends bytes as they are and gives everything that comes until the server closes."""
        with self.connect(timeout) as s:
            s.sendall(data)
            return read_all(s)


def read_all(s):
    parts = []
    while True:
        try:
            part = s.recv(1 << 16)
        except ConnectionResetError:
            parts.append(b"<reset>")
            break
        if not part:
            break
        parts.append(part)
    return b"".join(parts)


def read_response(s, head=False):
    """One response from a connection that stays open: status, fields, body."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = s.recv(1 << 16)
        if not part:
            raise AssertionError(f"closed after {data!r}")
        data += part
    header, _, body = data.partition(b"\r\n\r\n")
    status, fields = parse_header(header)
    length = 0 if head or status == 304 else int(fields["content-length"])
    while len(body) < length:
        part = s.recv(1 << 16)
        if not part:
            raise AssertionError(f"closed with {length - len(body)} bytes missing")
        body += part
    return status, fields, body


def parse_header(header):
    lines = header.decode("latin-1").split("\r\n")
    m = re.match(r"HTTP/1\.1 (\d{3}) ", lines[0])
    if not m:
        raise AssertionError(f"not a status line: {lines[0]!r}")
    return int(m.group(1)), {k.strip().lower(): v.strip() for k, v in (l.split(":", 1) for l in lines[1:])}


def parse(data):
    header, _, body = data.partition(b"\r\n\r\n")
    return (*parse_header(header), body)


def get(target, version="1.1", method="GET", fields=(), close=True):
    lines = [f"{method} {target} HTTP/{version}", "Host: localhost", *fields]
    if close:
        lines.append("Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def curl(*args):
    return subprocess.run(["curl", "-sS", "--max-time", str(30 * SCALE), *args], stdout=subprocess.PIPE, check=True).stdout


class case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temp = tempfile.TemporaryDirectory()
        top = cls.temp.name
        cls.dir = os.path.join(top, "site")
        os.makedirs(os.path.join(cls.dir, "sub", "deep"))
        os.makedirs(os.path.join(cls.dir, "with index"))
        os.makedirs(os.path.join(top, "outside"))
        cls.files = {}

        def put(name, content):
            with open(os.path.join(cls.dir, name), "wb") as f:
                f.write(content)
            cls.files[name] = content

        put("hello.txt", b"Hello, world!\n")
        put("empty", b"")
        put("page.html", b"<h1>page</h1>")
        put("with index/index.html", b"<h1>index</h1>")
        put("sub/a<b>&\"c'.txt", b"odd name")
        put("sub/100% #1?.txt", b"odder name")
        put("sub/\u00e4\u2603.json", b"{}")
        put("sub/plain.bin", bytes(range(256)) * 10)
        for size in (16 * 1024 - 1, 16 * 1024, 16 * 1024 + 1, 100_000):  # around what is sent with the header
            put(f"size{size}", os.urandom(size))
        for i in range(300):
            put(f"sub/deep/f{i:03}", b"%d" % i * (i % 50))
        with open(os.path.join(cls.dir, "large"), "wb") as f:
            digest = hashlib.sha256()
            for _ in range(LARGE // (1 << 20)):
                block = os.urandom(1 << 20)
                digest.update(block)
                f.write(block)
        cls.large_digest = digest.hexdigest()

        for name in ("secret.txt", "outside/secret.txt"):
            with open(os.path.join(top, name), "wb") as f:
                f.write(SECRET)
        links = {
            "inside": "hello.txt",
            "sub/up": "../hello.txt",
            "absolute": os.path.join(top, "secret.txt"),
            "relative": "../secret.txt",
            "outdir": "../outside",
            "sub/outdir": "../../outside",
            "etc": "/etc",
            "loop": "loop",
            "indirect": "relative",
        }
        for name, to in links.items():
            os.symlink(to, os.path.join(cls.dir, name))
        os.mkfifo(os.path.join(cls.dir, "fifo"))
        cls.server = Server(cls.dir, "--quiet")

    @classmethod
    def tearDownClass(cls):
        try:
            cls.server.__exit__()
        finally:
            cls.temp.cleanup()

    def ask(self, data):
        return parse(self.server.raw(data))

    def url(self, path):
        return self.server.url + path

    # --- what it serves ---

    def test_get_gives_the_file_with_its_type(self):
        for name, kind in (("hello.txt", "text/plain; charset=utf-8"), ("page.html", "text/html; charset=utf-8"),
                           ("empty", "application/octet-stream"), ("sub/plain.bin", "application/octet-stream")):
            status, fields, body = self.ask(get("/" + name))
            self.assertEqual((status, body), (200, self.files[name]))
            self.assertEqual(fields["content-type"], kind)
            self.assertEqual(fields["content-length"], str(len(body)))
            self.assertEqual(fields["accept-ranges"], "bytes")
            self.assertEqual(fields["connection"], "close")
            self.assertRegex(fields["date"], r"^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$")
            self.assertRegex(fields["etag"], r'^"[0-9a-f]+-[0-9a-f]+"$')

    def test_sizes_around_the_limit_of_one_send(self):
        for name, content in self.files.items():
            if name.startswith("size"):
                self.assertEqual(curl(self.url("/" + name)), content, name)

    def test_many_files_over_one_connection(self):
        with self.server.connect() as s:
            for i in range(300):
                name = f"sub/deep/f{i:03}"
                s.sendall(get("/" + name, close=False))
                status, _, body = read_response(s)
                self.assertEqual((status, body), (200, self.files[name]))

    def test_curl_keeps_the_connection_for_a_second_url(self):
        out = subprocess.run(["curl", "-sSv", self.url("/hello.txt"), self.url("/page.html")], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, check=True)
        self.assertEqual(out.stdout, self.files["hello.txt"] + self.files["page.html"])
        self.assertIn(b"Re-using existing connection", out.stderr)

    def test_head_has_the_fields_and_no_body(self):
        with self.server.connect() as s:
            for name in ("hello.txt", "size100000", "sub/", "nothing"):
                s.sendall(get("/" + name, method="HEAD", close=False))
                head = read_response(s, head=True)
                s.sendall(get("/" + name, close=False))
                full = read_response(s)
                self.assertEqual(head[0], full[0])
                self.assertEqual(head[1]["content-length"], str(len(full[2])))
        self.assertIn(b"Content-Length: 14", curl("-I", self.url("/hello.txt")))

    def test_ranges(self):
        whole = self.files["size100000"]
        size = len(whole)
        with self.server.connect() as s:
            for text, first, last in (("0-0", 0, 0), ("0-99", 0, 99), ("100-", 100, size - 1), ("-1", size - 1, size - 1),
                                      ("-500", size - 500, size - 1), (f"{size - 1}-", size - 1, size - 1), ("5-999999", 5, size - 1),
                                      ("-999999", 0, size - 1), ("50000-99999999999999999999999", 50000, size - 1)):
                s.sendall(get("/size100000", fields=[f"Range: bytes={text}"], close=False))
                status, fields, body = read_response(s)
                self.assertEqual(status, 206, text)
                self.assertEqual(fields["content-range"], f"bytes {first}-{last}/{size}", text)
                self.assertEqual(body, whole[first:last + 1], text)
            for text in (f"{size}-", "-0", "99999999999999999999999-"):
                s.sendall(get("/size100000", fields=[f"Range: bytes={text}"], close=False))
                status, fields, _ = read_response(s)
                self.assertEqual((status, fields["content-range"]), (416, f"bytes */{size}"), text)
            for text in ("bytes=5-4", "bytes=a-b", "bytes=-", "bytes=", "lines=1-2", "bytes=0-1,3-4", "0-1"):
                s.sendall(get("/size100000", fields=[f"Range: {text}"], close=False))
                status, _, body = read_response(s)
                self.assertEqual((status, len(body)), (200, size), text)
            s.sendall(get("/empty", fields=["Range: bytes=0-"], close=False))
            self.assertEqual(read_response(s)[0], 416)
        self.assertEqual(curl("-r", "10-19", self.url("/size100000")), whole[10:20])
        self.assertEqual(curl("-r", "20000-90000", self.url("/size100000")), whole[20000:90001])

    def test_if_range(self):
        with self.server.connect() as s:
            s.sendall(get("/hello.txt", close=False))
            _, fields, _ = read_response(s)
            for tag, status in ((fields["etag"], 206), ('"other"', 200), (fields["last-modified"], 206),
                                ("Sun, 06 Nov 1994 08:49:37 GMT", 200)):
                s.sendall(get("/hello.txt", fields=["Range: bytes=0-3", f"If-Range: {tag}"], close=False))
                self.assertEqual(read_response(s)[0], status, tag)

    def test_conditional_requests(self):
        with self.server.connect() as s:
            def status(*fields):
                s.sendall(get("/hello.txt", fields=fields, close=False))
                return read_response(s)[0]

            s.sendall(get("/hello.txt", close=False))
            _, fields, _ = read_response(s)
            etag, modified = fields["etag"], fields["last-modified"]
            old, new = "Sun, 06 Nov 1994 08:49:37 GMT", "Fri, 31 Dec 2100 23:59:59 GMT"
            self.assertEqual(status(f"If-None-Match: {etag}"), 304)
            self.assertEqual(status(f'If-None-Match: "a", W/{etag} , "b"'), 304)
            self.assertEqual(status("If-None-Match: *"), 304)
            self.assertEqual(status('If-None-Match: "other"'), 200)
            self.assertEqual(status(f"If-Modified-Since: {modified}"), 304)
            self.assertEqual(status(f"If-Modified-Since: {new}"), 304)
            self.assertEqual(status(f"If-Modified-Since: {old}"), 200)
            self.assertEqual(status("If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT"), 200)
            self.assertEqual(status("If-Modified-Since: yesterday"), 200)
            self.assertEqual(status('If-None-Match: "other"', f"If-Modified-Since: {new}"), 200)  # the tag decides
            self.assertEqual(status(f"If-Match: {etag}"), 200)
            self.assertEqual(status('If-Match: "other"'), 412)
            self.assertEqual(status(f"If-Unmodified-Since: {old}"), 412)
            self.assertEqual(status(f"If-Unmodified-Since: {new}"), 200)
        status, fields, body = self.ask(get("/hello.txt", fields=[f"If-None-Match: {etag}"]))
        self.assertEqual((status, body, fields["etag"]), (304, b"", etag))

    def test_directories(self):
        status, fields, body = self.ask(get("/with%20index/"))
        self.assertEqual((status, body), (200, self.files["with index/index.html"]))
        status, fields, _ = self.ask(get("/with%20index?x=1"))
        self.assertEqual((status, fields["location"]), (301, "/with%20index/?x=1"))
        status, fields, _ = self.ask(get("//sub"))
        self.assertEqual((status, fields["location"]), (301, "/sub/"))  # one slash: "//sub/" would be another host
        self.assertEqual(curl("-L", self.url("/with%20index")), self.files["with index/index.html"])

    def test_listing_escapes_names_and_its_links_work(self):
        status, fields, body = self.ask(get("/sub/"))
        self.assertEqual((status, fields["content-type"]), (200, "text/html; charset=utf-8"))
        page = body.decode()
        self.assertNotIn("<b>", page)
        self.assertIn("a&lt;b&gt;&amp;&quot;c&#39;.txt", page)
        links = re.findall(r'href="\./([^"]*)"', page)
        self.assertIn("deep/", links)
        self.assertEqual(len(links), 7, links)
        for link in links:
            if "outdir" in link or link == "deep/":
                continue
            self.assertEqual(self.ask(get("/sub/" + link))[0], 200, link)
        self.assertEqual(self.ask(get("/sub/100%25%20%231%3F.txt"))[2], b"odder name")
        self.assertEqual(self.ask(get("/sub/%c3%a4%E2%98%83.json"))[1]["content-type"], "application/json")
        self.assertEqual(len(re.findall("<tr>", self.ask(get("/sub/deep/"))[2].decode())), 301)

    def test_the_query_is_not_part_of_the_name(self):
        self.assertEqual(self.ask(get("/hello.txt?a=/../b"))[2], self.files["hello.txt"])

    def test_absolute_form_of_the_target(self):
        self.assertEqual(self.ask(get("http://localhost/hello.txt"))[2], self.files["hello.txt"])
        self.assertEqual(self.ask(get("http://localhost"))[0], 200)

    # --- connections ---

    def test_http_1_0(self):
        data = self.server.raw(b"GET /hello.txt HTTP/1.0\r\n\r\n")
        self.assertEqual(parse(data)[2], self.files["hello.txt"])
        with self.server.connect() as s:
            for _ in range(2):
                s.sendall(b"GET /hello.txt HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
                status, fields, _ = read_response(s)
                self.assertEqual((status, fields["connection"]), (200, "keep-alive"))

    def test_pipelined_requests_are_answered_in_order(self):
        names = [f"sub/deep/f{i:03}" for i in range(1, 200)]
        data = self.server.raw(b"".join(get("/" + n, close=False) for n in names) + get("/hello.txt"))
        for name in names:
            header, _, data = data.partition(b"\r\n\r\n")
            status, fields = parse_header(header)
            length = int(fields["content-length"])
            self.assertEqual((status, data[:length]), (200, self.files[name]))
            data = data[length:]
        self.assertEqual(parse(data)[2], self.files["hello.txt"])

    def test_a_request_may_come_in_pieces(self):
        with self.server.connect() as s:
            for byte in get("/hello.txt", close=False):
                s.sendall(bytes([byte]))
            self.assertEqual(read_response(s)[2], self.files["hello.txt"])

    def test_bodies_are_skipped(self):
        with self.server.connect() as s:
            body = b"x" * 200_000
            s.sendall(get("/hello.txt", fields=[f"Content-Length: {len(body)}"], close=False) + body)
            self.assertEqual(read_response(s)[2], self.files["hello.txt"])
            s.sendall(get("/hello.txt", fields=["Transfer-Encoding: chunked"], close=False) + b"5\r\nabcde\r\n0\r\n\r\n")
            self.assertEqual(read_response(s)[2], self.files["hello.txt"])
            s.sendall(get("/page.html", method="POST", fields=["Content-Length: 3"], close=False) + b"abc")
            self.assertEqual(read_response(s)[0], 405)
            s.sendall(get("/page.html", close=False))
            self.assertEqual(read_response(s)[0], 200)
        status, fields, _ = self.ask(get("/hello.txt", fields=["Content-Length: 5", "Expect: 100-continue"], close=False))
        self.assertEqual((status, fields["connection"]), (200, "close"))

    def test_a_client_that_goes_away_hurts_nobody(self):
        for _ in range(50):
            s = self.server.connect()
            s.sendall(get("/large"))
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # close() resets
            s.close()
        self.assertEqual(self.ask(get("/hello.txt"))[0], 200)

    # --- what it refuses ---

    def test_errors(self):
        for name, status in (("/nothing", 404), ("/sub/nothing", 404), ("/hello.txt/", 404), ("/hello.txt/x", 404), ("/fifo", 403),
                             ("/" + "n" * 300, 404), ("/bad%zz", 400), ("/bad%", 400), ("/bad%4", 400), ("/nul%00.txt", 400),
                             ("nothing", 400), ("*", 400)):
            got = self.ask(get(name))
            self.assertEqual(got[0], status, name)
            self.assertIn(str(status).encode(), got[2])
            self.assertEqual(got[1]["content-type"], "text/html; charset=utf-8")

    def test_methods(self):
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
            status, fields, _ = self.ask(get("/hello.txt", method=method))
            self.assertEqual((status, fields["allow"]), (405, "GET, HEAD"))
        self.assertEqual(self.ask(get("/hello.txt", method="BREW"))[0], 501)

    def test_garbage_is_a_bad_request(self):
        for data in (b"garbage\r\n\r\n", b"\0\1\2\3\r\n\r\n", b"GET /hello.txt\r\n\r\n", b"GET /hello.txt FTP/1.1\r\n\r\n",
                     b"GET  /hello.txt HTTP/1.1\r\n\r\n", b"GET /hello.txt HTTP/1.1\r\nno colon\r\n\r\n",
                     b"GET /hello.txt HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", b"GET /hello.txt HTTP/1.1\r\n\r\n",
                     b"GET /hello.txt HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
                     b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
                     b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\nx",
                     b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"tls" * 60 + b"\r\n\r\n"):
            with self.subTest(data=data), self.server.connect() as s:
                s.sendall(data)
                s.shutdown(socket.SHUT_WR)
                self.assertEqual(parse(read_all(s))[0], 400)

    def test_other_versions(self):
        for version in ("0.9", "1.2", "2.0", "3.0"):
            self.assertEqual(self.ask(get("/hello.txt", version=version))[0], 505, version)

    def test_what_is_too_long(self):
        self.assertEqual(self.ask(get("/" + "a" * 9000))[0], 414)
        self.assertEqual(self.ask(get("/hello.txt", fields=["X: " + "a" * 9000]))[0], 431)
        self.assertEqual(self.ask(get("/hello.txt", fields=[f"X{i}: " + "a" * 90 for i in range(100)]))[0], 431)
        self.assertEqual(self.ask(get("/hello.txt", method="POST", fields=["Content-Length: 1048577"]))[0], 413)
        self.assertEqual(self.ask(get("/hello.txt", fields=["Content-Length: 99999999999"]))[0], 413)
        big = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
        self.assertEqual(self.ask(get("/hello.txt", fields=["Transfer-Encoding: chunked"]) + big + big + b"0\r\n\r\n")[0], 413)

    def test_an_over_long_header_that_comes_line_by_line(self):
        with self.server.connect() as s:
            s.sendall(b"GET /hello.txt HTTP/1.1\r\nHost: a\r\n")
            data = b""
            for _ in range(300):
                try:
                    s.sendall(b"Range: " + b"bytes=0-0," * 10 + b"\r\n")
                except OSError:
                    break
                if select.select([s], [], [], 0.002)[0]:
                    data = read_all(s)
                    break
            self.assertEqual(parse(data)[0], 431)

    def check_no_escape(self, server):
        for target in ("/../secret.txt", "/sub/../../secret.txt", "/%2e%2e/secret.txt", "/%2E%2E/%2E%2E/secret.txt", "/..%2fsecret.txt",
                       "/%2e%2e%2fsecret.txt", "/..%2f..%2f..%2f..%2fetc%2fpasswd", "/%252e%252e/secret.txt", "/..\\secret.txt",
                       "/..%5csecret.txt", "/.../secret.txt", "/%2fetc/passwd", "//etc/passwd", "/etc/passwd", "/%00/../secret.txt",
                       "/sub/deep/../../../secret.txt", "http://localhost/../secret.txt", "http://localhost/%2e%2e/secret.txt",
                       "/absolute", "/relative", "/indirect", "/outdir/secret.txt", "/sub/outdir/secret.txt", "/outdir/", "/outdir",
                       "/outdir/../secret.txt", "/loop", "/etc/", "../secret.txt", "/absolute/", "file:///etc/passwd", "/./../secret.txt",
                       "/;/../../secret.txt", "/..;/secret.txt", "/%c0%ae%c0%ae/secret.txt", "/\xc0\xae\xc0\xae/secret.txt"):
            with self.subTest(target=target):
                data = server.raw(get(target))
                self.assertNotIn(SECRET, data)
                self.assertNotIn(b"root:", data)
                self.assertIn(parse(data)[0], (400, 403, 404))
        for target, status in (("/absolute", 403), ("/relative", 403), ("/outdir/secret.txt", 403), ("/etc/passwd", 403)):
            self.assertEqual(parse(server.raw(get(target)))[0], status, target)
        for target in ("/../hello.txt", "/sub/../hello.txt", "/sub/deep/%2e%2E/../hello.txt", "/./hello.txt", "/sub/./..//hello.txt"):
            self.assertEqual(parse(server.raw(get(target)))[2], self.files["hello.txt"], target)

    def test_no_path_escapes(self):
        self.check_no_escape(self.server)
        for link in ("/inside", "/sub/up"):  # these stay beneath the root
            self.assertEqual(self.ask(get(link))[2], self.files["hello.txt"])

    def test_no_path_escapes_without_openat2(self):
        with Server(self.dir, "--quiet", "--no-openat2") as server:
            self.check_no_escape(server)
            self.assertEqual(parse(server.raw(get("/inside")))[0], 403)  # all links are refused
            self.assertEqual(parse(server.raw(get("/sub/deep/f007")))[2], self.files["sub/deep/f007"])
            self.assertEqual(parse(server.raw(get("/with%20index/")))[2], self.files["with index/index.html"])
            for target, status in (("/", 200), ("/sub", 301), ("/nothing", 404), ("/hello.txt/", 404), ("/hello.txt/x", 404), ("/fifo", 403)):
                self.assertEqual(parse(server.raw(get(target)))[0], status, target)

    # --- time ---

    def test_slow_clients_are_dropped_in_time(self):
        with Server(self.dir, "--quiet", "--header-timeout", "0.6", "--idle-timeout", "0.4", "--write-timeout", "0.5") as server:
            def ended_after(s):
                start = time.monotonic()
                data = read_all(s)
                return data, time.monotonic() - start

            with self.subTest("half a header"), server.connect() as s:
                s.sendall(b"GET /hello.txt HTTP/1.1\r\nHo")
                data, t = ended_after(s)
                self.assertEqual(parse(data)[0], 408)
                self.assertTrue(0.4 < t < 0.6 + 0.7 * SCALE, t)
            with self.subTest("a byte now and then"), server.connect() as s:
                start, data = time.monotonic(), b""
                while not data and time.monotonic() - start < 5 * SCALE:
                    try:
                        s.sendall(b"G")
                    except OSError:
                        break
                    if select.select([s], [], [], 0.05)[0]:
                        data = read_all(s)
                self.assertEqual(parse(data)[0], 408)
                self.assertLess(time.monotonic() - start, 0.6 + 0.7 * SCALE)
            with self.subTest("nothing at all"), server.connect() as s:
                data, t = ended_after(s)
                self.assertEqual(data, b"")
                self.assertTrue(0.4 < t < 0.6 + 0.7 * SCALE, t)
            with self.subTest("idle after a request"), server.connect() as s:
                s.sendall(get("/hello.txt", close=False))
                self.assertEqual(read_response(s)[0], 200)
                data, t = ended_after(s)
                self.assertEqual(data, b"")
                self.assertTrue(0.3 < t < 0.4 + 0.7 * SCALE, t)
            with self.subTest("half a body"), server.connect() as s:
                s.sendall(get("/hello.txt", fields=["Content-Length: 10"], close=False) + b"abc")
                data, t = ended_after(s)
                self.assertEqual(parse(data)[0], 408)
                self.assertLess(t, 0.6 + 0.7 * SCALE)
            with self.subTest("does not take what it asked for"):
                s = socket.socket()
                s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                s.settimeout(10 * SCALE)
                s.connect(("127.0.0.1", server.port))
                with s:
                    s.sendall(get("/large"))
                    time.sleep(1.5 * SCALE)
                    self.assertLess(len(read_all(s)), LARGE)
            with self.subTest("busy for longer than the time-outs"), server.connect() as s:
                start = time.monotonic()
                while time.monotonic() - start < 1.5:
                    s.sendall(get("/hello.txt", close=False))
                    self.assertEqual(read_response(s)[0], 200)
                    time.sleep(0.05)

    def test_a_large_file_for_a_slow_reader(self):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        s.settimeout(20 * SCALE)
        s.connect(("127.0.0.1", self.server.port))
        with s:
            s.sendall(get("/large"))
            data = b""
            while b"\r\n\r\n" not in data:
                data += s.recv(4096)
            header, _, body = data.partition(b"\r\n\r\n")
            self.assertEqual(parse_header(header)[1]["content-length"], str(LARGE))
            digest, got, pause = hashlib.sha256(body), len(body), 0
            while part := s.recv(1 << 20):
                digest.update(part)
                got += len(part)
                if got // (1 << 20) != pause:
                    pause = got // (1 << 20)
                    time.sleep(0.01)
        self.assertEqual((got, digest.hexdigest()), (LARGE, self.large_digest))

    # --- many ---

    def test_wrk_with_a_thousand_connections(self):
        if not shutil.which("wrk"):
            self.skipTest("no wrk here")
        raise_descriptor_limit()
        for path in ("/hello.txt", "/size100000"):
            out = subprocess.run(["wrk", "-t2", "-c1000", "-d3s", "--timeout", "10s", self.url(path)], stdout=subprocess.PIPE, text=True, check=True).stdout
            errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", out)
            if errors:
                self.assertEqual(errors.group(1, 2, 3), ("0", "0", "0"), out)
            self.assertNotIn("Non-2xx", out)
            rate = float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1))
            self.assertGreater(rate, 0, out)
            print(f"httpd: wrk -c1000 {path}: {rate:.0f} req/s", flush=True)
        self.assertEqual(self.ask(get("/hello.txt"))[0], 200)

    def test_ten_thousand_connections(self):
        count = 10_000
        if raise_descriptor_limit() < count + 200:
            self.skipTest("the limit of open files is too low")
        with Server(self.dir, "--idle-timeout", "100", "--header-timeout", "100") as server:
            sockets = []
            try:
                for _ in range(count):
                    sockets.append(server.connect(timeout=20))
                for s in sockets:
                    s.sendall(get("/hello.txt", close=False))
                for s in sockets:
                    self.assertEqual(read_response(s)[2], self.files["hello.txt"])
                time.sleep(1.2)  # a line of its report
                status, took = server.stop()
                self.assertEqual(status, 0, server.stderr())
            finally:
                for s in sockets:
                    s.close()
            most = max((int(m.group(1)) for m in (re.search(r"goroutines (\d+)", l) for l in server.lines) if m), default=0)
            self.assertGreaterEqual(most, count, server.lines)

    # --- the program ---

    def test_it_reports_each_second_and_ends_with_its_totals(self):
        with Server(self.dir) as server:
            self.assertEqual(parse(server.raw(get("/hello.txt")))[0], 200)
            line = server.process.stdout.readline()
            self.assertRegex(line, r"^ +1 req/s  connections 0  goroutines \d+  threads \d+  switches \d+/s  parks \d+/s  steals \d+/s")
            status, took = server.stop()
            self.assertEqual(status, 0, server.stderr())
            self.assertRegex(server.lines[-1], r"^httpd: 1 requests, ")

    def test_a_signal_ends_it_with_clients_connected(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with Server(self.dir, "--quiet") as server, server.connect() as idle, server.connect() as slow:
                idle.sendall(get("/hello.txt", close=False))
                self.assertEqual(read_response(idle)[0], 200)
                slow.sendall(get("/large"))
                slow.recv(1000)
                status, took = server.stop(number)
                self.assertEqual(status, 0, server.stderr())
                self.assertLess(took, 2 * SCALE)
                self.assertEqual(server.stderr(), "")

    def test_command_line(self):
        def run(*args):
            return subprocess.run([HTTPD, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=10 * SCALE)

        self.assertIn("usage:", run("--help").stdout)
        for args in (("--port", "x"), ("--port", "65536"), ("--port",), ("--procs", "0"), ("--idle-timeout", "-1"), ("--wrong",),
                     ("-x",), (".", "."), ("--quiet=1",)):
            result = run(*args)
            self.assertEqual(result.returncode, 2, args)
            self.assertIn("usage:", result.stderr)
            self.assertEqual(result.stdout, "")
        result = run("/no/such/directory", "--port=0")
        self.assertEqual((result.returncode, result.stderr), (1, "httpd: cannot serve /no/such/directory: No such file or directory\n"))
        result = run(self.dir, "--port", str(self.server.port))
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stderr, r"^httpd: cannot listen on 127\.0\.0\.1:\d+: Address already in use\n$")


def raise_descriptor_limit():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard if hard != resource.RLIM_INFINITY else 1 << 30


if __name__ == "__main__":
    if not os.access(HTTPD, os.X_OK):
        print(f"{HTTPD}: not built (it needs Boost's headers); skipped")
        sys.exit(77)
    unittest.main()
