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
-- Sorting the calls of a large day would take more memory than a query has, so nothing here is
-- sorted: a second's calls are all followed by another within it, but for the last one. That one is
-- followed in time if the first call of the next second comes soon enough.
WITH seconds AS (
  SELECT
    event_date,
    partner_id,
    environment,
    date_trunc('second', occurred_at) AS second,
    count(CASE WHEN status = 429 THEN 1 END) AS throttled,
    min(occurred_at) AS first_call_at,
    max(occurred_at) AS last_call_at,
    last_value(status ORDER BY occurred_at, event_id) AS last_status
  FROM api_calls
  GROUP BY event_date, partner_id, environment, date_trunc('second', occurred_at)
),
-- Each second stands beside the one before it, which it follows, and for itself where it counts.
placed AS (
  SELECT
    *,
    unnest(
      CASE
        WHEN throttled > 0 THEN make_array(second, second - INTERVAL '1 second')
        ELSE make_array(second - INTERVAL '1 second')
      END
    ) AS place
  FROM seconds
),
followed AS (
  SELECT
    event_date,
    partner_id,
    environment,
    place,
    max(CASE WHEN second = place THEN throttled END) AS throttled,
    max(CASE WHEN second = place THEN last_status END) AS last_status,
    max(CASE WHEN second = place THEN last_call_at END) AS last_call_at,
    max(CASE WHEN second > place THEN first_call_at END) AS next_call_at
  FROM placed
  GROUP BY event_date, partner_id, environment, place
)
SELECT
  event_date,
  partner_id,
  environment,
  sum(throttled) AS throttled,
  sum(
    CASE
      WHEN last_status <> 429 OR next_call_at <= last_call_at + INTERVAL '1 second' THEN throttled
      ELSE throttled - 1
    END
  ) AS retried_1s
FROM followed
WHERE throttled > 0
GROUP BY event_date, partner_id, environment
ORDER BY event_date, partner_id, environment
