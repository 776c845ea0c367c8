//! Actions on the lake: the log, the kill switch, episodes and the partners as the rooms of actions
//! need them.
//!
//! - `log_rows`: rows of the log as records of the lake and back
//! - `log_table`: the log, read and appended to
//! - `switch`: the kill switch
//! - `episode_table`: the episodes of the rules
//! - `partner_states`: the partners as plans and guards see them
//! - `mapping`: how other systems name partners
//! - `channels`: where actions go
//! - `lake_store`: all of it, as `actions::apply` asks for it
//! - `plan_maker`: plans and rollbacks from the tables of a session
//! - `finite_rows`: rows as conditions see them
//! - `condition_error`: what is wrong with a condition
//! - `snooze_table`: alerts that nobody is told of for some time
//! - `table_rows`: the rows of a small table
//! - `plan_files`: plans as files and in the lake

mod channels;
mod condition_error;
mod episode_table;
mod finite_rows;
mod lake_store;
mod log_rows;
mod log_table;
mod mapping;
mod partner_states;
mod plan_files;
mod plan_maker;
mod snooze_table;
mod switch;
mod table_rows;

pub(crate) use channels::{
    channels, channels_in_force, check_channels, check_settings, check_settings_and_recipients,
    lease_seconds, missing_recipients,
};
pub(crate) use condition_error::condition_error;
pub(crate) use episode_table::read_episodes;
pub(crate) use finite_rows::finite_rows;
pub(crate) use lake_store::LakeStore;
pub(crate) use log_table::LogTable;
pub(crate) use mapping::Mapping;
pub(crate) use partner_states::{Horizon, PartnerTables};
pub(crate) use plan_files::{open_plans, read_plan, store_plan, write_plan};
pub(crate) use plan_maker::{PlanMaker, PlanOptions, matching_partners, partners_sql, policy};
pub(crate) use snooze_table::read_snoozes;
pub(crate) use switch::{Switch, set_switch};
pub(crate) use table_rows::read_rows;
