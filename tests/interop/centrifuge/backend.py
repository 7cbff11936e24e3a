"""An application's backend for the hooks: a small HTTP server that records what it is asked, and answers what it is told."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from target import eventually


class Backend:
    """Runs until it is stopped. Answers are functions from the request's body to the answer's body, or to a status."""

    def __init__(self):
        self._lock = threading.Lock()
        self._answers, self._requests = {}, []
        backend = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                status, answer = backend._take(self.path, dict(self.headers), body)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.base = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def _take(self, path, headers, body):
        body = json.loads(body)
        with self._lock:
            self._requests.append((path.lstrip("/"), headers, body))
            answer = self._answers.get(path.lstrip("/"))
        answer = answer(body) if answer else {"error": {"code": 1404, "message": f"no test answers {path}"}}
        return (answer, b"") if isinstance(answer, int) else (200, json.dumps(answer).encode())

    def answer(self, hook, answer):
        """What is answered to a hook from now on: a value, or a function of the request."""
        with self._lock:
            self._answers[hook] = answer if callable(answer) else lambda _: answer

    def asked(self, hook, **like):
        """The next request to this hook that has these values, taken from the record."""
        def look():
            with self._lock:
                for at, (path, _, body) in enumerate(self._requests):
                    if path == hook and all(body.get(key) == value for key, value in like.items()):
                        return self._requests.pop(at)
            return None
        _, headers, body = eventually(look, lambda: f"{hook} is asked, {like}; there were {self._requests}")
        self.headers = headers
        return body

    def forget(self):
        """Forgets answers and requests: each test begins with nothing."""
        with self._lock:
            self._answers, self._requests = {}, []

    def stop(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=10)
