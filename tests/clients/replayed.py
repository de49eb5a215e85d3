"""The official clients read recorded answers as peers gave them, and as the cache gives them again, in both forms.

Environment: BASE_URL, and CASES: a file of lines {"cell", "endpoint", "request", "streamed"}. The peer knows an answer by
the field `x_cell` of the request. Prints one line per case that is not the same in every form, and the counts. Ends with
status 0 if nothing was lost.
"""

import json
import os
import warnings

import anthropic
import openai
from openai.lib.streaming.chat import ChatCompletionStreamState

# What servers send beyond the clients' types is kept, and said.
warnings.simplefilter("ignore")
BASE = os.environ["BASE_URL"]
OPENAI = openai.OpenAI(base_url=f"{BASE}/v1", api_key="unused", max_retries=0, timeout=60)
ANTHROPIC = anthropic.Anthropic(base_url=BASE, api_key="unused", max_retries=0, timeout=60)


def plain(value):
    """What a client holds, without fields that say nothing."""
    if hasattr(value, "to_dict"):
        value = value.to_dict(mode="json")
    if isinstance(value, dict):
        held = {name: plain(one) for name, one in value.items()}
        return {name: one for name, one in held.items() if one not in (None, [], {}, "")}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return value


def ask_chat(body, stream):
    rest = {name: value for name, value in body.items() if name not in ("model", "messages", "stream")}
    if not stream:
        raw = OPENAI.chat.completions.with_raw_response.create(
            model=body["model"], messages=body["messages"], extra_body=rest
        )
        return raw, raw.parse()
    rest["stream_options"] = {"include_usage": True}
    raw = OPENAI.chat.completions.with_raw_response.create(
        model=body["model"], messages=body["messages"], extra_body=rest, stream=True
    )
    state = ChatCompletionStreamState()
    for chunk in raw.parse():
        state.handle_chunk(chunk)
    return raw, state.current_completion_snapshot


def meant_chat(answer):
    """Content, calls, reasons and usage of a chat completion."""
    answer = plain(answer)
    choices = []
    for choice in answer["choices"]:
        message = dict(choice["message"])
        # The client joins every text of a stream, also those that come whole each time.
        for name in ("parsed", "role", "function_call", "channel"):
            message.pop(name, None)
        for call in message.get("tool_calls", []):
            for name in ("index", "type"):
                call.pop(name, None)
            call.get("function", {}).pop("parsed_arguments", None)
        choices.append({"message": plain(message), "finish_reason": choice.get("finish_reason")})
    return {"choices": choices, "usage": answer.get("usage"), "model": answer.get("model")}


def ask_message(body, stream):
    known = {"model": body["model"], "messages": body["messages"], "max_tokens": body.get("max_tokens", 16)}
    rest = {name: value for name, value in body.items() if name not in (*known, "stream")}
    if not stream:
        raw = ANTHROPIC.messages.with_raw_response.create(**known, extra_body=rest)
        return raw, raw.parse()
    inputs = {}
    with ANTHROPIC.messages.stream(**known, extra_body=rest) as events:
        for event in events:
            if event.type == "content_block_delta" and event.delta.type == "input_json_delta":
                inputs[event.index] = inputs.get(event.index, "") + event.delta.partial_json
        answer = plain(events.get_final_message())
        # The client reads the input of some kinds of calls alone.
        for index, text in inputs.items():
            if text and json.loads(text):
                answer["content"][index]["input"] = plain(json.loads(text))
        return events.response, answer


def meant_message(answer):
    answer = plain(answer)
    for block in answer.get("content", []):
        block.pop("parsed_output", None)
    return {name: answer.get(name) for name in ("content", "stop_reason", "stop_sequence", "usage", "model")}


