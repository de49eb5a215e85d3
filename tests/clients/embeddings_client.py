"""The official OpenAI client asks for embeddings through a cache. Ends with status 0 if every promise held.

Environment: CACHED_URL (Tollgate with a cache), DIRECT_URL (the server behind it); each ends in /v1.
"""

import os

from openai import OpenAI


def client(url):
    return OpenAI(base_url=os.environ[url], api_key="unused", max_retries=0, timeout=30)


def embed(api, inputs, **more):
    """The answer and what the cache said of it."""
    raw = api.embeddings.with_raw_response.create(model="sim", input=inputs, **more)
    return raw.parse(), raw.headers.get("x-cache-status")


def vectors(answer):
    assert [item.index for item in answer.data] == list(range(len(answer.data))), answer
    assert all(item.object == "embedding" for item in answer.data), answer
    return [item.embedding for item in answer.data]


def main():
    cached, direct = client("CACHED_URL"), client("DIRECT_URL")
    # Without a format the client asks for base64 and decodes it.
    formats = ({}, {"encoding_format": "float"}, {"encoding_format": "base64"}, {"dimensions": 16})
    for n, more in enumerate(formats):
        known = [f"{n} {text}" for text in ("one", "two", "three")]
        ten = [f"{n} {text}" for text in ("new", "three", "one", "other", "two", "one")]
        first, said = embed(cached, known, **more)
        assert said == "MISS", (more, said)
        assert first.usage.prompt_tokens > 0 and first.usage.total_tokens > 0, first.usage
        part, said = embed(cached, ten, **more)
        assert said == "PARTIAL", (more, said)
        again, said = embed(cached, ten, **more)
        assert said == "HIT", (more, said)
        want = vectors(embed(direct, ten, **more)[0])
        assert vectors(part) == want and vectors(again) == want, more
        assert 0 < part.usage.prompt_tokens and again.usage.prompt_tokens == 0, (part.usage, again.usage)
        assert again.model == first.model, again
    tokens, said = embed(cached, [[1, 2, 3], [4, 5]])
    assert said == "MISS" and len(tokens.data) == 2, said
    assert embed(cached, [4, 5])[1] == "HIT"
    print("the OpenAI client is content")


main()
