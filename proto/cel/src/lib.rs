//! Is this true of that object? The Common Expression Language (CEL, github.com/google/cel-spec) over JSON.
//!
//! ```text
//! text --lexer, parser--> Program --evaluate(object)--> true, false or an error
//! ```
//!
//! The part of CEL that conditions on Kubernetes objects use, as the API server's validation rules have it:
//! all operators, `has`, `all`, `exists`, `exists_one`, `filter` and `map`, optional fields (`a.?b`), `size`,
//! the functions on strings, and conversions. Bytes, durations, timestamps and messages of Protocol Buffers
//! are not; what is not known is an error when the expression is read, never when it runs.
//!
//! # Why not a crate
//! Expressions come from Git, and one must not be able to stop the agent of a cluster. The crates there are
//! bound neither the steps nor the memory of an evaluation (`[a + a].map(x, x + x)` doubles with every
//! repetition), and their errors show the values at hand, which may be a Secret's. Here every step is counted,
//! depth is bounded when reading, and errors name fields and types only. What expressions give is compared
//! with what cel-go, which the API server uses, gives for them.
//!
//! Pure: no I/O, no clock.

#![forbid(unsafe_code)]

mod ast;
mod compare;
mod evaluate;
mod functions;
mod lexer;
mod macros;
mod operators;
mod parser;
mod value;

use serde_json::Value as Json;

/// Most steps of one evaluation: nodes evaluated, elements and bytes gone through. Under 10 ms.
const STEPS_MAX: u64 = 200_000;

/// An expression that has been read.
#[derive(Clone, Debug)]
pub struct Program {
    root: ast::Node,
}

/// An expression that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} (at character {})", .at + 1)]
pub struct ParseError {
    /// What is wrong with it, and what was expected.
    pub message: String,
    /// How many characters stand before the place.
    pub at: usize,
}

/// An expression that gives neither true nor false for an object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EvalError {
    /// What is wrong. Names fields and types, never values.
    pub message: String,
    /// Whether that is a field or key that is not there, which often only means "not yet".
    pub missing: bool,
    /// Whether the bound on steps was reached.
    pub exhausted: bool,
}

impl Program {
    /// Reads an expression whose only variable is `self`.
    ///
    /// # Errors
    /// When it is not CEL, names a variable or function that does not exist, or is nested too deep.
    pub fn compile(text: &str) -> Result<Program, ParseError> {
        parser::parse(text).map(|root| Program { root })
    }

    /// Whether the expression is true of an object. Bounded in steps and memory, whatever the expression.
    ///
    /// # Errors
    /// When it fails, gives something other than true or false, or takes too many steps.
    pub fn is_true(&self, object: &Json) -> Result<bool, EvalError> {
        let mut run = evaluate::Run::new(object, STEPS_MAX);
        match run.value(&self.root)? {
            value::Value::Bool(bool) => Ok(bool),
            other => Err(EvalError::new(format!("it gives {}, expected true or false", other.type_name()))),
        }
    }
}

impl EvalError {
    fn new(message: impl Into<String>) -> Self {
        EvalError { message: message.into(), missing: false, exhausted: false }
    }

    fn missing(name: &str) -> Self {
        EvalError { missing: true, ..EvalError::new(format!("there is no `{name}`")) }
    }

    fn exhausted() -> Self {
        let message = "it takes too many steps; look at fewer elements, or nest fewer macros";
        EvalError { exhausted: true, ..EvalError::new(message) }
    }

    /// No operator or function of that name takes these types.
    fn overload(name: &str, types: &[&str]) -> Self {
        EvalError::new(format!("`{name}` does not take {}", types.join(" and ")))
    }
}
