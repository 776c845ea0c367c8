-- The endpoints of the last calls of partners, a join with a grouping of the same table.
SELECT a.endpoint, count(*) AS partners
FROM api_calls AS a
JOIN (
  SELECT partner_id, max(occurred_at) AS last_call_at
  FROM api_calls
  GROUP BY partner_id
) AS l ON l.partner_id = a.partner_id AND l.last_call_at = a.occurred_at
GROUP BY a.endpoint