def ask_response(body, stream):
    rest = {name: value for name, value in body.items() if name not in ("model", "input", "stream")}
    known = {"model": body["model"], "input": body.get("input", "")}
    if not stream:
        raw = OPENAI.responses.with_raw_response.create(**known, extra_body=rest)
        return raw, raw.parse()
    raw = OPENAI.responses.with_raw_response.create(**known, extra_body=rest, stream=True)
    last, text, calls, done = None, {}, {}, []
    for event in raw.parse():
        at = (getattr(event, "output_index", None), getattr(event, "content_index", None))
        if event.type == "response.output_text.delta":
            text[at] = text.get(at, "") + event.delta
        elif event.type == "response.function_call_arguments.delta":
            calls[at] = calls.get(at, "") + event.delta
        elif event.type == "response.output_item.done":
            done.append(event.item)
        elif event.type in ("response.completed", "response.incomplete"):
            last = event.response
    assert last is not None, "the stream has no end"
    if not last.output and done:
        # Some servers leave the items to the events before.
        last.output = done
    spelt = [
        part.text
        for item in last.output
        if item.type == "message"
        for part in item.content
        if part.type == "output_text" and part.text
    ]
    assert spelt == list(text.values()), "deltas spell something else"
    asked = [item.arguments for item in last.output if item.type == "function_call" and item.arguments]
    assert asked == list(calls.values()), "deltas call something else"
    return raw, last


def meant_response(answer):
    answer = plain(answer)
    return {name: answer.get(name) for name in ("output", "status", "incomplete_details", "usage", "model")}


KINDS = {
    "chat": (ask_chat, meant_chat),
    "messages": (ask_message, meant_message),
    "responses": (ask_response, meant_response),
}


def difference(one, other, at=""):
    """Where two values differ first."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted({*one, *other}):
            if one.get(name) != other.get(name):
                return difference(one.get(name), other.get(name), f"{at}.{name}")
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for index, pair in enumerate(zip(one, other)):
            if pair[0] != pair[1]:
                return difference(*pair, f"{at}[{index}]")
    return f"at {at}: {str(one)[:300]!r} instead of {str(other)[:300]!r}"


def within(small, large):
    """Whether all of `small` is in `large`, at the same place."""
    if isinstance(small, dict) and isinstance(large, dict):
        return all(name in large and within(one, large[name]) for name, one in small.items() if one is not None)
    if isinstance(small, list) and isinstance(large, list):
        return len(small) == len(large) and all(map(within, small, large))
    return small == large


def header(raw):
    return raw.headers.get("x-cache-status")


def check(case):
    ask, meant = KINDS[case["endpoint"]]
    body = {**case["request"], "x_cell": case["cell"]}
    recorded = case["streamed"]
    try:
        first, given = ask(body, recorded)
    except openai.APIError:
        # A recorded error: it comes again, and from the peer.
        try:
            ask(body, recorded)
        except openai.APIError:
            return "an error again"
        raise
    except Exception as error:  # the recording itself is not what the client expects
        return f"unreadable as recorded: {type(error).__name__}: {error}"
    assert header(first) == "MISS", header(first)
    given = meant(given)
    again, same = ask(body, recorded)
    if header(again) == "MISS":
        return "not stored"
    assert header(again) == "HIT", header(again)
    same = meant(same)
    if given["usage"] is None:
        # Who asks for usage gets it, also where the peer did not tell it to this client.
        same["usage"] = None
    assert same == given, f"the same form: {difference(same, given)}"
    other, turned = ask(body, not recorded)
    if header(other) != "HIT":
        return "not turned"
    turned = meant(turned)
    # Where the client reads less off a stream than off JSON, JSON may hold more.
    assert turned == given or (recorded and within(given, turned)), f"the other form: {difference(turned, given)}"
    return "equal"


def main():
    counts = {}
    wrong = 0
    with open(os.environ["CASES"], encoding="utf-8") as lines:
        cases = [json.loads(line) for line in lines]
    for case in cases:
        name = f"{case['endpoint']} {'stream' if case['streamed'] else 'JSON'}"
        try:
            outcome = check(case)
        except Exception as error:  # every case is told
            wrong += 1
            outcome = "WRONG"
            print(f"{case['name']} ({name}): {type(error).__name__}: {error}")
        if outcome not in ("equal", "WRONG"):
            print(f"{case['name']} ({name}): {outcome}")
        outcome = outcome.split(":")[0]
        counts[name, outcome] = counts.get((name, outcome), 0) + 1
    for (name, outcome), count in sorted(counts.items()):
        print(f"{name}: {count} {outcome}")
    equal = sum(count for (_, outcome), count in counts.items() if outcome == "equal")
    assert not wrong, f"{wrong} answers were changed"
    assert equal > len(cases) * 9 // 10, f"only {equal} of {len(cases)} answers were compared"
    print(f"{equal} of {len(cases)} answers kept their meaning")


main()
