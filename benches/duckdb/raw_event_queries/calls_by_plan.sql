-- Calls and partners of each plan that a partner ever had.
WITH plans AS (
  SELECT partner_id, plan FROM partner_events WHERE plan IS NOT NULL GROUP BY partner_id, plan
)
SELECT p.plan, count(*) AS calls, count(DISTINCT a.partner_id) AS partners
FROM api_calls AS a
JOIN plans AS p ON p.partner_id = a.partner_id
GROUP BY p.plan
