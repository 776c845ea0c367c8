//! The watermark: the instant up to which the events of a stream are complete.

use domain::{MICROS_PER_DAY, Stream};

use crate::error::LakeError;
use crate::lake::Lake;
use crate::log::follower::LogFollower;
use crate::log::transactions::Transactions;

/// How far an event may be behind the newest one of its partition or file without being late: one
/// hour, in µs.
pub const ALLOWED_LATENESS: i64 = MICROS_PER_DAY / 24;

/// Returns the watermark of a table, in µs: the minimum of `#reached` over its Kafka partitions,
/// less the allowed lateness. Loaded files count only in a table without Kafka partitions, by their
/// maximum. Returns `None` when the table has no events.
pub fn watermark_of(txns: &Transactions) -> Option<i64> {
    let reached = |file: bool| {
        txns.iter()
            .filter(|(id, _)| id.ends_with("#reached"))
            .filter(move |(id, _)| id.starts_with("file/") == file)
            .map(|(_, micros)| *micros)
    };
    let newest = reached(false).min().or_else(|| reached(true).max())?;
    Some(newest - ALLOWED_LATENESS)
}

impl Lake {
    /// Returns the lake's watermark, which is that of `api_calls`, in µs.
    ///
    /// # Errors
    /// When the table's log can't be read.
    pub async fn watermark(&self) -> Result<Option<i64>, LakeError> {
        let calls = self.snapshot(&crate::schema::raw(Stream::ApiCalls).name, None).await?;
        Ok(calls.and_then(|table| watermark_of(&table.txns)))
    }

    /// Returns the newest transaction ids of a table; none when the table does not exist.
    ///
    /// # Errors
    /// When the table's log can't be read.
    pub async fn transactions(&self, table: &str) -> Result<Transactions, LakeError> {
        if !self.has_table(table).await? {
            return Ok(Transactions::new());
        }
        let log = self.log_store(table);
        Ok(LogFollower::load(log.as_ref(), table, None).await?.txns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kafka_partitions_hold_the_watermark_back_and_files_do_not() {
        #[track_caller]
        fn check(txns: &[(&str, i64)], expected: Option<i64>) {
            let txns = txns.iter().map(|(id, v)| ((*id).to_owned(), *v)).collect();
            assert_eq!(watermark_of(&txns), expected.map(|e| e - ALLOWED_LATENESS));
        }
        check(&[], None);
        check(&[("c/api-calls/t/0", 9)], None);
        check(&[("c/t/i/0#reached", 5), ("c/t/i/1#reached", 3), ("c/t/i/0#newest", 1)], Some(3));
        check(&[("file/api-calls/ab#reached", 5), ("file/api-calls/cd#reached", 9)], Some(9));
        check(&[("c/t/i/0#reached", 5), ("file/api-calls/cd#reached", 9)], Some(5));
    }
}
