-- The three endpoints that each partner calls most.
WITH counted AS (
  SELECT partner_id, endpoint, count(*) AS calls
  FROM api_calls
  WHERE endpoint IS NOT NULL
  GROUP BY partner_id, endpoint
),
ranked AS (
  SELECT *, row_number() OVER (PARTITION BY partner_id ORDER BY calls DESC, endpoint) AS place
  FROM counted
)
SELECT partner_id, endpoint, calls FROM ranked WHERE place <= 3
