#---
# description = "nginx access logs in the combined format"
# stream = "api-calls"
# input = "text"
#---
# The partner is the user that the server authenticated ($remote_user), or else whoever has the API key in
# the query, under a pseudonym. The name in a line with 401 is not authenticated, and a key with 401 or
# 403 may be made up, so such calls are nobody's. The key becomes the credential_id, of which only a
# keyed hash is stored; the rest of the query, the referrer, the address and the browser are not taken.
# A line has no id: its position is the event_id. A connection without a request is left out, and the
# status 000 or - (the client went away before there was one) is 499.

# Returns who made the call. The input has the parts of the line: user, target (path and query),
# method, status, time, bytes and agent.
def consumer:
  first_of((select(.status != 401) | .user),
    (select(.status | is_refused | not) | .target | holder_of_query));

combined_line
| . as $line
| (consumer | known($line.status; $line.agent) | no_key) as $partner
| {
    event_id: $position,
    occurred_at: (.time | log_time),
    partner_id: $partner,
    credential_id: (.target | key_of_query),
    endpoint: (.target | route),
    method,
    status,
    response_bytes: .bytes
  }
| present
