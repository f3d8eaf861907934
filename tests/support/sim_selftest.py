"""The cases of sim_selftest.sh: each function is one claim about the simulator."""

import json
import socket
import sys
import time

HOST, FINISH_HOST, BILL = sys.argv[1:4]
BODY = {"model": "gpt-4o", "messages": [{"role": "user", "content": 'a "n":9 {x'}]}


def connect(host=HOST):
    name, port = host.split(":")
    sock = socket.create_connection((name, int(port)), timeout=5)
    return sock


def request(script="", body=None, headers="", path="/v1/chat/completions", method="POST"):
    payload = b"" if body is None else json.dumps(body).encode()
    text = f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\n{headers}"
    if script:
        text += f"x-sim: {script}\r\n"
    if method == "POST":
        text += f"Content-Length: {len(payload)}\r\n"
    return text.encode() + b"\r\n" + payload


class Reader:
    """Reads answers off one socket; buffered, so pipelined ones are told apart."""

    def __init__(self, sock):
        self.sock, self.buffer = sock, b""

    def more(self):
        data = self.sock.recv(65536)
        self.buffer += data
        return bool(data)

    def until(self, mark):
        while mark not in self.buffer:
            if not self.more():
                raise EOFError(self.buffer)
        part, self.buffer = self.buffer.split(mark, 1)
        return part

    def exactly(self, count):
        while len(self.buffer) < count:
            if not self.more():
                raise EOFError(self.buffer)
        part, self.buffer = self.buffer[:count], self.buffer[count:]
        return part

    def answer(self):
        lines = self.until(b"\r\n\r\n").decode().split("\r\n")
        head = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}
        status = int(lines[0].split()[1])
        if status == 100:
            return status, head, b""
        if "content-length" in head:
            return status, head, self.exactly(int(head["content-length"]))
        body = b""
        if "transfer-encoding" not in head:
            while self.more():
                pass
            return status, head, self.buffer
        while True:
            size = int(self.until(b"\r\n").split(b";")[0], 16)
            if size == 0:
                while self.until(b"\r\n"):
                    pass
                return status, head, body
            body += self.exactly(size)
            assert self.exactly(2) == b"\r\n"


def call(script="", stream=False, host=HOST, extra=None, headers=""):
    body = dict(BODY, **(extra or {}))
    if stream:
        body["stream"] = True
    sock = connect(host)
    sock.sendall(request(script, body, headers))
    result = Reader(sock).answer()
    sock.close()
    return result


def page(path, method="GET", host=HOST):
    sock = connect(host)
    sock.sendall(request(path=path, method=method))
    return Reader(sock).answer()


def bill(host=HOST):
    return [json.loads(line) for line in page("/sim/bill", host=host)[2].splitlines()]


def wait_bill(count, host=HOST):
    for _ in range(200):
        lines = bill(host)
        if len(lines) >= count:
            return lines[-1]
        time.sleep(0.01)
    raise AssertionError("the bill has no such line")


def events(body, eol="\n"):
    """Parse SSE as a strict client would; [DONE] comes back as a string."""
    text = body.decode().removeprefix("\ufeff")
    found = []
    for block in text.split(eol + eol):
        data = [line[6:] for line in block.split(eol) if line.startswith("data: ")]
        if data:
            joined = "\n".join(data)
            found.append(joined if joined == "[DONE]" else json.loads(joined))
    return found


def plain_answer_matches_its_bill():
    status, head, body = call("out=9;prompt=100;cached=40;reasoning=3", headers="x-sim-tag: t1\r\n")
    answer, line = json.loads(body), bill()[-1]
    assert status == 200 and head["x-request-id"].startswith("req_sim_")
    assert answer["usage"] == line["usage"] and line["usage"]["total_tokens"] == 109
    assert line["usage"]["prompt_tokens_details"]["cached_tokens"] == 40
    assert line["tag"] == "t1" and line["state"] == "complete" and answer["id"] == line["id"]
    with open(BILL, encoding="ascii") as file:
        assert json.loads(file.readlines()[-1]) == line


def counts_follow_from_the_body():
    length = len(json.dumps(BODY).encode())
    usage = json.loads(call()[2])["usage"]
    assert usage["prompt_tokens"] == (length + 3) // 4
    assert usage["completion_tokens"] == 16 + length % 48
    assert json.loads(call(extra={"max_tokens": 5})[2])["choices"][0]["finish_reason"] == "length"
    three = json.loads(call(extra={"n": 3, "max_tokens": 5})[2])
    assert three["usage"]["completion_tokens"] == 15 and len(three["choices"]) == 3


