-- Sessions of each partner: production calls with less than half an hour between them.
WITH gaps AS (
  SELECT
    partner_id,
    occurred_at,
    lag(occurred_at) OVER (PARTITION BY partner_id ORDER BY occurred_at) AS before
  FROM api_calls
  WHERE environment = 'production'
)
SELECT
  partner_id,
  count(*) FILTER (WHERE before IS NULL OR occurred_at - before > INTERVAL '30 minutes') AS sessions
FROM gaps
GROUP BY partner_id
