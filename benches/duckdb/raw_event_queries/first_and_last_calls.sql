-- The first and the last call of each partner.
SELECT partner_id, min(occurred_at) AS first_call_at, max(occurred_at) AS last_call_at
FROM api_calls
GROUP BY partner_id
