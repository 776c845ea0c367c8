//! What clients of the PostgreSQL protocol ask a session: their statements with parameters, and the
//! system catalog that they look around in.
//!
//! - `client_statement`: the statements of a text, those among them that only concern the connection
//! - `parameter`: values of parameters
//! - `pg_type`: the types that clients know
//! - `client_session`: describes and runs the queries of a connection
//! - `names`: names as clients write them, such as `public.growth`
//! - `sql_state`: the codes of errors
//! - `catalog`: `pg_catalog` and `information_schema`

mod catalog;
mod client_session;
mod client_statement;
mod names;
mod parameter;
mod pg_type;
mod sql_state;

pub use client_session::{ClientSession, Description};
pub use client_statement::{ClientQuery, ClientStatement, parse};
pub use parameter::Parameter;
pub use pg_type::{PgType, TypeOfColumn};
pub use sql_state::sql_state;
