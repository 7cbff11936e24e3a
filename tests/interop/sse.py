"""Server-Sent Events, read as a browser reads them (WHATWG HTML, "Server-sent events"), off a plain connection."""

import http.client

from hub import SOON


class Stream:
    """An open stream of events."""

    def __init__(self, hub, path, last_event_id=None):
        headers = {"Accept": "text/event-stream"}
        if last_event_id is not None:
            headers["Last-Event-ID"] = last_event_id
        self._connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=SOON)
        self._connection.request("GET", path, headers=headers)
        self.response = self._connection.getresponse()
        self.last_event_id = last_event_id or ""
        self.retry = None
        self.comments = 0

    def event(self):
        """The next event with data: (type, data, id in force). Fails if none comes soon."""
        kind, data = "message", []
        while True:
            line = self.response.readline()
            assert line, "the stream ended"
            line = line.decode().rstrip("\n").rstrip("\r")
            if line == "":
                if data:
                    return kind, "\n".join(data), self.last_event_id
                kind = "message"
            elif line.startswith(":"):
                self.comments += 1
            else:
                field, _, value = line.partition(":")
                self._take(field, value.removeprefix(" "), data)
                if field == "event":
                    kind = value.removeprefix(" ")

    def _take(self, field, value, data):
        if field == "data":
            data.append(value)
        elif field == "id":
            self.last_event_id = value
        elif field == "retry":
            self.retry = int(value)

    def close(self):
        # Closing the connection alone would leave the response holding the socket.
        self.response.close()
        self._connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
