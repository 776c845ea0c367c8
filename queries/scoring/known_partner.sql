/*---
description = "The ids that people may write about: every partner seen before as_of, and with a survivor those merged away"
owner = "partner-analytics"
grain = ["partner_id"]
tags = ["internal"]

[columns]
partner_id = { type = "Utf8" }
survivor = { type = "Utf8", description = "who stands for a partner that was merged away" }

[[checks]]
unique = ["partner_id"]
---*/
SELECT partner_id, CAST(NULL AS VARCHAR) AS survivor
FROM partners
UNION ALL
SELECT partner_id, survivor
FROM merge_map
ORDER BY partner_id
