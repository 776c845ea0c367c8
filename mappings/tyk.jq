#---
# description = "Tyk Pump analytics in JSON: the stdout, Kafka and Elasticsearch pumps"
# stream = "api-calls"
#---
# The partner is the alias of the key, or the OAuth client, or else whoever has the key, under a
# pseudonym, unless the status is 401 or 403: such a key may be made up. The key becomes the
# credential_id, of which only a keyed hash is stored; Tyk writes 00000000 where there is no key. The raw
# request and response, the address and the browser are not taken.

# Returns who made the call.
def consumer: first_of(.alias, .oauth_id);

(if type == "object" and (.["tyk-analytics-record"] | type) == "object"
  then .["tyk-analytics-record"] else . end)
| if type != "object" or (has("response_code") | not)
  then error("not a record of Tyk Pump") else . end
| ((.response_code | whole) // error("the response_code is not a number")) as $status
| (first_of(.api_key) | if . == "00000000" then null else . end) as $credential
| (first_of(consumer, (select($status | is_refused | not) | $credential | pseudonym)) | known($status)) as $partner
| {
    event_id: first_of(._id?, $position),
    occurred_at: (first_of(.timestamp, .["@timestamp"]) | instant),
    partner_id: $partner,
    credential_id: $credential,
    environment: (first_of(.host) | environment),
    product: first_of(.api_name, .api_id),
    endpoint: (first_of(.path, .request_uri, .raw_path) | route),
    method: first_of(.method, .http_method),
    api_version: (first_of(.api_version)
      | if . == null or ascii_downcase == "non versioned" then null else . end),
    status: $status,
    latency_ms: ([.request_time_ms, .request_time, .latency.total? | number | select(. != null)][0]),
    request_bytes: (.content_length | whole)
  }
| present
