#---
# description = "Stripe events: charges, refunds, credits and the payments of invoices"
# stream = "billing-events"
#---
# One payment makes several events; each amount is taken from one of them only:
#   money in     charge.succeeded where it is captured, charge.captured   usage or subscription
#   money back   charge.refunded, what it adds to the refunds before it   refund
#   credit       credit_note.created, what is credited outside of Stripe  credit
#   dunning      invoice.payment_failed, invoice.paid                     payment_failed, _succeeded
# All others are left out, as are events of connected accounts; events of test mode are rejected,
# because they are no revenue. The partner is
# metadata.partner_id, or else the customer. metadata.kind (usage, subscription or commission) and
# metadata.product of a charge are taken; without a kind, a charge of an invoice is a subscription.

# Stripe counts ISK and UGX in hundredths and MGA in whole ariary; ISO 4217 has it the other way.
def minor($currency):
  if $currency == "MGA" then . * 100
  elif $currency == "ISK" or $currency == "UGX"
  then if . % 100 == 0 then . / 100 | floor
    else error("an amount in ISK or UGX with a fraction") end
  else . end;

# Returns the id of an object that may be expanded.
def id_of: if type == "object" then .id | text else text end;

# Returns whose charge, refund, credit note or invoice it is.
def customer: first_of(.metadata.partner_id?, (.customer | id_of));

# Returns the part of a charge that was never captured: Stripe counts it as refunded.
def released:
  if (.amount | whole) == null or (.amount_captured | whole) == null then 0
  else .amount - .amount_captured end;

# Returns how much of an amount goes beyond another.
def beyond($other): if . > $other then . - $other else 0 end;

# Returns the kind and the amount that an event stands for, or nothing.
def entry($type; $before):
  if $type == "charge.succeeded" and .captured == false
  then left_out("a charge that is only authorised")
  elif $type == "charge.succeeded" or $type == "charge.captured" then
    {kind: (first_of(.metadata.kind?) as $kind
        | if $kind == "usage" or $kind == "subscription" or $kind == "commission" then $kind
          elif (.invoice | id_of) == null then "usage" else "subscription" end),
     amount: (.amount_captured // .amount)}
  elif $type == "charge.refunded" and .captured == false
  then left_out("an authorisation that is given up")
  elif $type == "charge.refunded" then
    {kind: "refund",
     amount: (released as $released
       | ((.amount_refunded | whole // error("no amount_refunded in the charge"))
         | beyond($released))
       - ((first_of($before.amount_refunded?) | whole
           // error("no amount_refunded in the previous_attributes"))
         | beyond($released)))}
  elif $type == "credit_note.created" then
    {kind: "credit", amount: (.out_of_band_amount // 0)}
  elif $type == "invoice.payment_failed" then {kind: "payment_failed", amount: .amount_due}
  elif $type == "invoice.paid" then {kind: "payment_succeeded", amount: .amount_due}
  else left_out("an event of a type that money is not taken from") end;

if type != "object" or .object != "event" or ([.data.object?][0] | type) != "object"
then error("not a Stripe event") else . end
| if (.account | text) != null then left_out("an event of a connected account") else . end
| . as $event
| .data.object
| (entry($event.type; $event.data.previous_attributes)
    | .amount |= (whole // error("no amount in the event"))
    | if .amount > 0 then . else left_out("it is about no money, or about money that another event counts") end)
  as $entry
| if $event.livemode == false then error("an event of Stripe's test mode") else . end
| ((first_of(.currency) // error("no currency in the event")) | ascii_upcase) as $currency
| {
    event_id: ($event.id | text),
    occurred_at: (($event.created | whole // error("no created in the event")) * 1000),
    partner_id: (customer // error("no customer in the event")),
    kind: $entry.kind,
    amount_minor: ($entry.amount | minor($currency)),
    currency: $currency,
    product: first_of(.metadata.product?),
    invoice_id: (if .object == "invoice" then (.id | text) else (.invoice | id_of) end)
  }
| present
