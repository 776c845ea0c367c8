//! The encoding of [`UnitsExec`]; all other nodes are encoded as Ballista does.

use std::fmt;
use std::sync::Arc;

use ballista_core::serde::BallistaPhysicalExtensionCodec;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::physical_plan::{PhysicalExtensionCodec, PhysicalProtoConverterExtension};

use crate::units_exec::{UnitHost, UnitsExec};

/// The first bytes of an encoded [`UnitsExec`]. The version of the program that sends it follows.
const MAGIC: &[u8] = b"rapport units ";

/// Encodes and decodes the nodes of a job's plan.
pub(crate) struct UnitsCodec {
    /// The version of the program.
    program: String,
    /// What runs the units; `None` in the scheduler and in the program that refreshes.
    host: Option<Arc<UnitHost>>,
    ballista: BallistaPhysicalExtensionCodec,
}

impl UnitsCodec {
    /// Returns the codec of the scheduler and of the program that refreshes.
    pub(crate) fn new(program: &str) -> Self {
        let ballista = BallistaPhysicalExtensionCodec::default();
        Self { program: program.to_owned(), host: None, ballista }
    }

    /// Returns the codec of an executor.
    pub(crate) fn of_executor(host: UnitHost) -> Self {
        let program = host.program.clone();
        Self { host: Some(Arc::new(host)), ..Self::new(&program) }
    }
}

impl fmt::Debug for UnitsCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnitsCodec").field("program", &self.program).finish_non_exhaustive()
    }
}

impl PhysicalExtensionCodec for UnitsCodec {
    /// # Errors
    /// In the scheduler, a plan of another version of the program. An executor takes it and refuses its
    /// units one by one, because its reply reaches the sender.
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
        if self.host.is_none() && sender != self.program.as_bytes() {
            return Err(DataFusionError::Execution(format!(
                "the scheduler is Rapport {}, and the work comes from Rapport {}; install the same version on every machine",
                self.program,
                String::from_utf8_lossy(sender)
            )));
        }
        let [input] = inputs else {
            let text = format!("UnitsExec has one input, not {}", inputs.len());
            return Err(DataFusionError::Internal(text));
        };
        Ok(Arc::new(UnitsExec::new(Arc::clone(input), self.host.clone())))
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
