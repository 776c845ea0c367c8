//! The command line of actions: `rapport actions`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Format;

#[derive(Debug, Subcommand)]
pub(crate) enum ActionsCommand {
    /// Propose support queues, quotas, notices and production access from policy.toml
    #[command(
        after_help = "Nothing is sent. The plan is a file for a person to read and for `apply` to check: what changes for\nwhom, why, what guardrails stopped, and which partners of equal standing get different treatment.\nAll plans of one --as-of are one evaluation of the rules: what they no longer find ends after seven.\n\nExamples:\n  rapport actions plan --out plan.json\n  rapport actions plan --out plan.json --refresh\n  rapport actions plan --out plan.json --override p-000039:cooldown --reason \"Launch on Friday\""
    )]
    Plan(PlanArgs),
    /// Agree to changes of a plan that need a person
    #[command(
        after_help = "Examples:\n  rapport actions approve plan.json --partner p-000039\n  rapport actions approve plan.json --rule throttled --by Ada\n  rapport actions approve plan.json --all"
    )]
    Approve(DecideArgs),
    /// Refuse changes of a plan; they are not sent
    #[command(
        after_help = "A change that was refused can be approved later, as long as the plan can be applied.\n\nExample:\n  rapport actions reject plan.json --partner p-000039 --reason \"They move to another plan\""
    )]
    Reject(DecideArgs),
    /// Send the changes of a plan: those that need nobody, and those that were approved
    #[command(
        after_help = "A plan that was edited, whose policy was replaced or whose partners have changed since is refused.\nChanges are sent in waves: one, then a twentieth, then the rest, with the policy's bake_minutes\nbetween them; after two failures nothing more is sent. Every attempt is a row of the log. Run it\nagain after an interruption: it goes on, and sends nothing twice that was acknowledged.\n\nExamples:\n  rapport actions apply plan.json\n  rapport actions apply 2026-09-15-4f1c09ab --bake-minutes 0"
    )]
    Apply(ApplyArgs),
    /// Try again what could not be delivered, of all plans that were applied
    #[command(
        after_help = "Meant for a scheduler. What waits and needs nobody is sent too. A change that failed is tried again after\na minute, then after two, four … minutes up to six hours, or later where its receiver said so. A quota\nchange lapses after a day.\n\nExample:\n  rapport actions deliver"
    )]
    Deliver(DeliverArgs),
    /// Ask the receivers whether the quotas that a plan set are in force
    #[command(after_help = "Example:\n  rapport actions verify plan.json")]
    Verify(PlanReferenceArgs),
    /// Propose a plan that takes another one back
    #[command(
        after_help = "Nothing is sent: apply the plan that it writes. A quota is not lowered below what the partner uses, and\na change that another plan was built on stays.\n\nExamples:\n  rapport actions rollback plan.json --out back.json\n  rapport actions approve back.json --all && rapport actions apply back.json"
    )]
    Rollback(RollbackArgs),
    /// Say what became of a change of which nobody knows whether it arrived
    #[command(
        after_help = "A change is named by the beginning of its key, as `apply` and `log` print it.\n\nExamples:\n  rapport actions settle 5d41402abc4b --delivered --reason \"Saw it in the channel\"\n  rapport actions settle 5d41402abc4b --not-delivered --reason \"The receiver was down\""
    )]
    Settle(SettleArgs),
    /// List what was approved, sent and answered, newest first
    #[command(
        after_help = "Examples:\n  rapport actions log\n  rapport actions log --partner p-000039 --format csv\n  rapport actions log --plan 2026-09-15-4f1c09ab"
    )]
    Log(LogArgs),
    /// Stop all deliveries at once, those of plans that are being applied too
    #[command(
        after_help = "It is read before every single delivery. Ends of grants are stopped too.\n\nExample:\n  rapport actions stop --reason \"The gateway answers nonsense\""
    )]
    Stop(SwitchArgs),
    /// Let deliveries go on
    #[command(after_help = "Example:\n  rapport actions go --reason \"The gateway is back\"")]
    Go(SwitchArgs),
    /// What a policy would have done in a stretch of days, and what came of its partners
    #[command(
        after_help = "Replays each day with the scores that were stored of it. Nothing is written or sent.\n\nExamples:\n  rapport actions simulate --days 90\n  rapport actions simulate --from 2026-06-01 --to 2026-09-01 --policy bolder.toml"
    )]
    Simulate(SimulateArgs),
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// Where the plan goes
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Up to this UTC midnight [default: the last one the data is complete to]
    #[arg(long, value_name = "T")]
    pub(crate) as_of: Option<String>,
    /// Ask the gateway for the quotas in force, and show where they differ from our books
    #[arg(long)]
    pub(crate) refresh: bool,
    /// Pass over a guardrail for one partner; the change then needs approval, and the log keeps who
    /// and why
    #[arg(long = "override", value_name = "PARTNER:GUARDRAIL")]
    pub(crate) overrides: Vec<String>,
    /// Why guardrails are passed over
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Who passes over them [default: the user of the environment]
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DecideArgs {
    /// The plan's file, or its id
    pub(crate) plan: String,
    /// Only changes of this partner; may be given several times
    #[arg(long, value_name = "ID")]
    pub(crate) partner: Vec<String>,
    /// Only changes that this rule asks for, by its id; may be given several times
    #[arg(long, value_name = "ID")]
    pub(crate) rule: Vec<String>,
    /// Every change of the plan
    #[arg(long)]
    pub(crate) all: bool,
    /// Why, for the log
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Who decides [default: the user of the environment]
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    /// The plan's file, or its id
    pub(crate) plan: String,
    /// Minutes between two waves [default: bake_minutes of the policy]
    #[arg(long, value_name = "N")]
    pub(crate) bake_minutes: Option<u64>,
    /// Who applies it [default: the user of the environment]
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DeliverArgs {
    /// Who is named in the log [default: the user of the environment]
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct PlanReferenceArgs {
    /// The plan's file, or its id
    pub(crate) plan: String,
    /// Who is named in the log [default: the user of the environment]
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct RollbackArgs {
    /// The plan to take back: its file, or its id
    pub(crate) plan: String,
    /// Where the plan that takes it back goes
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Do not ask the gateway for the quotas in force
    #[arg(long)]
    pub(crate) offline: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SettleArgs {
    /// The beginning of the change's key
    pub(crate) key: String,
    /// It arrived
    #[arg(long, required_unless_present = "not_delivered", conflicts_with = "not_delivered")]
    pub(crate) delivered: bool,
    /// It did not arrive: the next apply sends it
    #[arg(long)]
    pub(crate) not_delivered: bool,
    /// How you know
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Who says so [default: the user of the environment]
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// Only rows about this partner
    #[arg(long, value_name = "ID")]
    pub(crate) partner: Option<String>,
    /// Only rows of this plan
    #[arg(long, value_name = "ID")]
    pub(crate) plan: Option<String>,
    /// How many rows at most; 0 is all
    #[arg(long, value_name = "N", default_value = "50", value_parser = super::parse_limit)]
    pub(crate) limit: usize,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct SwitchArgs {
    /// Why, for the log
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Who [default: the user of the environment]
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct SimulateArgs {
    /// The first evaluated day
    #[arg(long, value_name = "DAY")]
    pub(crate) from: Option<domain::Day>,
    /// The last evaluated day [default: the last one the data is complete to]
    #[arg(long, value_name = "DAY")]
    pub(crate) to: Option<domain::Day>,
    /// So many days up to the last one, where --from is not given
    #[arg(long, value_name = "N", default_value_t = 90, conflicts_with = "from",
        value_parser = clap::value_parser!(u32).range(1..=730))]
    pub(crate) days: u32,
    /// The policy to try [default: the one in force]
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
}
