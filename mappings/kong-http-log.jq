#---
# description = "Kong's http-log, file-log, tcp-log and kafka-log plugins"
# stream = "api-calls"
#---
# The partner is the consumer: its custom_id, or else its username, or else its id. The product is
# the service. Of the request only the method, path and size are taken: no header, query or address.
# Records of TCP and UDP streams (they have a session) are left out.

# Returns who made the call.
def consumer: first_of(.consumer | .custom_id?, .username?, .id?);

if type == "array" then error("a batch of records; split it first: jq -c '.[]'")
elif type != "object" then error("not a record of Kong's log plugins")
elif (.session | type) == "object" then left_out("a record of a TCP or UDP stream")
elif (.request | type) != "object" or (.response | type) != "object"
then error("not a record of Kong's log plugins")
else
  ((.response.status | whole) // error("no status in the record")) as $status
  | (consumer | known($status)) as $partner
  | {
      event_id: first_of(.request.id, .response.headers["x-kong-request-id"]?, $position),
      occurred_at: (.started_at // error("no started_at in the record")),
      partner_id: $partner,
      credential_id: first_of(.authenticated_entity.id?),
      environment: (first_of(.request.headers.host?,
        (.request.url | text // "" | sub("^[a-z]+://"; "") | split("/")[0])) | environment),
      product: first_of(.service.name?, .route.name?),
      endpoint: (first_of(.request.uri, .request.url) | route),
      method: (.request.method | text),
      status: $status,
      latency_ms: [.latencies.request? | number][0],
      request_bytes: (.request.size | whole),
      response_bytes: (.response.size | whole),
      trace_id: first_of(.trace_id.w3c?, .trace_id.b3?)
    }
  | present
end
