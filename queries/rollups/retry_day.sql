/*---
description = "Throttled calls of a partner on a day, and how many of them were followed by another call within a second"
owner = "partner-analytics"
grain = ["event_date", "partner_id", "environment"]
tags = ["traffic", "quota"]
reads = { api_calls = "same" }

[columns]
event_date = { type = "Date32" }
partner_id = { type = "Utf8", description = "as sent; of merged partners each one's calls follow its own" }
environment = { type = "Utf8" }
throttled = { type = "Int64", unit = "calls", description = "429" }
retried_1s = { type = "Int64", unit = "calls", description = "throttled calls whose next call, of any status, of the same date came at most 1 s later" }

[[checks]]
unique = ["event_date", "partner_id", "environment"]
[[checks]]
sql = "SELECT * FROM this WHERE throttled < 1 OR retried_1s > throttled"
---*/
-- Sorting the calls of a large day would take more memory than a query has, and most calls are near
-- no throttled one. So calls are looked up for the seconds with a throttled one: those of the same
-- second are all followed within it, but for the last one. That one is followed in time if the first
-- call of the next second comes soon enough.
WITH throttled AS (
  SELECT
    event_date,
    partner_id,
    environment,
    date_trunc('second', occurred_at) AS second,
    count(*) AS throttled,
    max(occurred_at) AS last_throttled_at
  FROM api_calls
  WHERE status = 429
  GROUP BY event_date, partner_id, environment, date_trunc('second', occurred_at)
),
-- Each of these seconds, and the one after it.
places AS (
  SELECT event_date, partner_id, environment, second, second AS place
  FROM throttled
  UNION ALL
  SELECT event_date, partner_id, environment, second, second + INTERVAL '1 second'
  FROM throttled
),
beside AS (
  SELECT
    p.event_date,
    p.partner_id,
    p.environment,
    p.second,
    max(CASE WHEN p.place = p.second AND a.status <> 429 THEN a.occurred_at END) AS last_other_at,
    min(CASE WHEN p.place > p.second THEN a.occurred_at END) AS next_call_at
  FROM places AS p
  JOIN api_calls AS a
    ON a.event_date = p.event_date
    AND a.partner_id = p.partner_id
    AND a.environment = p.environment
    AND date_trunc('second', a.occurred_at) = p.place
  GROUP BY p.event_date, p.partner_id, p.environment, p.second
),
followed AS (
  SELECT t.*, b.last_other_at, b.next_call_at
  FROM throttled AS t
  JOIN beside AS b
    ON b.event_date = t.event_date
    AND b.partner_id = t.partner_id
    AND b.environment = t.environment
    AND b.second = t.second
),
-- The last of the calls at one instant, where some were throttled and some were not. There are hardly
-- any such instants, so the ids of the calls are mostly not read.
ties AS (
  SELECT
    a.event_date,
    a.partner_id,
    a.environment,
    f.second,
    last_value(a.status ORDER BY a.event_id) AS last_status
  FROM followed AS f
  JOIN api_calls AS a
    ON a.event_date = f.event_date
    AND a.partner_id = f.partner_id
    AND a.environment = f.environment
    AND a.occurred_at = f.last_throttled_at
  WHERE f.last_other_at = f.last_throttled_at
  GROUP BY a.event_date, a.partner_id, a.environment, f.second
)
SELECT
  f.event_date,
  f.partner_id,
  f.environment,
  sum(f.throttled) AS throttled,
  sum(
    CASE
      WHEN f.last_other_at > f.last_throttled_at
        OR i.last_status <> 429
        OR f.next_call_at <= f.last_throttled_at + INTERVAL '1 second'
      THEN f.throttled
      ELSE f.throttled - 1
    END
  ) AS retried_1s
FROM followed AS f
LEFT JOIN ties AS i
  ON i.event_date = f.event_date
  AND i.partner_id = f.partner_id
  AND i.environment = f.environment
  AND i.second = f.second
GROUP BY f.event_date, f.partner_id, f.environment
ORDER BY f.event_date, f.partner_id, f.environment
