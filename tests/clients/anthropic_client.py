"""The official Anthropic client as a user of Tollgate. Ends with status 0 if every promise held.

Environment: BASE_URL (open), LIMITED_URL (asks for keys; `key-ok`, and `key-once` that may send one request a
minute), DOWN_URL (no peer is alive).
"""

import os

import anthropic
from anthropic import Anthropic


def client(url, key="unused"):
    return Anthropic(base_url=os.environ[url], api_key=key, max_retries=0, timeout=30)


def ask(api, text="Say hello to the fleet.", **more):
    return api.messages.create(
        model="sim", messages=[{"role": "user", "content": text}], max_tokens=24, **more
    )


def raises(kind, status, said, call):
    try:
        call()
    except anthropic.APIStatusError as error:
        assert isinstance(error, kind), f"expected {kind.__name__}, got {error!r}"
        assert error.status_code == status, error.status_code
        assert error.body["type"] == "error" and error.body["error"]["type"] == said, error.body
        assert error.body["error"]["message"], error.body
        return error
    raise AssertionError(f"expected {kind.__name__}")


def main():
    api = client("BASE_URL")

    whole = ask(api)
    assert whole.type == "message" and whole.role == "assistant", whole
    assert whole.content[0].text and whole.stop_reason in ("end_turn", "max_tokens"), whole
    assert whole.usage.input_tokens > 0 and whole.usage.output_tokens > 0, whole.usage

    with api.messages.stream(
        model="sim", messages=[{"role": "user", "content": "Say hello to the fleet."}], max_tokens=24
    ) as stream:
        pieces = list(stream.text_stream)
        final = stream.get_final_message()
    assert len(pieces) > 1 and "".join(pieces) == whole.content[0].text, (pieces, whole)
    assert final.usage.output_tokens == whole.usage.output_tokens, final.usage
    assert final.stop_reason == whole.stop_reason

    kinds = [event.type for event in ask(api, stream=True)]
    assert kinds[0] == "message_start" and kinds[-1] == "message_stop", kinds

    system = ask(api, system="Be brief.", stop_sequences=["\n\nHuman:"])
    assert system.content, system

    def refused(key):
        return lambda: ask(client("LIMITED_URL", key))

    raises(anthropic.AuthenticationError, 401, "authentication_error", refused("no-such-key"))
    assert ask(client("LIMITED_URL", "key-ok")).content
    once = client("LIMITED_URL", "key-once")
    assert ask(once).content
    limited = raises(
        anthropic.RateLimitError, 429, "rate_limit_error", lambda: ask(once, "another question")
    )
    assert int(limited.response.headers["retry-after"]) > 0
    down = raises(
        anthropic.APIStatusError, 503, "overloaded_error", lambda: ask(client("DOWN_URL"))
    )
    assert int(down.response.headers["retry-after"]) > 0
    bad = raises(
        anthropic.BadRequestError, 400, "invalid_request_error", lambda: ask(api, extra_body={"stream": "yes"})
    )
    assert "stream" in bad.body["error"]["message"], bad.body
    try:
        with client("DOWN_URL").messages.stream(
            model="sim", messages=[{"role": "user", "content": "x"}], max_tokens=4
        ) as stream:
            list(stream)
        raise AssertionError("a stream from nowhere")
    except anthropic.APIStatusError as error:
        assert error.status_code == 503, error
    print("the Anthropic client is content")


main()
