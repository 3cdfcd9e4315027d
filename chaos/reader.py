"""Reads a topic with the PyPI client, as a process of its own: that client keeps Python's lock while it waits, and the
records come through a proxy of the process that waits for them.

usage: python -m chaos.reader CLUSTER TOPIC FROM... (an offset for each partition)
prints {"partition":P,"offset":O,"value":TEXT} for every record that is stored now"""

import json
import sys

import fluvio

# A fetch that ends inside a batch loses the rest of it (docs/fluvio.md 1).
FETCH_BYTES = 32 * 1024 * 1024


def main():
    cluster, topic, *starts = sys.argv[1:]
    client = fluvio.Fluvio.connect_with_config(fluvio.FluvioConfig.new(cluster))
    for partition, start in enumerate(starts):
        config = fluvio.ConsumerConfigExtBuilder(topic)
        config.partition(partition)
        config.offset_start(fluvio.Offset.absolute(int(start)))
        config.max_bytes(FETCH_BYTES)
        config.disable_continuous(True)
        for record in client.consumer_with_config(config.build()):
            line = {"partition": partition, "offset": record.offset(), "value": record.value_string()}
            sys.stdout.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
