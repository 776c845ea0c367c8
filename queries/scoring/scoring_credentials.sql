/*---
description = "Age of the credentials that each partner called with in production in the 28 days before each evaluation day"
owner = "partner-analytics"
grain = ["day", "partner_id"]
tags = ["internal"]

[columns]
day = { type = "Date32", description = "evaluation day" }
partner_id = { type = "Utf8", description = "with a production call in the 28 days that carries a credential" }
calls = { type = "Int64", unit = "calls", description = "with a credential, of any status" }
old_calls = { type = "Int64", unit = "calls", description = "with a credential first seen 365 days before the day or earlier, in any environment, as in the metric credential_hygiene" }
old_credentials = { type = "Int64", unit = "credentials", description = "distinct, of old_calls" }
oldest_days = { type = "Int64", unit = "days", description = "from the date on which the oldest of all was first seen to the day" }
exposure = { type = "Float64", unit = "calls", description = "old_calls × how far the second year of the credential has passed on the day, from 0 to 1" }

[[checks]]
unique = ["day", "partner_id"]
[[checks]]
sql = "SELECT * FROM this WHERE calls < 1 OR old_calls > calls OR exposure > old_calls OR exposure < 0 OR (old_credentials = 0) <> (old_calls = 0)"
---*/
WITH
-- A credential in use on a day was first seen before it, so one date serves all days.
first_seen AS (
  SELECT partner_id, credential_id, min(event_date) AS first_on
  FROM credential_usage_day
  GROUP BY partner_id, credential_id
),
-- Calls that arrived late are not taken out, because late_calls does not tell their credentials.
daily AS (
  SELECT event_date, partner_id, credential_id, sum(calls) AS calls
  FROM credential_usage_day
  WHERE environment = 'production'
    AND event_date >= (SELECT min(day) - 28 FROM evaluation_day)
  GROUP BY event_date, partner_id, credential_id
),
used AS (
  SELECT w.day, d.partner_id, d.credential_id, sum(d.calls) AS calls
  FROM daily AS d
  JOIN evaluation_window AS w ON w.event_date = d.event_date
  WHERE w.age <= 28
  GROUP BY w.day, d.partner_id, d.credential_id
),
aged AS (
  SELECT
    u.day,
    u.partner_id,
    u.calls,
    CAST(CAST(u.day AS INT) - CAST(f.first_on AS INT) AS BIGINT) AS days
  FROM used AS u
  JOIN first_seen AS f ON f.partner_id = u.partner_id AND f.credential_id = u.credential_id
)
-- Days are whole, so that the sum does not depend on the order of rows.
SELECT
  day,
  partner_id,
  sum(calls) AS calls,
  COALESCE(sum(calls) FILTER (WHERE days >= 365), 0) AS old_calls,
  count(*) FILTER (WHERE days >= 365) AS old_credentials,
  max(days) AS oldest_days,
  CAST(sum(calls * greatest(0, least(365, days - 365))) AS DOUBLE) / 365 AS exposure
FROM aged
GROUP BY day, partner_id
ORDER BY day, partner_id
