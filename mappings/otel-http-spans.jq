#---
# description = "OpenTelemetry HTTP server spans, one span with its resource in a record"
# stream = "api-calls"
#---
# An OTLP export holds many spans; docs/sources.md shows the jq that splits it into records of
# {"resource": …, "span": …}. Both generations of the HTTP conventions are understood. The partner
# is the attribute partner.id, tenant.id, enduser.id or user.id of the span, or partner.id or
# tenant.id of the resource; the product is the service. Spans that are not of a server, and server
# spans of other protocols, are left out.

# Returns the attributes of OTLP/JSON as an object of plain values.
def attributes:
  [.attributes? | arrays | .[] | objects | select(.key | type == "string")
    | {key: .key, value: (.value | first_of(.stringValue?, .intValue?, .doubleValue?))}]
  | from_entries;

# Returns who made the call, from the attributes of the span and of its resource.
def consumer($span; $resource):
  first_of($span["partner.id"], $span["tenant.id"], $span["enduser.id"], $span["user.id"],
    $resource["partner.id"], $resource["tenant.id"]);

# Returns the milliseconds between two times in nanoseconds, which are texts of digits.
def milliseconds_to($sent):
  if test("^[0-9]{19}$") and ($sent | test("^[0-9]{19}$"))
  then (($sent[:13] | tonumber) - (.[:13] | tonumber))
    + (($sent[13:] | tonumber) - (.[13:] | tonumber)) / 1000000
    | if . < 0 then null else . end
  else null end;

if type == "object" and has("resourceSpans")
then error("a whole export; split it into spans first, as docs/sources.md shows") else . end
| if type != "object" or (.span | type) != "object"
  then error("not a span with its resource") else . end
| (.resource | attributes) as $resource
| .span
| if .kind == 2 or .kind == "SPAN_KIND_SERVER" then . else left_out("no span of a server") end
| attributes as $span
| first_of($span["http.request.method"], $span["http.method"]) as $method
| if $method == null then left_out("no span of HTTP") else . end
| ([$span["http.response.status_code"], $span["http.status_code"] | whole | select(. != null)][0]
    // error("no status code in the span")) as $status
| (consumer($span; $resource) | known($status) | no_key) as $partner
| (.startTimeUnixNano | text // error("no startTimeUnixNano in the span")) as $start
| (.traceId | text) as $trace
| {
    event_id: (if $trace == null or .spanId == null then $position
      else "\($trace)-\(.spanId)" end),
    occurred_at: ($start | if test("^[0-9]{19}$") then .[:13] | tonumber
      else error("the startTimeUnixNano is not a time in nanoseconds") end),
    partner_id: $partner,
    environment: (first_of($resource["deployment.environment.name"],
        $resource["deployment.environment"]) as $named
      | if $named == "sandbox" then $named
        else (first_of($span["server.address"], $span["http.host"], $span["net.host.name"])
          | environment) end),
    product: first_of($resource["service.name"]),
    endpoint: (first_of($span["http.route"]) // (first_of($span["url.path"], $span["http.target"],
        $span["http.url"]) | route)),
    method: $method,
    status: $status,
    latency_ms: (.endTimeUnixNano | text as $sent
      | if $sent == null then null else ($start | milliseconds_to($sent)) end),
    request_bytes: [$span["http.request.body.size"], $span["http.request_content_length"]
      | whole | select(. != null)][0],
    response_bytes: [$span["http.response.body.size"], $span["http.response_content_length"]
      | whole | select(. != null)][0],
    trace_id: $trace
  }
| present
