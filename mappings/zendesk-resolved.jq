#---
# description = "Zendesk tickets: when each was solved (with include=metric_sets)"
# stream = "support-events"
#---
# Tickets that are not solved are left out. A good rating is a csat of 5, a bad one of 1; Zendesk
# knows none between. The partner is as in zendesk-opened.

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
| if .status == null or .status == "solved" or .status == "closed" then .
  else left_out("it is not solved") end
| metrics as $metrics
| ($metrics.solved_at | text) as $solved
| if $solved == null then left_out("it is not solved") else . end
| {
    event_id: "zendesk-\(.id)-resolved",
    occurred_at: $solved,
    partner_id: $partner,
    type: "resolved",
    ticket_id: (.id | text),
    severity: severity,
    csat: {good: 5, bad: 1}[first_of(.satisfaction_rating.score?) // ""]
  }
| present
