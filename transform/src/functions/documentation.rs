//! The documentation of a SQL function, which stands beside its code and which
//! `rapport metrics functions` prints.

/// Describes one SQL function that Rapport adds to those of DataFusion.
#[derive(Debug, Clone, Copy)]
pub struct FunctionDoc {
    /// The name, the arguments with their types, and the type of the result.
    pub signature: &'static str,
    pub description: &'static str,
    /// The unit of the result.
    pub unit: &'static str,
    /// The publication of the method; empty where it is plain arithmetic.
    pub source: &'static str,
    /// A SELECT that gives one row with one column.
    pub example: &'static str,
    /// The value that the example gives.
    pub example_result: &'static str,
}

impl FunctionDoc {
    pub fn name(&self) -> &'static str {
        self.signature.split('(').next().unwrap_or_default()
    }
}
