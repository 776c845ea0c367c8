-- The metric with its Kaplan–Meier curve as rows instead of a list.
WITH waits AS (
  SELECT
    month_start(registered) AS cohort_month,
    first_call IS NOT NULL AS called,
    greatest(epoch_us(coalesce(first_call, $as_of)) - epoch_us(registered), 0) AS waited_us,
    epoch_us($as_of) - epoch_us(registered) AS watched_us
  FROM partners
  WHERE registered IS NOT NULL
),
cohorts AS (SELECT DISTINCT cohort_month FROM waits UNION ALL SELECT NULL),
members AS (
  SELECT c.cohort_month, w.called, w.waited_us, w.watched_us
  FROM cohorts c JOIN waits w ON c.cohort_month IS NULL OR w.cohort_month = c.cohort_month
),
times AS (
  SELECT cohort_month, waited_us AS t, count(*) FILTER (WHERE called) AS events, count(*) AS leaving
  FROM members GROUP BY cohort_month, waited_us
),
at_risk AS (
  SELECT *, sum(leaving) OVER (PARTITION BY cohort_month ORDER BY t DESC) AS n FROM times
),
curve AS (
  SELECT cohort_month, t, product(1 - events / n) OVER (PARTITION BY cohort_month ORDER BY t) AS s
  FROM at_risk WHERE events > 0
),
points AS (
  SELECT
    cohort_month,
    min(t) FILTER (WHERE s <= 0.5 + 1e-12) AS median,
    min(t) FILTER (WHERE s <= 0.1 + 1e-12) AS p90,
    min(s) FILTER (WHERE t <= 300000000) AS s5m,
    min(s) FILTER (WHERE t <= 1800000000) AS s30m,
    min(s) FILTER (WHERE t <= 86400000000) AS s1d,
    min(s) FILTER (WHERE t <= 604800000000) AS s7d,
    min(s) FILTER (WHERE t <= 2592000000000) AS s30d
  FROM curve GROUP BY cohort_month
),
counted AS (
  SELECT cohort_month, count(*) AS partners, count(*) FILTER (WHERE called) AS reached, max(watched_us) AS watched_us
  FROM members GROUP BY cohort_month
)
SELECT
  c.cohort_month,
  c.partners,
  c.reached,
  p.median / 1e6 AS median_seconds,
  p.p90 / 1e6 AS p90_seconds,
  CASE WHEN watched_us >= 300000000 THEN 1 - coalesce(s5m, 1) END AS within_5m,
  CASE WHEN watched_us >= 1800000000 THEN 1 - coalesce(s30m, 1) END AS within_30m,
  CASE WHEN watched_us >= 86400000000 THEN 1 - coalesce(s1d, 1) END AS within_1d,
  CASE WHEN watched_us >= 604800000000 THEN 1 - coalesce(s7d, 1) END AS within_7d,
  CASE WHEN watched_us >= 2592000000000 THEN 1 - coalesce(s30d, 1) END AS within_30d
FROM counted c
LEFT JOIN points p ON p.cohort_month IS NOT DISTINCT FROM c.cohort_month
ORDER BY c.cohort_month NULLS LAST
