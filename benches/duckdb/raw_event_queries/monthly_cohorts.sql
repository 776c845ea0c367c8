-- How many partners of each go-live month are active in the months after it.
WITH usage AS (
  SELECT DISTINCT partner_id, month_start(event_date) AS month
  FROM api_calls
  WHERE environment = 'production' AND status >= 200 AND status < 400
),
cohort AS (
  SELECT partner_id, min(month) AS cohort_month
  FROM usage
  GROUP BY partner_id
)
SELECT c.cohort_month, months_apart(c.cohort_month, u.month) AS months_since, count(*) AS active
FROM usage AS u
JOIN cohort AS c ON c.partner_id = u.partner_id
GROUP BY c.cohort_month, months_apart(c.cohort_month, u.month)
