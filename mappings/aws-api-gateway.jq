#---
# description = "AWS API Gateway access logs in JSON, of REST and HTTP APIs"
# stream = "api-calls"
#---
# The fields are called after their $context variables, as in the formats that the console offers.
# The partner is partnerId (what an authorizer returned), or else principalId, sub, user,
# caller, or apiKeyId, which is the id of a key and not the key. Clients can choose a requestId, so an
# extendedRequestId goes before it. A stage called sandbox is the sandbox.

# Returns the id of the caller's key.
def key_id: first_of(.apiKeyId, .identity.apiKeyId?);

# Returns who made the call.
def consumer:
  first_of(.partnerId, .principalId, .authorizer.principalId?, .sub, .user, .caller, key_id);

if type != "object" then error("not an access log of API Gateway") else . end
| (first_of(.status) // error("no status in the record") | whole
    // error("the status is not a number")) as $status
| (consumer | known($status) | no_key) as $partner
| (first_of(.routeKey) | if . == null or test("^[$]") then null else . end) as $route_key
| {
    event_id: first_of(.extendedRequestId, .requestId, $position),
    occurred_at: (first_of(.requestTimeEpoch, .requestTime, .timestamp) | instant),
    partner_id: $partner,
    credential_id: first_of(key_id, .apiKey, .identity.apiKey?),
    environment: (first_of(.stage) | if . != null and ascii_downcase == "sandbox"
      then "sandbox" else null end),
    product: first_of(.apiName, .apiId),
    endpoint: (first_of(.resourcePath) // ($route_key // "" | split(" ")[1])
      // (first_of(.path) | route)),
    method: (first_of(.httpMethod) // ($route_key // "" | split(" ")[0])),
    status: $status,
    latency_ms: (.responseLatency | number),
    request_bytes: (.requestLength | whole),
    response_bytes: (.responseLength | whole),
    trace_id: first_of(.xrayTraceId)
  }
| present
