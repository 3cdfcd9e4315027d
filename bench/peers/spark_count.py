"""Spark Structured Streaming: its file source, its watermark and its window, two threads in one JVM, state in its default store."""

import uuid

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

import data
import turn

FILES_PER_BATCH = 5
PARTITIONS = 2
# A JVM compiles what it has often run.
WARM_UPS = 4
SCHEMA = "id STRING, room STRING, emoji STRING, user STRING, ts LONG"


def main():
    given = turn.options()
    session = (
        SparkSession.builder.master("local[2]")
        .config("spark.sql.shuffle.partitions", PARTITIONS)
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.memory", "4g")
        .config("spark.local.dir", given.scratch / "local")
    )
    spark = session.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")

    def count(folder):
        lines = spark.readStream.schema(SCHEMA).option("maxFilesPerTrigger", FILES_PER_BATCH).json(str(folder / "parts"))
        events = lines.withColumn("time", F.timestamp_millis("ts"))
        # A query has one watermark: with it the ids' horizon is the windows' grace, too.
        if given.dedup:
            events = events.withWatermark("time", f"{data.HORIZON_MS} milliseconds").dropDuplicatesWithinWatermark(["id"])
        else:
            events = events.withWatermark("time", f"{data.GRACE_MS} milliseconds")
        counts = events.groupBy(F.window("time", f"{data.WINDOW_MS} milliseconds"), "room", "emoji").count()
        rows = counts.select("room", "emoji", F.unix_millis("window.start").alias("start"), "count")
        found = {}

        def collect(batch, _):
            for row in batch.collect():
                found[row["room"], row["emoji"], row["start"]] = row["count"]

        query = (
            rows.writeStream.outputMode("append")
            .trigger(availableNow=True)
            .option("checkpointLocation", str(given.scratch / uuid.uuid4().hex))
            .foreachBatch(collect)
            .start()
        )
        query.awaitTermination()
        return found

    turn.run(count, given, WARM_UPS)


if __name__ == "__main__":
    main()
