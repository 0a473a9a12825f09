"""Count in a loop on two executors, until it is ended. Run inside Spark's own environment."""

import sys
import time

from pyspark.sql import SparkSession

PROMETHEUS = "spark.metrics.conf.*.sink.prometheusServlet"
SETTINGS = {
    "spark.driver.memory": "512m",
    "spark.executor.memory": "512m",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.port": sys.argv[1],
    "spark.ui.prometheus.enabled": "true",
    f"{PROMETHEUS}.class": "org.apache.spark.metrics.sink.PrometheusServlet",
    f"{PROMETHEUS}.path": "/metrics/prometheus",
    "spark.sql.shuffle.partitions": "4",
}
builder = SparkSession.builder.master("local-cluster[2,1,512]").appName("lab-application")
for name, value in SETTINGS.items():
    builder = builder.config(name, value)
spark = builder.getOrCreate()
while True:
    numbers = spark.range(200_000).selectExpr("id % 7 AS key", "id AS value").cache()
    numbers.groupBy("key").sum("value").collect()
    time.sleep(5)
