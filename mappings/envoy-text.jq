#---
# description = "Envoy access logs in the default text format of Envoy or Istio, with the consumer added"
# stream = "api-calls"
# input = "text"
#---
# The default format has no consumer: add one more quoted field to its end, and it is the partner.
# A response code of 0 means that the client went away before the answer began, which is 499.
# Records of TCP connections are left out. Endpoints are paths, as Envoy knows no templates.

if type != "string" then error("not a line of text") else . end
| (capture("^\\[(?<time>[^\\]]+)\\] \"(?<method>[^ \"]+) (?<path>[^ \"]+) [^\"]*\" (?<code>[0-9]+) [^ ]+ (?<rest>.*)$")
  // error("not a line of Envoy's default format"))
| if .method == "-" and .code == "0" then left_out("a TCP connection") else . end
| (if .code == "0" then 499 else (.code | tonumber) end) as $status
| (.rest | capture("(?<received>[0-9]+) (?<sent>[0-9]+) (?<duration>[0-9]+|-) [^ ]+ \"[^\"]*\" \"(?<agent>[^\"]*)\" \"(?<request_id>[^\"]*)\" \"(?<authority>[^\"]*)\" \"[^\"]*\"(?<last>.*)$")
  // error("not a line of Envoy's default format")) as $rest
| ([$rest.last | capture(" \"(?<consumer>[^\"]*)\"$") | .consumer][0]
    | text | known($status; $rest.agent) | no_key) as $partner
| {
    event_id: ($rest.request_id | text // $position),
    occurred_at: .time,
    partner_id: $partner,
    environment: ($rest.authority | text | environment),
    endpoint: (.path | text | route),
    method: (.method | text),
    status: $status,
    latency_ms: ($rest.duration | if . == "-" then null else tonumber end),
    request_bytes: ($rest.received | tonumber),
    response_bytes: ($rest.sent | tonumber)
  }
| present
