-- The rollup without Rapport's aggregate: counts by bucket, then a list of them.
SELECT event_date, partner_id, environment, product, list({bucket: bucket, count: calls} ORDER BY bucket) AS buckets
FROM (
  SELECT event_date, partner_id, environment, product, bucket_of(latency_us) AS bucket, count(*) AS calls
  FROM api_calls
  WHERE latency_us IS NOT NULL
  GROUP BY event_date, partner_id, environment, product, bucket_of(latency_us)
) AS counted
GROUP BY event_date, partner_id, environment, product
ORDER BY event_date, partner_id, environment, product
