"""The official OpenAI client as a user of Tollgate. Ends with status 0 if every promise held.

Environment: BASE_URL (open), LIMITED_URL (asks for keys; `key-ok`, and `key-once` that may send one request a
minute), DOWN_URL (no peer is alive); each ends in /v1.
"""

import os

import openai
from openai import OpenAI


def client(url, key="unused"):
    return OpenAI(base_url=os.environ[url], api_key=key, max_retries=0, timeout=30)


def ask(api, text="Say hello to the fleet.", **more):
    return api.chat.completions.create(
        model="sim", messages=[{"role": "user", "content": text}], max_tokens=24, **more
    )


def raises(kind, status, call):
    try:
        call()
    except openai.APIStatusError as error:
        assert type(error) is kind, f"expected {kind.__name__}, got {error!r}"
        assert error.status_code == status, error.status_code
        assert error.body and error.body["message"], error.body
        return error
    raise AssertionError(f"expected {kind.__name__}")


def main():
    api = client("BASE_URL")

    whole = ask(api)
    assert whole.choices[0].message.content, whole
    assert whole.usage.completion_tokens > 0 and whole.usage.prompt_tokens > 0, whole.usage

    events = list(ask(api, stream=True, stream_options={"include_usage": True}))
    text = "".join(c.choices[0].delta.content or "" for c in events if c.choices)
    assert text == whole.choices[0].message.content, (text, whole)
    assert events[-1].usage.completion_tokens == whole.usage.completion_tokens

    vectors = api.embeddings.create(model="sim", input=["one", "two"])
    assert len(vectors.data) == 2 and len(vectors.data[0].embedding) > 8

    models = [model.id for model in api.models.list()]
    assert "sim" in models and len(models) == len(set(models)), models

    raises(openai.AuthenticationError, 401, lambda: ask(client("LIMITED_URL", "no-such-key")))
    assert ask(client("LIMITED_URL", "key-ok")).choices
    once = client("LIMITED_URL", "key-once")
    assert ask(once).choices
    limited = raises(openai.RateLimitError, 429, lambda: ask(once, "another question"))
    assert int(limited.response.headers["retry-after"]) > 0
    assert limited.response.headers["x-ratelimit-remaining-requests"] == "0"
    down = raises(openai.InternalServerError, 503, lambda: ask(client("DOWN_URL")))
    assert int(down.response.headers["retry-after"]) > 0
    print("the OpenAI client is content")


main()
