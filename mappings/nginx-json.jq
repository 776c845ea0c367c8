#---
# description = "nginx access logs in JSON, in the log_format that docs/sources.md shows"
# stream = "api-calls"
#---
# The partner is `consumer` (or partner_id, partner, consumer_id), which nginx knows from its own map, or
# remote_user or user, unless the status is 401, or else whoever has the API key, under a pseudonym,
# unless the status is 401 or 403. Other common names of the fields are understood too. Request times are
# in seconds, and the status 000 is 499: the client went away.

# Returns who made the call.
def consumer:
  first_of(.consumer, .partner_id, .partner, .consumer_id,
    (select(.status | tostring != "401") | .remote_user, .user));

if type != "object" then error("not an nginx log in JSON") else . end
| (first_of(.status, .response_status, .status_code) // error("no status in the record")) as $code
| (if $code == "000" or $code == "0" then 499
   else ($code | whole) // error("the status is not a number") end) as $status
| first_of(.http_user_agent, .user_agent) as $agent
| ([.request | text // "" | capture("^(?<method>[A-Za-z]+) (?<target>[^ ]+)")][0] // {}) as $request
| (first_of(.request_uri, .uri, .path, .url) // $request.target) as $target
| first_of(.credential_id, .api_key, .apikey, ($target | key_of_query),
    ("?" + (first_of(.args, .query_string) // "") | key_of_query)) as $credential
| (first_of(consumer, (select($status | is_refused | not)
      | first_of((first_of(.credential_id, .api_key, .apikey) | pseudonym), ($target | holder_of_query),
        ("?" + (first_of(.args, .query_string) // "") | holder_of_query))))
    | known($status; $agent) | no_key) as $partner
| {
    event_id: first_of(.request_id, .req_id, $position),
    occurred_at: (first_of(.time, .time_iso8601, .["@timestamp"], .timestamp, .time_local, .msec)
      | instant),
    partner_id: $partner,
    credential_id: $credential,
    environment: (first_of(.environment) as $named
      | if $named == "sandbox" or $named == "production" then $named
        else (first_of(.host, .http_host, .server_name) | environment) end),
    product: first_of(.product, .service),
    endpoint: (first_of(.route) // ($target | route)),
    method: (first_of(.request_method, .method) // $request.method),
    api_version: first_of(.api_version),
    status: $status,
    latency_ms: (.request_time | number
      | if . == null then null else (. * 1000000 | round) / 1000 end),
    request_bytes: (.request_length | whole),
    response_bytes: [.bytes_sent, .body_bytes_sent | whole | select(. != null)][0],
    trace_id: first_of(.trace_id)
  }
| present
