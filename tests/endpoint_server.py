"""An OpenAI-compatible server on the loopback device that misbehaves as it is told, and keeps count of what it served."""

import hashlib
import json
import random
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WIDTH = 6
TOKENS_OF_A_TEXT = 3


def vector_of(text):
    """What the server makes of a text: numbers that belong to it alone."""
    raw = hashlib.sha256(text.encode()).digest()
    return [byte / 16 - 8 for byte in raw[:WIDTH]]


class EndpointServer:
    """Serves until it is closed; ``faults`` maps the number of a request (from 0) to what goes wrong with it."""

    def __init__(self, faults=None, key="right", chat=None, seed=None, delay=0.0, hang=2.0, tokens=TOKENS_OF_A_TEXT):
        self.faults = dict(faults or {})
        self.key, self.chat, self.delay, self.hang = key, chat, delay, hang
        self.tokens = tokens
        self.rng = random.Random(seed) if seed is not None else None
        self.requests = 0
        self.sent = Counter()
        """How often each text came in a request."""
        self.served = Counter()
        """How often each text went back in an answer that was right."""
        self.told = []
        self.faulty = Counter()
        self.claimed = 0
        """Tokens that its answers have stated, right ones and wrong ones."""
        self.bodies = []
        self.lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_POST(self):
                server.answer(self)

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.thread = threading.Thread(target=self.http.serve_forever, daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.http.server_close()

    def fault(self, number):
        if self.rng is None:
            return self.faults.get(number)
        drawn = self.rng.random()
        for fault, share in self.faults.items():
            if drawn < share:
                return fault
            drawn -= share
        return None

    def answer(self, handler):
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        texts = body.get("input") or [body["messages"][-1]["content"]]
        with self.lock:
            number, self.requests = self.requests, self.requests + 1
            fault = self.fault(number)
            self.faulty[fault] += 1
            self.sent.update(texts)
            self.bodies.append(body)
        if handler.headers.get("Authorization") != f"Bearer {self.key}":
            said = handler.headers.get("Authorization")
            return self.reply(handler, 401, {"error": {"message": f"no such key: {said}", "code": "invalid_api_key"}})
        time.sleep(self.delay)
        if fault in ("429", "429-later", "500", "400", "quota"):
            code = {"quota": 429, "429-later": 429}.get(fault) or int(fault)
            error = {"message": f"fault {fault}", "code": "insufficient_quota" if fault == "quota" else None}
            headers = {"Retry-After": "0.05"} if fault == "429-later" else {}
            return self.reply(handler, code, {"error": error}, headers)
        if fault == "hang":
            time.sleep(self.hang)
            handler.close_connection = True
            return None
        if fault == "cut":
            handler.close_connection = True
            handler.connection.close()
            return None
        content = self.embedded(texts) if "input" in body else self.chatted(texts[0])
        raw = json.dumps(self.spoilt(content, fault)).encode()
        if fault == "truncated":
            handler.send_response(200)
            handler.send_header("Content-Type", "application/json")
            handler.send_header("Content-Length", str(len(raw)))
            handler.end_headers()
            handler.wfile.write(raw[: len(raw) // 2])
            handler.close_connection = True
            return None
        if fault in (None, "swapped", "short", "twice", "nan", "narrow"):
            with self.lock:
                self.claimed += content["usage"]["total_tokens"]
        if fault == "half-json":
            raw = raw[: len(raw) // 2]
        if fault == "html":
            raw = b"<html>so busy today</html>"
        if fault in (None, "swapped"):
            with self.lock:
                self.served.update(texts)
        return self.reply(handler, 200, raw)

    def embedded(self, texts):
        data = [{"object": "embedding", "index": i, "embedding": vector_of(text)} for i, text in enumerate(texts)]
        tokens = self.tokens * len(texts)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return {"object": "list", "data": data, "model": "m", "usage": usage}

    def chatted(self, said):
        message = {"role": "assistant", "content": self.chat(said)}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": self.tokens, "completion_tokens": 1, "total_tokens": self.tokens + 1}
        return {"id": "c", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage}

    def spoilt(self, content, fault):
        if fault == "swapped":
            content["data"].reverse()  # each with its index: the order alone is wrong
        elif fault == "short":
            content["data"].pop()
        elif fault == "twice":
            content["data"].append(content["data"][0])
        elif fault == "nan":
            content["data"][0]["embedding"][1] = float("nan")
        elif fault == "narrow":
            content["data"][0]["embedding"].pop()
        elif fault == "no-data":
            content = {"object": "list"}
        return content

    @staticmethod
    def reply(handler, code, content, headers=()):
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        handler.send_response(code)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(raw)))
        for name, value in dict(headers).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(raw)
