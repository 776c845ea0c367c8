#---
# description = "Jira Service Management issues: when each was first answered"
# stream = "support-events"
#---
# The first answer is the end of the first completed cycle of the SLA "Time to first response",
# which a service project has from its start. Issues without an answer are left out. The partner is
# as in jira-opened.

# Returns the fields of an issue, and refuses what is not an issue.
def fields:
  if type == "object" and (.issues | type) == "array"
  then error("a page of issues; split it first: jq -c '.issues[]'")
  elif type != "object" or (.key | text) == null or first_of(.fields.created?) == null
  then error("not a Jira issue")
  else .fields end;

# Returns the partner: partner_id, a field that you may add to the issue, or else the name of the
# first organization. Jira gives its field of organizations a number of its own in every site, so
# it is known by the address of what it holds.
def partner:
  first_of(.partner_id,
    (.fields[] | arrays | .[0] | objects
      | select(._links.self? | text // "" | test("/rest/servicedeskapi/organization/")) | .name))
  // error("no organization in the issue");

# Returns an instant as RFC 3339; Jira writes its offsets without a colon.
def instant:
  if type == "string"
  then sub("(?<hours>[+-][0-9]{2})(?<minutes>[0-9]{2})$"; "\(.hours):\(.minutes)")
  else . end;

# Returns the severity of a priority, with Jira's default names, old and new.
def severity:
  {highest: 1, blocker: 1, high: 2, critical: 2, medium: 3, major: 3, low: 4, lowest: 4, minor: 4,
   trivial: 4}[first_of(.priority.name?) // "" | ascii_downcase];

fields as $fields
| partner as $partner
| [$fields[] | objects | select(.name == "Time to first response")
    | .completedCycles | arrays | .[0] | .stopTime?.epochMillis? | whole | select(. != null)][0] as $at
| if $at == null then left_out("it has no first response") else . end
| {
    event_id: "jira-\(.key)-first_response",
    occurred_at: $at,
    partner_id: $partner,
    type: "first_response",
    ticket_id: .key,
    severity: ($fields | severity)
  }
| present
