"""The embedded broker and a Fluvio client that nobody here wrote: the PyPI package `fluvio`."""

import itertools
import threading

import pytest
from fluvio import (
    ConsumerConfig,
    ConsumerConfigExtBuilder,
    Fluvio,
    FluvioAdmin,
    FluvioConfig,
    Offset,
    OffsetManagementStrategy,
    TopicProducerConfigBuilder,
    TopicSpec,
)


@pytest.fixture
def config(broker):
    return FluvioConfig.new(broker.control)


@pytest.fixture
def admin(config):
    return FluvioAdmin.connect_with_config(config)


@pytest.fixture
def client(config):
    return Fluvio.connect_with_config(config)


def names(admin):
    return sorted(topic.name() for topic in admin.list_topics([]))


def produce(client, topic, values, key=b"room"):
    producer = client.topic_producer(topic)
    outputs = [producer.send(key, value.encode()) for value in values]
    producer.flush()
    return [output.wait().offset() for output in outputs]


def read(client, topic, count, offset=None, partition=0):
    stream = client.partition_consumer(topic, partition).stream(offset or Offset.beginning())
    return list(itertools.islice(stream, count))


def test_topics_are_created_listed_and_deleted(admin):
    admin.create_topic("one")
    spec = TopicSpec.create().with_partitions(3).with_retention_time(3600).build()
    admin.create_topic("three", spec)
    assert names(admin) == ["one", "three"]
    assert len(admin.list_partitions([])) == 4
    with pytest.raises(Exception, match="already exists"):
        admin.create_topic("one")
    admin.delete_topic("one")
    assert names(admin) == ["three"]


def test_records_come_back_with_keys_and_offsets(admin, client):
    admin.create_topic("events")
    values = [f"reaction {number} \N{FIRE}" for number in range(100)]
    assert produce(client, "events", values) == list(range(100))
    records = read(client, "events", 100)
    assert [record.value_string() for record in records] == values
    assert [record.offset() for record in records] == list(range(100))
    assert {record.key_string() for record in records} == {"room"}


def test_reading_begins_anywhere(admin, client):
    admin.create_topic("events")
    produce(client, "events", [str(number) for number in range(20)])
    middle = read(client, "events", 5, Offset.absolute(7))
    assert [record.value_string() for record in middle] == ["7", "8", "9", "10", "11"]
    end = read(client, "events", 3, Offset.from_end(3))
    assert [record.value_string() for record in end] == ["17", "18", "19"]


def test_records_arrive_while_reading(admin, client, config):
    admin.create_topic("events")
    # One thread: this client's `next` keeps Python's lock while it waits.
    stream = Fluvio.connect_with_config(config).partition_consumer("events", 0).stream(Offset.beginning())
    for number in range(10):
        produce(client, "events", [f"now {number}"])
        assert next(stream).value_string() == f"now {number}"


def test_a_finite_read_ends_by_itself(admin, client):
    admin.create_topic("events")
    produce(client, "events", ["a", "b", "c"])
    until_end = ConsumerConfig()
    until_end.disable_continuous()
    stream = client.partition_consumer("events", 0).stream_with_config(Offset.beginning(), until_end)
    assert [record.value_string() for record in stream] == ["a", "b", "c"]


def test_large_batches_lose_nothing(admin, client):
    admin.create_topic("events")
    values = [f"{number} {'x' * 200}" for number in range(20_000)]
    producer_config = TopicProducerConfigBuilder().batch_size(500_000).build()
    producer = client.topic_producer_with_config("events", producer_config)
    for value in values:
        producer.send_string(value)
    producer.flush()
    assert [record.value_string() for record in read(client, "events", 20_000)] == values


def test_a_named_consumer_goes_on_where_it_was(admin, client):
    admin.create_topic("events")
    produce(client, "events", [str(number) for number in range(10)])

    def consume(count):
        builder = ConsumerConfigExtBuilder("events")
        builder.offset_start(Offset.beginning())
        builder.offset_consumer("screen")
        builder.offset_strategy(OffsetManagementStrategy.MANUAL)
        stream = client.consumer_with_config(builder.build())
        values = [next(stream).value_string() for _ in range(count)]
        stream.offset_commit()
        stream.offset_flush()
        return values

    assert consume(4) == ["0", "1", "2", "3"]
    assert consume(3) == ["4", "5", "6"]
    kept = client.consumer_offsets()
    assert [(offset.consumer_id, offset.topic, offset.offset) for offset in kept] == [("screen", "events", 6)]
    client.delete_consumer_offset("screen", "events", 0)
    assert client.consumer_offsets() == []


def test_two_clients_share_a_topic(admin, config):
    admin.create_topic("events")
    one, two = (Fluvio.connect_with_config(config) for _ in range(2))
    threads = [
        threading.Thread(target=produce, args=(client, "events", [f"{name} {number}" for number in range(200)]))
        for name, client in (("one", one), ("two", two))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    values = [record.value_string() for record in read(one, "events", 400)]
    for name in ("one", "two"):
        assert [value for value in values if value.startswith(name)] == [f"{name} {number}" for number in range(200)]