def stream_has_usage_only_when_asked():
    seen = events(call("out=8", stream=True)[2])
    assert seen[-1] == "[DONE]" and all("usage" not in e for e in seen[:-1])
    seen = events(call("out=8", True, extra={"stream_options": {"include_usage": True}})[2])
    assert seen[-2]["choices"] == [] and seen[-2]["usage"] == bill()[-1]["usage"]
    assert all(e["usage"] is None for e in seen[:-2]) and bill()[-1]["asked_usage"]


def usage_comes_where_the_script_says():
    assert events(call("usage=last", True)[2])[-2]["choices"][0]["finish_reason"] == "stop"
    assert events(call("usage=last", True)[2])[-2]["usage"] == bill()[-1]["usage"]
    assert events(call("usage=extra", True)[2])[-2]["choices"] == []
    every = [e["usage"]["completion_tokens"] for e in events(call("usage=every;out=6", True)[2])[1:-1]]
    assert every == [1, 2, 3, 4, 5, 6, 6], every
    after = events(call("usage=null_after", True)[2])
    assert after[-2]["usage"] is None and after[-3]["usage"]["prompt_tokens"] > 0
    asked = {"stream_options": {"include_usage": True}}
    assert all("usage" not in e for e in events(call("usage=none", True, extra=asked)[2])[:-1])
    for form in ("wrong", "string", "negative", "huge"):
        sent = events(call(f"usage={form}", True)[2])[-2]["usage"]
        assert sent != bill()[-1]["usage"] and "total_tokens" in sent
    assert "usage" not in json.loads(call("usage=none")[2])
    assert isinstance(json.loads(call("usage=string")[2])["usage"]["total_tokens"], str)


def sse_may_be_written_in_every_way():
    words = "".join(e["choices"][0]["delta"].get("content", "") for e in events(call("out=30", True)[2])[:-1])
    for script, eol in (("crlf=1", "\r\n"), ("cr=1", "\r"), ("comments=1;bom=1", "\n"),
                        ("multiline=1", "\n"), ("obfuscation=1", "\n"), ("split=3", "\n"),
                        ("coalesce=1", "\n"), ("chunk_ext=1;trailers=1", "\n"), ("eof=1", "\n"),
                        ("multiline=1;crlf=1;split=7", "\r\n")):
        seen = events(call(script + ";out=30", True)[2], eol)
        assert seen[-1] == "[DONE]", script
        text = "".join(e["choices"][0]["delta"].get("content", "") for e in seen[:-1])
        assert text == words, script
    assert events(call("azure=1", True)[2])[0]["prompt_filter_results"]
    assert events(call("done=no", True)[2])[-1] != "[DONE]"


def choices_are_interleaved():
    seen = events(call("out=6", True, extra={"n": 2})[2])
    order = [e["choices"][0]["index"] for e in seen[:-1]]
    assert order == [0, 1, 0, 1, 0, 1, 0, 1, 0, 1], order


def errors_have_the_envelope_and_no_bill():
    before = len(bill())
    status, head, body = call("status=429")
    assert status == 429 and head["retry-after"] == "1" and json.loads(body)["error"]["type"] == "requests"
    assert call("status=500")[0] == 500 and call("no such=1")[0] == 400 and call("split=x")[0] == 400
    sock = connect()
    sock.sendall(request(body=BODY).replace(b"Authorization", b"X-Other"))
    assert Reader(sock).answer()[0] == 401
    assert page("/nowhere")[0] == 404 and page("/v1/models")[0] == 200
    assert call("switch=1")[1]["location"].startswith("http://x/") and len(bill()) == before


def a_stream_may_end_in_an_error():
    seen = events(call("error_after=3;out=10", True)[2])
    line = bill()[-1]
    assert seen[-1]["error"]["type"] == "server_error" and line["state"] == "error"
    assert line["events_sent"] == 3 and line["usage"]["completion_tokens"] == 3


def cuts_and_resets_are_billed_for_what_was_made():
    for script, error in (("cut=900;out=40", EOFError), ("cut=head", EOFError),
                          ("reset=900;out=40", (EOFError, ConnectionResetError)),
                          ("reset=head", (EOFError, ConnectionResetError))):
        for stream in (False, True):
            before = len(bill())
            try:
                call(script + (";big=2000" if not stream else ""), stream)
                raise AssertionError(script)
            except error:
                pass
            line = wait_bill(before + 1)
            assert line["state"] == "cut", (script, line)
            assert not stream or line["usage"]["completion_tokens"] < 10
    before = len(bill())
    try:
        call("cut=start")
        raise AssertionError("cut=start")
    except EOFError:
        assert len(bill()) == before
    for spot in ("head", "body", "json"):
        try:
            call(f"garbage={spot}")
        except (ValueError, EOFError, IndexError):
            pass  # what is read is not the point; the bill is
        assert bill()[-1]["state"] == "error"


