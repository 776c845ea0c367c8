//! The watermark: up to which instant the events of a stream are complete.

use lake_types::{MICROS_PER_DAY, Stream};

use crate::error::LakeError;
use crate::lake::Lake;
use crate::log::Transactions;
use crate::tail::Tail;

/// How far an event may come behind the mark of its partition or file without being late: one hour,
/// µs.
pub const ALLOWED_LATENESS: i64 = MICROS_PER_DAY / 24;

/// The watermark of a table, µs: the minimum over its Kafka partitions of `#reached`, less the
/// allowed lateness. Loaded files count only where nothing came from Kafka, and then by the
/// maximum. `None` without any event.
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
    /// The lake's watermark: that of `api_calls`, µs.
    ///
    /// # Errors
    /// When the table's log can't be read.
    pub async fn watermark(&self) -> Result<Option<i64>, LakeError> {
        let calls = self.snapshot(&crate::schema::raw(Stream::ApiCalls).name, None).await?;
        Ok(calls.and_then(|table| watermark_of(&table.txns)))
    }

    /// The newest transaction ids of a table; none when it does not exist.
    ///
    /// # Errors
    /// When the table's log can't be read.
    pub async fn transactions(&self, table: &str) -> Result<Transactions, LakeError> {
        if !self.has_table(table).await? {
            return Ok(Transactions::new());
        }
        let log = self.log_store(table);
        Ok(Tail::load(log.as_ref(), table, None).await?.txns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kafka_partitions_hold_back_and_files_do_not() {
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
