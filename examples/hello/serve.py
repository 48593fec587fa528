"""Serves the function answer(path) of a Python file over HTTP.

    python3 serve.py [--reload] app.py

With --reload each request first looks whether the file is still the one that
was loaded, and loads it again if not: a change is live with the next request,
and nothing runs in between. PORT names the port, 8080 by default.
"""

import http.server
import os
import runpy
import signal
import sys
import traceback


class App:
    """The file that answers, as it was when it was loaded."""

    def __init__(self, path, reload):
        self.path, self.reload = path, reload
        self.load()

    def load(self):
        version = self.version_on_disk()
        self.answer = runpy.run_path(self.path)["answer"]
        self.version = version  # Not before it could be loaded.

    def version_on_disk(self):
        # A save that replaces the file shows in the inode even when the
        # clock is too coarse to tell.
        stat = os.stat(self.path)
        return stat.st_mtime_ns, stat.st_size, stat.st_ino

    def __call__(self, path):
        if self.reload and self.version != self.version_on_disk():
            self.load()
        return self.answer(path)


def serve(app):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            try:
                status, text = 200, app(self.path)
            except Exception:  # Whoever edits wants to see it in the answer.
                status, text = 500, traceback.format_exc()
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    port = int(os.environ.get("PORT", "8080"))
    with http.server.ThreadingHTTPServer(("", port), Handler) as server:
        print(f"listening on port {port}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    # PID 1 of a container gets no default action for a signal: without this
    # every restart would wait for the grace period.
    for number in signal.SIGINT, signal.SIGTERM:
        signal.signal(number, lambda *_: sys.exit(0))
    arguments = [a for a in sys.argv[1:] if a != "--reload"]
    if len(arguments) != 1:
        sys.exit(__doc__)
    serve(App(arguments[0], reload="--reload" in sys.argv[1:]))
