/*---
description = "The last date before each evaluation day on which a partner had a success in production that had arrived by then"
owner = "partner-analytics"
grain = ["day", "partner_id"]
tags = ["internal"]
keep = true

[columns]
day = { type = "Date32", description = "evaluation day" }
partner_id = { type = "Utf8", description = "live before day" }
event_date = { type = "Date32", description = "the last one with a success" }

[[checks]]
unique = ["day", "partner_id"]
---*/
WITH
-- Of the dates before the first evaluation day only the last one can be the answer.
latest AS (
  SELECT partner_id, max(event_date) AS event_date
  FROM scoring_traffic_day
  WHERE successes > 0
  GROUP BY
    partner_id,
    CASE WHEN event_date >= (SELECT min(day) FROM evaluation_day) THEN event_date END
),
-- Where calls arrived late, each date is compared with what was missing of it.
late_partners AS (
  SELECT day, partner_id FROM late_calls GROUP BY day, partner_id
),
successes_of_late AS (
  SELECT p.day, u.partner_id, u.event_date, u.successes
  FROM late_partners AS p
  JOIN scoring_traffic_day AS u ON u.partner_id = p.partner_id
  WHERE u.successes > 0 AND u.event_date < p.day
),
dates AS (
  SELECT e.day, l.partner_id, l.event_date
  FROM evaluation_day AS e
  JOIN latest AS l ON l.event_date < e.day
  LEFT ANTI JOIN late_partners AS p ON p.day = e.day AND p.partner_id = l.partner_id
  UNION ALL
  SELECT s.day, s.partner_id, s.event_date
  FROM successes_of_late AS s
  LEFT JOIN late_calls AS l
    ON l.day = s.day AND l.partner_id = s.partner_id AND l.event_date = s.event_date
  WHERE s.successes > coalesce(l.successes, 0)
)
SELECT day, partner_id, max(event_date) AS event_date
FROM dates
GROUP BY day, partner_id
ORDER BY day, partner_id
