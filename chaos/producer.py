"""Writes events to the source topic past the gateways, with the PyPI client, as a process of its own: that client keeps
Python's lock while it waits, and hangs when its broker goes away.

usage: python -m chaos.producer CLUSTER TOPIC < LINES ({"key": base64, "value": base64}); exit 0: all acknowledged"""

import base64
import json
import sys

import fluvio

BATCH_BYTES = 700_000
# Lets everything that was handed over at once go into one batch a partition.
LINGER_MS = 200


def main():
    cluster, topic = sys.argv[1:]
    lines = [json.loads(line) for line in sys.stdin]
    pairs = [(base64.b64decode(line["key"]), base64.b64decode(line["value"])) for line in lines]
    client = fluvio.Fluvio.connect_with_config(fluvio.FluvioConfig.new(cluster))
    config = fluvio.TopicProducerConfigBuilder().batch_size(BATCH_BYTES).linger(LINGER_MS).build()
    producer = client.topic_producer_with_config(topic, config)
    outputs = producer.send_all(pairs)
    producer.flush()
    for output in outputs:
        output.wait()


if __name__ == "__main__":
    main()
