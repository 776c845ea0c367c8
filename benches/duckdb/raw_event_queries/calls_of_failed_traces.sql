-- The calls of all traces in which a call failed, by the product of the one that failed.
SELECT failed.product, count(*) AS calls
FROM api_calls AS failed
JOIN api_calls AS other ON other.trace_id = failed.trace_id
WHERE failed.status >= 400
GROUP BY failed.product
