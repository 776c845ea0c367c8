-- Macros for DuckDB: Rapport's scalar functions.
SET TimeZone = 'UTC';
SET preserve_insertion_order = false;
CREATE MACRO month_start(d) AS CAST(date_trunc('month', d) AS DATE);
CREATE MACRO next_month(d) AS CAST(date_trunc('month', d) + INTERVAL 1 MONTH AS DATE);
CREATE MACRO months_apart(a, b) AS date_diff('month', a, b);
CREATE MACRO month_series(a, b) AS list_transform(
  generate_series(
    CAST(date_trunc('month', a) AS TIMESTAMP), CAST(date_trunc('month', b) AS TIMESTAMP), INTERVAL 1 MONTH
  ),
  lambda x: CAST(x AS DATE)
);
CREATE MACRO wilson_lower(k, n) AS
  (k / n + 1.959964 * 1.959964 / (2 * n)
    - 1.959964 * sqrt(k / n * (1 - k / n) / n + 1.959964 * 1.959964 / (4 * n * n)))
  / (1 + 1.959964 * 1.959964 / n);
CREATE MACRO hhi_of(x) AS
  list_sum(list_transform(x, lambda v: pow(CAST(v AS DOUBLE) / CAST(list_sum(x) AS DOUBLE), 2)));
CREATE MACRO gini_of(x) AS
  2 * list_sum(list_transform(list_sort(x), lambda v, i: i * CAST(v AS DOUBLE)))
    / (len(x) * CAST(list_sum(x) AS DOUBLE)) - (len(x) + 1) / len(x);
-- The bucket of a latency, and the middle of a bucket (queries/rollups/latency_histogram.sql).
CREATE MACRO doublings(v) AS CASE WHEN v < 128 THEN 0 ELSE CAST(floor(log2(v)) AS INT) - 6 END;
CREATE MACRO bucket_of(v) AS CAST(64 * doublings(v) + (v >> doublings(v)) AS INT);
CREATE MACRO middle_of(b) AS
  (b - 64 * greatest(b // 64 - 1, 0)) * pow(2, greatest(b // 64 - 1, 0))
    + (pow(2, greatest(b // 64 - 1, 0)) - 1) / 2;
