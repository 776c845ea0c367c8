/*---
description = "The nine steps from registration to the first charge: how many partners have taken each, how long it took, and how many stand right before it and for how long"
owner = "partner-analytics"
grain = ["cohort_month", "step"]
tags = ["activation", "funnel"]

[columns]
cohort_month = { type = "Date32", description = "Month of registration; NULL is all partners" }
step = { type = "Int64", description = "1 to 9" }
name = { type = "Utf8", description = "sandbox_success and production_success are first successes there, charge the first billing event above 0, the others first events of that type" }
reached = { type = "Int64", unit = "partners", description = "With this step, whatever they have of the others" }
median_seconds = { type = "Float64", unit = "seconds", description = "From registration, by Kaplan–Meier; NULL while fewer than half have got there" }
step_median_seconds = { type = "Float64", unit = "seconds", description = "From the step before, by Kaplan–Meier over partners that have that one; NULL for step 1" }
waiting = { type = "Int64", unit = "partners", description = "Whose furthest step is the one before; 0 for step 1" }
median_waiting_days = { type = "Int64", unit = "days", description = "Whole days of 24 h that those have waited up to as_of, nearest rank" }

[[checks]]
unique = ["cohort_month", "step"]
[[checks]]
not_null = ["step", "name", "reached", "waiting"]
[[checks]]
sql = "SELECT * FROM this WHERE step NOT BETWEEN 1 AND 9 OR waiting < 0 OR (waiting > 0) <> (median_waiting_days IS NOT NULL) OR median_waiting_days < 0"
[[checks]]
sql = "SELECT cohort_month FROM this GROUP BY cohort_month HAVING count(*) <> 9 OR sum(waiting) > max(CASE WHEN step = 1 THEN reached END)"
---*/
WITH steps AS (
    SELECT unnest(generate_series(1, 9)) AS step
),
-- One row for every registered partner and step; reached_at is NULL where it has not got there.
taken AS (
    SELECT
        p.partner_id,
        month_start(p.registered) AS cohort_month,
        p.registered,
        s.step,
        CASE s.step
            WHEN 1 THEN p.registered
            WHEN 2 THEN f.terms_signed
            WHEN 3 THEN f.sandbox_key_issued
            WHEN 4 THEN p.first_sandbox_success
            WHEN 5 THEN f.production_requested
            WHEN 6 THEN f.production_approved
            WHEN 7 THEN p.live
            WHEN 8 THEN f.payment_method_added
            WHEN 9 THEN c.charged_at
        END AS reached_at
    FROM partners AS p
    LEFT JOIN first_steps AS f ON f.partner_id = p.partner_id
    LEFT JOIN first_charge AS c ON c.partner_id = p.partner_id
    CROSS JOIN steps AS s
    WHERE p.registered IS NOT NULL
),
ordered AS (
    SELECT
        *,
        lag(reached_at) OVER (PARTITION BY partner_id ORDER BY step) AS before_at,
        max(CASE WHEN reached_at IS NOT NULL THEN step END) OVER (PARTITION BY partner_id) AS furthest
    FROM taken
),
-- A step that came before registration, or before the step before it, waited for nothing.
waits AS (
    SELECT
        cohort_month,
        step,
        reached_at IS NOT NULL AS reached,
        greatest(CAST(COALESCE(reached_at, $as_of) AS BIGINT) - CAST(registered AS BIGINT), 0) AS waited_us,
        CASE
            WHEN before_at IS NOT NULL
            THEN greatest(CAST(COALESCE(reached_at, $as_of) AS BIGINT) - CAST(before_at AS BIGINT), 0)
        END AS step_waited_us,
        CASE
            WHEN furthest = step - 1
            THEN (CAST($as_of AS BIGINT) - CAST(before_at AS BIGINT)) / 86400000000
        END AS waiting_days
    FROM ordered
),
cohorts AS (
    SELECT DISTINCT cohort_month FROM waits
    UNION ALL
    SELECT CAST(NULL AS DATE)
),
curves AS (
    SELECT
        c.cohort_month,
        s.step,
        count(*) FILTER (WHERE w.reached) AS reached,
        kaplan_meier(w.waited_us, w.reached) AS curve,
        kaplan_meier(w.step_waited_us, w.reached) AS step_curve,
        count(w.waiting_days) AS waiting,
        -- Without censoring, the least t with S(t) ≤ 1/2 is the nearest-rank median.
        kaplan_meier(w.waiting_days, TRUE) AS waiting_curve
    FROM cohorts AS c
    CROSS JOIN steps AS s
    LEFT JOIN waits AS w
        ON w.step = s.step AND (c.cohort_month IS NULL OR w.cohort_month = c.cohort_month)
    GROUP BY c.cohort_month, s.step
)
SELECT
    cohort_month,
    step,
    CASE step
        WHEN 1 THEN 'registered'
        WHEN 2 THEN 'terms_signed'
        WHEN 3 THEN 'sandbox_key_issued'
        WHEN 4 THEN 'sandbox_success'
        WHEN 5 THEN 'production_requested'
        WHEN 6 THEN 'production_approved'
        WHEN 7 THEN 'production_success'
        WHEN 8 THEN 'payment_method_added'
        WHEN 9 THEN 'charge'
    END AS name,
    reached,
    survival_quantile(curve, 0.5) / 1e6 AS median_seconds,
    survival_quantile(step_curve, 0.5) / 1e6 AS step_median_seconds,
    waiting,
    survival_quantile(waiting_curve, 0.5) AS median_waiting_days
FROM curves
ORDER BY cohort_month NULLS LAST, step
