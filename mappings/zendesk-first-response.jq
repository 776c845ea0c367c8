#---
# description = "Zendesk tickets: when each was first answered (with include=metric_sets)"
# stream = "support-events"
#---
# The first answer came reply_time_in_seconds or reply_time_in_minutes (calendar) after the ticket.
# Tickets without an answer are left out. The partner is as in zendesk-opened.

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

# Returns the metric set of a ticket, which is in the export only if it is asked for.
def metrics:
  (.metric_set // .metrics // error("no metric_set in the ticket; export with include=metric_sets"))
  | if type == "object" then . else error("the metric_set is not an object") end;

ticket
| partner as $partner
| metrics as $metrics
| ((($metrics.reply_time_in_seconds.calendar? | number)
    // ($metrics.reply_time_in_minutes.calendar? | number
      | if . == null then null else . * 60 end)) // null) as $seconds
| if $seconds == null then left_out("it has no first response") else . end
| {
    event_id: "zendesk-\(.id)-first_response",
    occurred_at: ((.created_at | try fromdateiso8601 catch error("the created_at is not a time in UTC"))
      * 1000 + $seconds * 1000 | floor),
    partner_id: $partner,
    type: "first_response",
    ticket_id: (.id | text),
    severity: severity
  }
| present