def stalls_hold_until_the_peer_closes():
    for spot, least in (("head", 0), ("body", 100), ("end", 500)):
        for stream in (False, True):
            sock = connect()
            sock.settimeout(0.15)
            sock.sendall(request(f"stall={spot}", dict(BODY, stream=stream)))
            got = b""
            try:
                while True:
                    data = sock.recv(65536)
                    assert data, spot
                    got += data
            except TimeoutError:
                pass
            assert len(got) >= least and not got.endswith(b"0\r\n\r\n"), (spot, got)
            assert bill()[-1]["state"] == "cut"
            sock.close()


def leaving_stops_the_generation():
    before = len(bill())
    sock = connect()
    sock.sendall(request("out=50;gap_ms=20", dict(BODY, stream=True)))
    Reader(sock).until(b"time,")
    sock.close()
    line = wait_bill(before + 1)
    assert line["state"] == "client_gone" and 5 <= line["usage"]["completion_tokens"] < 15


def leaving_may_be_ignored():
    sock = connect(FINISH_HOST)
    sock.sendall(request("out=10;gap_ms=10", dict(BODY, stream=True)))
    Reader(sock).until(b"200 OK")
    sock.close()
    line = wait_bill(1, FINISH_HOST)
    assert line["state"] == "client_gone" and line["usage"]["completion_tokens"] == 10


def pace_is_kept():
    started = time.monotonic()
    call("out=5;gap_ms=20;first_ms=50", True)
    took = time.monotonic() - started
    assert 0.145 <= took < 0.4, took
    started = time.monotonic()
    call("status=400;slow_ms=1")
    assert time.monotonic() - started > 0.1


def connections_are_kept_and_pipelined():
    sock = connect()
    chunked = (b"POST /v1/chat/completions HTTP/1.1\r\nAuthorization: Bearer k\r\n"
               b"Transfer-Encoding: chunked\r\n\r\n5\r\n{\"mod\r\n9;e=1\r\nel\":\"m1\"}\r\n0\r\nt: 1\r\n\r\n")
    sock.sendall(request("first_ms=20", BODY) + chunked + request("model=m2", BODY))
    reader = Reader(sock)
    models = [json.loads(reader.answer()[2])["model"] for _ in range(3)]
    assert models == ["gpt-4o", "m1", "m2"], models
    sock.sendall(request("close=1", BODY))
    assert reader.answer()[1]["connection"] == "close" and not reader.more()


def early_and_interim_answers():
    sock = connect()
    message = request("early=1;status=413", BODY)
    sock.sendall(message[:-10])
    reader = Reader(sock)
    assert reader.answer()[0] == 413
    sock.sendall(message[-10:] + request("hundred=1", BODY))
    assert reader.answer()[0] == 100 and reader.answer()[0] == 200


def headers_come_back_under_hop():
    echo = json.loads(call("hop=1", headers="X-Thing: v\r\nx-thing: w\r\n")[2])["echo"]
    assert echo["headers"]["x-thing"] == "v, w" and json.loads(echo["body"]) == BODY
    assert events(call("hop=1", True)[2])[0]["echo"]["path"] == "/v1/chat/completions"


def bodies_may_be_large():
    body = dict(BODY, pad="x" * (20 << 20))
    sock = connect()
    sock.sendall(request("big=3000000", body))
    status, _, answer = Reader(sock).answer()
    assert status == 200 and len(json.loads(answer)["choices"][0]["message"]["content"]) == 3000000


def gemini(verb, script="", body=None, key="x-goog-api-key: k\r\n"):
    sock = connect()
    sock.sendall(request(script, body or {"contents": []}, key,
                         f"/v1beta/models/gemini-2.5-flash:{verb}"))
    result = Reader(sock).answer()
    sock.close()
    return result


def googles_dialect_counts_as_google_does():
    script = "prompt=1000;cached=400;cached_audio=50;audio_in=30;tool=70;out=500;reasoning=200;image_out=90;web=3"
    status, _, body = gemini("generateContent", script)
    answer, line = json.loads(body), bill()[-1]
    usage = answer["usageMetadata"]
    assert status == 200 and answer["responseId"] == line["id"] and line["dialect"] == "gemini-generate"
    assert usage["totalTokenCount"] == 1000 + 500 + 70 and usage["candidatesTokenCount"] == 300
    assert usage["thoughtsTokenCount"] == 200 and usage.pop("serviceTier") == "standard"
    assert usage == line["usage"]
    assert line["classes"] == {"input": 640, "cache_read": 350, "cache_read_audio": 50, "input_audio": 30,
                               "output": 410, "output_image": 90, "web_search": 1}
    for framing, read in (("?alt=sse", events), ("", json.loads)):
        chunks = read(gemini("streamGenerateContent" + framing, script + ";events=4")[2])
        assert len(chunks) == 5 and chunks[-1]["candidates"][0]["finishReason"] == "STOP"
        assert all("usageMetadata" in chunk for chunk in chunks)
        assert bill()[-1]["classes"] == line["classes"]


