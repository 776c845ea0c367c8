#---
# description = "Apigee analytics, exported as JSON or sent by a MessageLogging policy"
# stream = "api-calls"
#---
# The fields are called as the dimensions and metrics of Apigee analytics. The partner is the
# developer, or else the developer's app; "(not set)" is Apigee's word for none. The client_id is
# an app's key: it becomes the credential_id, of which only a keyed hash is stored. The developer's
# e-mail address, the query and the client's address are not taken. Environments whose name holds
# sandbox are the sandbox.

# Returns a dimension that is set.
def set: if . == "(not set)" or . == "na" then null else . end;

# Returns who made the call.
def consumer: first_of((.developer | set), (.developer_app | set));

# Returns an instant, which Apigee may also write as 2025-03-01 09:12:44.120 UTC, or without its UTC.
def apigee_time:
  if . != null and test("^[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9:.]+( UTC)?$")
  then sub(" UTC$"; "") + "Z"
  else instant end;

if type != "object" then error("not a record of Apigee analytics") else . end
| (.response_status_code // error("no response_status_code in the record") | whole
    // error("the response_status_code is not a number")) as $status
| (consumer | known($status)) as $partner
| {
    event_id: first_of(.gateway_flow_id, .message_id, $position),
    occurred_at: (first_of(.client_received_start_timestamp) | apigee_time),
    partner_id: $partner,
    credential_id: first_of(.client_id | set),
    environment: (first_of(.environment) // "" | ascii_downcase
      | if test("sandbox") then "sandbox" else null end),
    product: first_of((.api_product | set), (.apiproxy | set)),
    endpoint: (first_of((.proxy_pathsuffix, .request_path, .request_uri) | set) | route),
    method: first_of(.request_verb | set),
    status: $status,
    latency_ms: ((.total_response_time | number)
      // ((.client_sent_end_timestamp | number) as $sent
        | (.client_received_start_timestamp | number) as $start
        | if $sent == null or $start == null or $sent < $start then null else $sent - $start end)),
    request_bytes: (.request_size | whole),
    response_bytes: (.response_size | whole)
  }
| present
