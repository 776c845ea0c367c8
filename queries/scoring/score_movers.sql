/*---
description = "How the tier and the score of each partner changed from the day in evaluation_day to as_of: first those that fell, a lower tier and the greatest share of gross first, then those that rose"
owner = "partner-analytics"
grain = ["partner_id"]
tags = ["internal"]

[columns]
direction = { type = "Utf8", description = "fell or rose by a point or a tier, moved (to a tier as good as before), same, or new since the day" }
partner_id = { type = "Utf8" }
tier_then = { type = "Utf8", description = "without overrides, as tier" }
tier = { type = "Utf8" }
score_then = { type = "Float64", unit = "points" }
score = { type = "Float64", unit = "points" }
change = { type = "Float64", unit = "points", description = "of the score; NULL without a score on both days" }
movement = { type = "Float64", unit = "points", description = "change, and 20 points for each step between tiers: churned, at risk or stuck, watch or without a score, healthy" }
impact_share = { type = "Float64", unit = "share" }
gate = { type = "Utf8", description = "the gate that decides the tier" }
reason = { type = "Utf8", description = "why the partner has its tier; where only the score moved, of the signal that moved it most" }
set_tier = { type = "Utf8", description = "the tier that a person set" }

[[checks]]
unique = ["partner_id"]
---*/
WITH
places AS (
  SELECT *
  FROM (
    VALUES
      ('healthy', 3),
      ('watch', 2),
      ('insufficient_evidence', 2),
      ('onboarding', 2),
      ('at_risk', 1),
      ('stuck', 1),
      ('churned', 0)
  ) AS steps (tier, place)
),
-- How far each signal moved the score: by its change times its weight.
shifts AS (
  SELECT
    n.partner_id,
    n.signal,
    n.reason,
    t.as_of,
    n.weight * (n.score - t.score) AS shift
  FROM latest_signals AS n
  JOIN evaluated_signals AS t ON t.partner_id = n.partner_id AND t.signal = n.signal
  WHERE n.available AND t.available
),
-- A score may move without any signal, by its coverage or its policy.
moved AS (
  SELECT
    partner_id,
    reason,
    shift,
    row_number() OVER (PARTITION BY partner_id ORDER BY shift, signal, as_of) AS from_fall,
    row_number() OVER (PARTITION BY partner_id ORDER BY shift DESC, signal, as_of) AS from_rise
  FROM shifts
),
compared AS (
  SELECT
    n.partner_id,
    t.computed_tier AS tier_then,
    n.computed_tier AS tier,
    t.score AS score_then,
    n.score,
    n.score - t.score AS change,
    coalesce(n.score - t.score, 0) + 20 * (coalesce(p.place, 2) - coalesce(q.place, 2)) AS movement,
    n.impact_share,
    n.gate,
    CASE
      WHEN n.gate IS NOT NULL OR n.computed_tier <> t.computed_tier THEN n.top_reason
      WHEN n.score <= t.score - 1 THEN coalesce(f.reason, n.top_reason)
      WHEN n.score >= t.score + 1 THEN coalesce(r.reason, n.top_reason)
      ELSE n.top_reason
    END AS reason,
    CASE WHEN n.tier <> n.computed_tier THEN n.tier END AS set_tier
  FROM latest_scores AS n
  LEFT JOIN evaluated_scores AS t ON t.partner_id = n.partner_id
  LEFT JOIN moved AS f ON f.partner_id = n.partner_id AND f.from_fall = 1 AND f.shift < 0
  LEFT JOIN moved AS r ON r.partner_id = n.partner_id AND r.from_rise = 1 AND r.shift > 0
  LEFT JOIN places AS p ON p.tier = n.computed_tier
  LEFT JOIN places AS q ON q.tier = t.computed_tier
),
directed AS (
  SELECT
    CASE
      WHEN tier_then IS NULL THEN 'new'
      WHEN movement <= -1 THEN 'fell'
      WHEN movement >= 1 THEN 'rose'
      WHEN tier <> tier_then THEN 'moved'
      ELSE 'same'
    END AS direction,
    *
  FROM compared
)
SELECT
  direction,
  partner_id,
  tier_then,
  tier,
  score_then,
  score,
  change,
  CASE WHEN direction <> 'new' THEN movement END AS movement,
  impact_share,
  gate,
  reason,
  set_tier
FROM directed
ORDER BY
  CASE direction WHEN 'fell' THEN 0 WHEN 'rose' THEN 1 WHEN 'moved' THEN 2 WHEN 'new' THEN 3 ELSE 4 END,
  tier IS NOT DISTINCT FROM tier_then,
  abs(movement) * coalesce(impact_share, 0) DESC,
  abs(movement) DESC,
  partner_id
