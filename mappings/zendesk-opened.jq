#---
# description = "Zendesk tickets: when each was opened"
# stream = "support-events"
#---
# The partner is partner_id, a field that you may add to the tickets, or else the organization;
# tickets of nobody's organization are left out. Texts, people and tags are not taken.

# Returns the partner of a ticket. One of nobody's organization is left out.
def partner:
  first_of(.partner_id) as $named
  | if $named != null then $named
    elif has("organization_id") | not then error("no organization_id in the ticket")
    else .organization_id | text
      | if . == null then left_out("a ticket of no organization") else . end end;

# Refuses what is not a ticket, and leaves out deleted ones.
def ticket:
  if type == "object" and (.tickets | type) == "array"
  then error("a page of tickets; split it first: jq -c '.tickets[]'")
  elif type != "object" or (.id | text) == null or (.created_at | text) == null
  then error("not a Zendesk ticket")
  elif .status == "deleted" then left_out("a deleted ticket")
  else . end;

# Returns the severity of a priority.
def severity: {urgent: 1, high: 2, normal: 3, low: 4}[first_of(.priority) // ""];

ticket
| partner as $partner
| {
    event_id: "zendesk-\(.id)-opened",
    occurred_at: .created_at,
    partner_id: $partner,
    type: "opened",
    ticket_id: (.id | text),
    severity: severity
  }
| present
