//! Deliveries of reports by mail and chat: when they are due, and what was sent.
//!
//! - `schedule`: when a delivery is due
//! - `log`: what was sent, skipped, held back or failed, in the lake
//! - `dispatch`: a delivery to a recipient in a period
//! - `step`: what is to be done with it next, from the log
//! - `outcome`: what a run did with it
//! - `channels`: the channels that carry reports

mod channels;
mod dispatch;
mod log;
mod outcome;
mod schedule;
mod step;

pub(crate) use channels::{check_deliveries, report_channels};
pub(crate) use dispatch::{Dispatch, Recipient};
pub(crate) use log::{DeliveryEntry, DeliveryLog, LogRow};
pub(crate) use outcome::{DeliveryOutcome, DeliveryResult};
pub(crate) use schedule::{Schedule, TimeZone};
pub(crate) use step::{DeliveryHistory, DeliveryStep, next_step};
