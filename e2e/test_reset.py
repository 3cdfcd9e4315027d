"""Where a new epoch begins, as the command line says it before anything is changed."""

import collections
import re

import processes
import readers
from topology import Topology


def test_a_reset_begins_where_it_is_told_to(broker, tmp_path):
    topology = Topology(tmp_path)
    where = ["--cluster", broker.control, "--topology", topology.file]
    code, text = processes.outcome("topology", "apply", *where)
    assert code == 0, text
    producer = readers.connect(broker.control).topic_producer(topology.events)
    sent = 40
    for number in range(sent):
        producer.send(f"room-{number}".encode(), b"{}")
    producer.flush()

    def dry(place):
        code, text = processes.outcome("topology", "reset", "--dry-run", "--from", place, *where)
        assert code == 0 and "nothing was changed" in text, text
        return text

    def to_process(text):
        return sum(int(count) for count in re.findall(r"source: (\d+) source records? to process", text))

    assert to_process(dry("beginning")) == sent == to_process(dry("1h"))
    assert to_process(dry("2001-01-01T00:00:00+02:00")) == sent
    assert to_process(dry("now")) == 0 == to_process(dry("2101-01-01T00:00:00Z"))
    assert "as near to 100000 as the source has it" in dry("100000")
    held = collections.Counter(partition for partition, _ in readers.records(broker.control, topology.events, topology.partitions))
    assert to_process(dry("2")) == sum(max(0, count - 2) for count in held.values())
    text = dry("beginning")
    assert "sink emoji-aggregates: 0 results there stay" in text and "readers take the newer epoch" in text, text

    code, text = processes.outcome("topology", "reset", "--dry-run", "--yes", *where)
    assert code == 2 and "cannot be used with" in text, text
    code, text = processes.outcome("topology", "reset", "--from", "yesterday", *where)
    assert code == 2 and "expected beginning, now, an offset" in text, text
