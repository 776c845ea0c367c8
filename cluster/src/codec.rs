//! The encoding of [`UnitsExec`]; all other nodes are encoded as Ballista does.

use std::fmt;
use std::sync::Arc;

use ballista_core::serde::BallistaPhysicalExtensionCodec;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::physical_plan::{PhysicalExtensionCodec, PhysicalProtoConverterExtension};

use crate::alive_executors::AliveExecutors;
use crate::message::NO_EXECUTOR;
use crate::units_exec::{UnitHost, UnitsExec};

/// The first bytes of an encoded [`UnitsExec`]. The version of the program that sends it follows.
const MAGIC: &[u8] = b"rapport units ";

/// Encodes and decodes the nodes of a job's plan.
pub(crate) struct UnitsCodec {
    /// The version of the program.
    program: String,
    place: Place,
    ballista: BallistaPhysicalExtensionCodec,
}

/// Where a codec is.
enum Place {
    /// In the program that commits, which decodes nothing.
    Sender,
    Scheduler(AliveExecutors),
    /// In an executor, with what runs its units.
    Executor(Arc<UnitHost>),
}

impl UnitsCodec {
    /// Returns the codec of the program that commits.
    pub(crate) fn of_sender(program: &str) -> Self {
        Self::new(program, Place::Sender)
    }

    /// Returns the codec of the scheduler.
    pub(crate) fn of_scheduler(program: &str, executors: AliveExecutors) -> Self {
        Self::new(program, Place::Scheduler(executors))
    }

    /// Returns the codec of an executor.
    pub(crate) fn of_executor(host: UnitHost) -> Self {
        let program = host.program.clone();
        Self::new(&program, Place::Executor(Arc::new(host)))
    }

    fn new(program: &str, place: Place) -> Self {
        let ballista = BallistaPhysicalExtensionCodec::default();
        Self { program: program.to_owned(), place, ballista }
    }

    /// Refuses what no executor of this scheduler could run.
    fn check_in_scheduler(&self, executors: &AliveExecutors, sender: &[u8]) -> Result<()> {
        if sender != self.program.as_bytes() {
            return Err(DataFusionError::Execution(format!(
                "the scheduler is Rapport {}, and the work comes from Rapport {}; install the same version on every machine",
                self.program,
                String::from_utf8_lossy(sender)
            )));
        }
        // Ballista would keep the work until an executor comes, and forever if none does.
        if executors.any() {
            Ok(())
        } else {
            Err(DataFusionError::Execution(NO_EXECUTOR.to_owned()))
        }
    }
}

impl fmt::Debug for UnitsCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnitsCodec").field("program", &self.program).finish_non_exhaustive()
    }
}

impl PhysicalExtensionCodec for UnitsCodec {
    /// # Errors
    /// In the scheduler, a plan of another version of the program, and any while there is no executor. An
    /// executor takes it and refuses its units one by one, because its reply reaches the sender.
    fn try_decode(
        &self,
        buf: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        ctx: &TaskContext,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(sender) = buf.strip_prefix(MAGIC) else {
            return self.ballista.try_decode(buf, inputs, ctx, converter);
        };
        let host = match &self.place {
            Place::Sender => None,
            Place::Scheduler(executors) => {
                self.check_in_scheduler(executors, sender)?;
                None
            }
            Place::Executor(host) => Some(Arc::clone(host)),
        };
        let [input] = inputs else {
            let text = format!("UnitsExec has one input, not {}", inputs.len());
            return Err(DataFusionError::Internal(text));
        };
        Ok(Arc::new(UnitsExec::new(Arc::clone(input), host)))
    }

    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        buf: &mut Vec<u8>,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<()> {
        if !node.is::<UnitsExec>() {
            return self.ballista.try_encode(node, buf, converter);
        }
        buf.extend(MAGIC);
        buf.extend(self.program.as_bytes());
        Ok(())
    }
}
