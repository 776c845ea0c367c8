-- Calls of endpoints whose path holds a word, by product.
SELECT product, count(*) AS calls
FROM api_calls
WHERE endpoint LIKE '%refund%'
GROUP BY product
