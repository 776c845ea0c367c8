//! What each function of ours does, kept beside its code and shown by `rapport metrics functions`.

/// A function that queries may call beyond DataFusion's own.
#[derive(Debug, Clone, Copy)]
pub struct Function {
    /// As it is called, with the types of arguments and result; it begins with the name.
    pub signature: &'static str,
    pub does: &'static str,
    /// What the result is in.
    pub unit: &'static str,
    /// Where the method comes from; empty where it is ours or plain arithmetic.
    pub source: &'static str,
    /// A SELECT of one row and column.
    pub example: &'static str,
    /// What the example gives.
    pub gives: &'static str,
}

impl Function {
    pub fn name(&self) -> &'static str {
        self.signature.split('(').next().unwrap_or_default()
    }
}