def googles_dialect_refuses_counts_and_embeds():
    before = len(bill())
    assert gemini("generateContent", key="")[0] == 403
    status, head, body = gemini("streamGenerateContent", "status=429;retry_after=7")
    assert status == 429 and "retry-after" not in head
    assert json.loads(body)[0]["error"]["details"][0]["retryDelay"] == "7s"
    assert json.loads(gemini("countTokens", "prompt=31")[2])["totalTokens"] == 31
    assert len(bill()) == before
    both = {"requests": [{"content": {}}, {"content": {}}]}
    assert len(json.loads(gemini("batchEmbedContents", body=both)[2])["embeddings"]) == 2
    assert "output" not in bill()[-1]["classes"]
    blocked = json.loads(gemini("generateContent", "blocked=1;prompt=12")[2])
    assert blocked["promptFeedback"]["blockReason"] and bill()[-1]["classes"] == {"input": 12}


def message(script="", stream=False, extra=None, headers="x-api-key: k\r\nanthropic-version: 1\r\n", path="/v1/messages"):
    body = dict(BODY, max_tokens=50, stream=stream, **(extra or {}))
    sock = connect()
    sock.sendall(request(script, body, headers, path))
    result = Reader(sock).answer()
    sock.close()
    return result


def messages_tell_their_usage_apart():
    script = "prompt=1000;cached=300;cache_write=200;cache_1h=50;out=20;reasoning=5;web=2"
    status, head, body = message(script)
    answer, line = json.loads(body), bill()[-1]
    usage = answer["usage"]
    assert status == 200 and head["request-id"].startswith("req_sim_") and "x-request-id" not in head
    assert (usage["input_tokens"], usage["cache_read_input_tokens"]) == (500, 300)
    assert usage["cache_creation"] == {"ephemeral_5m_input_tokens": 150, "ephemeral_1h_input_tokens": 50}
    assert line["classes"] == {"input": 500, "cache_read": 300, "cache_write": 150, "cache_write_1h": 50,
                               "output": 20, "web_search": 2}
    assert line["dialect"] == "anthropic-messages" and line["id"] == answer["id"]
    seen = events(message(script, True)[2])
    assert [seen[0]["type"], seen[-2]["type"], seen[-1]["type"]] == ["message_start", "message_delta", "message_stop"]
    assert seen[0]["message"]["usage"]["output_tokens"] == 1 and seen[-2]["usage"]["output_tokens"] == 20
    assert seen[-2]["delta"]["stop_reason"] == "end_turn" and bill()[-1]["classes"] == line["classes"]
    json.loads(message("compaction=5500;advisor=90;out=7")[2])
    line = bill()[-1]
    assert [part["model"] for part in line["parts"]] == [None, None, "claude-opus-4-5"]
    total = {}
    for part in line["parts"]:
        for name, count in part["classes"].items():
            total[name] = total.get(name, 0) + count
    assert total == line["classes"] and total["output"] == 7 + 55 + 9


def messages_fail_as_anthropics_do():
    before = len(bill())
    for headers, expected in (("", 401), ("x-api-key: k\r\n", 400)):
        status, _, body = message(headers=headers)
        assert status == expected and json.loads(body)["type"] == "error"
    for status, kind in ((429, "rate_limit_error"), (529, "overloaded_error"), (500, "api_error")):
        assert json.loads(message(f"status={status}")[2])["error"]["type"] == kind
    assert json.loads(message(path="/v1/messages/count_tokens")[2])["input_tokens"] > 0
    assert len(bill()) == before
    seen = events(message("error_after=2;out=9", True)[2])
    assert seen[-1]["type"] == "error" and bill()[-1]["state"] == "error"


def reset_empties_the_bill():
    assert bill() and page("/sim/reset", "POST")[0] == 200 and bill() == []


for case in (plain_answer_matches_its_bill, counts_follow_from_the_body,
             stream_has_usage_only_when_asked, usage_comes_where_the_script_says,
             sse_may_be_written_in_every_way, choices_are_interleaved,
             errors_have_the_envelope_and_no_bill, a_stream_may_end_in_an_error,
             cuts_and_resets_are_billed_for_what_was_made, stalls_hold_until_the_peer_closes,
             leaving_stops_the_generation, leaving_may_be_ignored, pace_is_kept,
             connections_are_kept_and_pipelined, early_and_interim_answers,
             headers_come_back_under_hop, bodies_may_be_large,
             googles_dialect_counts_as_google_does, googles_dialect_refuses_counts_and_embeds,
             messages_tell_their_usage_apart, messages_fail_as_anthropics_do, reset_empties_the_bill):
    case()
    print("ok", case.__name__.replace("_", " "))
