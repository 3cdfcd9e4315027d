"""Deletes topics from a cluster, with the PyPI client. usage: python -m chaos.cleaner CLUSTER TOPIC..."""

import sys

import fluvio


def main():
    cluster, *topics = sys.argv[1:]
    admin = fluvio.FluvioAdmin.connect_with_config(fluvio.FluvioConfig.new(cluster))
    for topic in topics:
        admin.delete_topic(topic)


if __name__ == "__main__":
    main()
