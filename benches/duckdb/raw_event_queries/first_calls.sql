-- The time of each partner from registration to the first successful call.
SELECT r.partner_id, r.registered, f.first_call
FROM (
  SELECT partner_id, min(occurred_at) AS registered
  FROM partner_events
  WHERE type = 'registered'
  GROUP BY partner_id
) AS r
LEFT JOIN (
  SELECT partner_id, min(occurred_at) AS first_call
  FROM api_calls
  WHERE status >= 200 AND status < 400
  GROUP BY partner_id
) AS f ON f.partner_id = r.partner_id
