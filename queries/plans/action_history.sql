/*---
description = "The log of actions, newest first, for people"
owner = "partner-analytics"
grain = ["sequence", "key", "entry"]
tags = ["internal"]

[columns]
at = { type = "Timestamp" }
entry = { type = "Utf8", description = "approved, rejected, attempted, acknowledged, failed, refused, ambiguous, stopped, lapsed, extended, verified or differs" }
partner_id = { type = "Utf8" }
action = { type = "Utf8" }
from_value = { type = "Utf8", description = "as JSON" }
to_value = { type = "Utf8", description = "as JSON: what is in force, where the receiver set another value" }
expires_at = { type = "Timestamp" }
answer = { type = "Utf8" }
by = { type = "Utf8" }
channel = { type = "Utf8" }
plan_id = { type = "Utf8" }
rule_id = { type = "Utf8" }
origin = { type = "Utf8" }
attempt = { type = "Int64" }
key = { type = "Utf8" }
sequence = { type = "Int64", description = "the number of the append" }

[[checks]]
unique = ["sequence", "key", "entry"]
---*/
SELECT
  "at",
  entry,
  partner_id,
  action,
  "from" AS from_value,
  coalesce(in_force, "to") AS to_value,
  expires_at,
  answer,
  "by",
  channel,
  plan_id,
  rule_id,
  origin,
  attempt,
  key,
  sequence
FROM action_log
ORDER BY sequence DESC, partner_id, key, entry
