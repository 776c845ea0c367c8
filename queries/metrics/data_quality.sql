/*---
description = "What is wrong with the data, a row a check: how much, and one example to begin with"
owner = "partner-analytics"
grain = ["check"]
tags = ["quality"]

[columns]
check = { type = "Utf8", description = "bad_merges: merged events that are void. calls_before_registration: partners with a call, of any status in any environment, before they registered. dead_letters: all there are, whatever as_of, for they have no instant of their own. duplicate_copies: copies beyond the first that ever arrived. late_events: flagged late. unbilled_usage: a partner and a complete month with a production success and without gross, which a missing exchange rate does not hide. unregistered_partners: partners with calls in any environment that never registered" }
failing = { type = "Int64", description = "Events, partners, records, copies, partners and months; 0 where all is well" }
sample = { type = "Utf8", description = "The least example by bytes, NULL where nothing fails: the partner; of dead letters topic/partition/offset; of copies and late events the stream and the day; of unbilled usage the partner and the month" }

[[checks]]
unique = ["check"]
[[checks]]
not_null = ["check", "failing"]
[[checks]]
sql = "SELECT * FROM this WHERE failing < 0 OR (failing > 0) <> (sample IS NOT NULL)"
---*/
WITH early AS (
    SELECT DISTINCT p.partner_id
    FROM partners AS p
    JOIN usage_day AS u ON u.partner_id = p.partner_id
    WHERE u.first_call_at < p.registered
),
active AS (
    SELECT DISTINCT partner_id, month_start(event_date) AS month
    FROM usage_day
    WHERE environment = 'production' AND successes > 0
),
charged AS (
    SELECT DISTINCT partner_id, month_start(event_date) AS month
    FROM charge_day
),
found AS (
    SELECT 'bad_merges' AS "check", count(*) AS failing, min(partner_id) AS sample
    FROM void_merges
    UNION ALL
    SELECT 'calls_before_registration', count(*), min(partner_id)
    FROM early
    UNION ALL
    SELECT
        'dead_letters',
        count(*),
        min(topic || '/' || CAST(kafka_partition AS VARCHAR) || '/' || CAST(kafka_offset AS VARCHAR))
    FROM dead_letters
    UNION ALL
    SELECT
        'duplicate_copies',
        COALESCE(sum(copies), 0),
        min(stream || ' ' || CAST(event_date AS VARCHAR))
    FROM arrival_day
    WHERE copies > 0
    UNION ALL
    SELECT
        'late_events',
        COALESCE(sum(late), 0),
        min(stream || ' ' || CAST(event_date AS VARCHAR))
    FROM arrival_day
    WHERE late > 0
    UNION ALL
    SELECT 'unbilled_usage', count(*), min(a.partner_id || ' ' || CAST(a.month AS VARCHAR))
    FROM active AS a
    LEFT JOIN charged AS c ON c.partner_id = a.partner_id AND c.month = a.month
    WHERE c.partner_id IS NULL AND next_month(a.month) <= CAST($as_of AS DATE)
    UNION ALL
    SELECT 'unregistered_partners', count(*), min(partner_id)
    FROM partners
    WHERE registered IS NULL AND last_call_at IS NOT NULL
)
SELECT "check", failing, sample
FROM found
ORDER BY "check"
