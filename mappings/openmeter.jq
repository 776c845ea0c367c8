#---
# description = "OpenMeter usage events (CloudEvents), sent or listed by its API"
# stream = "api-calls"
#---
# A usage event is one thing that a customer used; it has no price, so it is a call and not a charge.
# The partner is the subject, the product is the type, the endpoint is the route in the data. An
# event is metered when the request was served: without a status in its data, it is 200.

# Returns the event's id, which is one among the events of its source.
def event_id:
  (first_of(.id) // error("no id in the event")) as $id
  | first_of(.source) as $source
  | if $source == null then $id else "\($source)/\($id)" end
  | if length > 128 then $position else . end;

# Returns who used it.
def consumer: first_of(.subject);

(if type == "object" and (.event | type) == "object"
  then .event + {time: (.event.time // .ingestedAt)} else . end)
| if type != "object" or (has("specversion") | not)
  then error("not a CloudEvent") else . end
| (.data | if type == "object" then . else {} end) as $data
| ([$data.status, $data.status_code, $data.http_status, $data.response_code
    | whole | select(. != null)][0] // 200) as $status
| {
    event_id: event_id,
    occurred_at: first_of(.time, $arrival),
    partner_id: (consumer // error("no subject in the event")),
    product: first_of(.type),
    endpoint: (first_of($data.route) // (first_of($data.path, $data.url) | route)),
    method: first_of($data.method),
    status: $status,
    latency_ms: ((first_of($data.duration_ms, $data.latency_ms) | number)
      // (first_of($data.duration_seconds) | number
        | if . == null then null else (. * 1000000 | round) / 1000 end))
  }
| present
