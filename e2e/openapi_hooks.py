"""What schemathesis cannot know of the gateway: emoji, the time, and what a batch has to tell of."""

import json
import time

import jsonschema
import schemathesis
from hypothesis import strategies

# In several presentations: with a tone, a flag, a sequence, without the selector.
EMOJI = ["🔥", "❤️", "❤", "👍🏽", "🇮🇹", "👩‍🚀", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "1️⃣"]

schemathesis.openapi.format("emoji", strategies.sampled_from(EMOJI))


@schemathesis.serializer("application/x-ndjson")
def lines(context, value):
    """The schema says text; what is not becomes a line of JSON."""
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else json.dumps(value).encode() + b"\n"


@schemathesis.hook
def before_call(context, case, kwargs):
    """Data that fits the schema is made to fit what no schema says, so that more than a few reactions are taken."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    for item in case.body if isinstance(case.body, list) else [case.body]:
        if not isinstance(item, dict):
            continue
        # Near the gateway's clock, which moves on while data is made.
        if item.get("ts") is not None:
            item["ts"] = int(time.time() * 1_000)
        if "room" in item and case.operation.label != "POST /v1/reactions":
            item["room"] = case.path_parameters["room"]
        if "Idempotency-Key" in (case.headers or {}):
            item.pop("id", None)


@schemathesis.check
def a_batch_tells_of_each_bad_item(context, response, case):
    """Whatever does not fit the schema of a reaction is among the rejected, and the numbers add up."""
    request = response.request
    if (request.method, case.operation.label, response.status_code) != ("POST", "POST /v1/reactions", 200):
        return
    if request.headers.get("content-type") != "application/json" or request.body[:1] != b"[":
        return
    items, answer = json.loads(request.body), response.json()
    rejected = {item["index"] for item in answer["rejected"]}
    assert answer["accepted"] + answer["duplicates"] + len(rejected) == len(items)
    schema = case.operation.schema.raw_schema["components"]["schemas"]["Reaction"]
    reaction = jsonschema.Draft202012Validator(schema)
    # In a batch there is no path to take the room from.
    bad = {index for index, item in enumerate(items) if not reaction.is_valid(item) or not item.get("room")}
    assert bad <= rejected, f"accepted although they do not fit the schema: {[items[index] for index in bad - rejected]}"
