"""A vision model that judges: an OpenAI-compatible endpoint on loopback."""

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class JudgeServer(ThreadingHTTPServer):
    """Answers every request with success if `believes(body)`; `asked` are the bodies, `name` is for `judge=`."""

    def __init__(self, believes):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.believes = believes
        self.asked = []
        self.name = f"vlm:m@http://127.0.0.1:{self.server_address[1]}/v1"


class _Handler(BaseHTTPRequestHandler):
    server: JudgeServer

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.asked.append(body)
        content = json.dumps({"success": self.server.believes(body), "reason": "looked"})
        message = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}
        kind = {"id": "1", "object": "chat.completion", "created": 1, "model": "m"}
        data = json.dumps(kind | {"choices": [message]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format, *args):
        pass


@contextlib.contextmanager
def serve_judge(believes):
    """Serve until the end of the block."""
    server = JudgeServer(believes)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
