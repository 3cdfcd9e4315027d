"""What schemathesis cannot know of the gateway: emoji, the time, and what a batch has to tell of."""

import json
import time

import jsonschema
import schemathesis
from hypothesis import strategies

# In several presentations: with a tone, a flag, a sequence, without the selector.
EMOJI = ["🔥", "❤️", "❤", "👍🏽", "🇮🇹", "👩‍🚀", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "1️⃣"]

schemathesis.openapi.format("emoji", strategies.sampled_from(EMOJI))


@schemathesis.hook
def before_call(context, case, kwargs):
    """A time is near the gateway's clock, which moves on while data is made."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    for item in case.body if isinstance(case.body, list) else [case.body]:
        if isinstance(item, dict) and isinstance(item.get("ts"), int):
            item["ts"] = int(time.time() * 1_000)


@schemathesis.check
def a_batch_tells_of_each_bad_item(context, response, case):
    """Whatever does not fit the schema of a reaction is among the rejected, and the numbers add up."""
    request = response.request
    is_array = request.headers.get("content-type") == "application/json" and (request.body or b"")[:1] == b"["
    if case.operation.label != "POST /v1/reactions" or response.status_code != 200 or not is_array:
        return
    items, answer = json.loads(request.body), response.json()
    rejected = {item["index"] for item in answer["rejected"]}
    assert answer["accepted"] + answer["duplicates"] + len(rejected) == len(items)
    schema = case.operation.schema.raw_schema["components"]["schemas"]["Reaction"]
    reaction = jsonschema.Draft202012Validator(schema)
    # In a batch there is no path to take the room from.
    bad = {index for index, item in enumerate(items) if not reaction.is_valid(item) or not item.get("room")}
    assert bad <= rejected, f"accepted although they do not fit the schema: {[items[index] for index in bad - rejected]}"
    fitting = [items[index] for index in rejected - bad]
    assert not (rejected and not answer["rejected"][0]["detail"]), fitting
