#---
# description = "Envoy access logs in JSON: Istio, Envoy Gateway, Contour or your own json_format"
# stream = "api-calls"
#---
# The partner is `consumer`, a field that you add to the format; no default format has one. A
# response code of 0 means that the client went away before the answer began, which is 499. Records
# of TCP connections are left out. Endpoints are paths, as Envoy knows no templates.

# Returns who made the call.
def consumer: first_of(.consumer, .consumer_id, .partner_id);

if type != "object" or (has("response_code") | not)
then error("not an access log of Envoy in JSON") else . end
| first_of(.method, .[":method"]) as $method
| ((.response_code | whole) // if $method == null then 0
    else error("the response_code is not a number") end) as $code
| if $method == null and $code == 0 then left_out("a TCP connection") else . end
| (if $code == 0 then 499 else $code end) as $status
| first_of(.user_agent, .["user-agent"]) as $agent
| (consumer | known($status; $agent) | no_key) as $partner
| {
    event_id: first_of(.request_id, .["x-request-id"], $position),
    occurred_at: (first_of(.start_time, .["@timestamp"], .timestamp) | instant),
    partner_id: $partner,
    credential_id: first_of(.credential_id),
    environment: (first_of(.authority, .[":authority"], .requested_server_name) | environment),
    product: first_of(.product),
    endpoint: (first_of(.path, .["x-envoy-origin-path"], .[":path"]) | route),
    method: $method,
    status: $status,
    latency_ms: (.duration | number),
    request_bytes: (.bytes_received | whole),
    response_bytes: (.bytes_sent | whole),
    trace_id: (first_of(.trace_id)
      // [.traceparent | text // "" | split("-")[1] | select(. != null)][0])
  }
| present
