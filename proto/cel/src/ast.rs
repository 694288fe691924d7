//! What is an expression made of?

/// A part of an expression.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    /// Levels of nodes below it, bounded by the parser, so that evaluating cannot overflow the stack.
    pub(crate) depth: u32,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
    /// The object.
    This,
    /// A variable of a macro.
    Variable(String),
    /// `operand.name`, or `operand.?name`.
    Field {
        operand: Box<Node>,
        name: String,
        optional: bool,
    },
    /// `operand[key]`, or `operand[?key]`.
    Index {
        operand: Box<Node>,
        key: Box<Node>,
        optional: bool,
    },
    /// `has(operand.name)`.
    Has {
        operand: Box<Node>,
        name: String,
    },
    Not(Box<Node>),
    Negate(Box<Node>),
    Binary(Operator, Box<Node>, Box<Node>),
    /// `&&` between all of them.
    And(Vec<Node>),
    /// `||` between all of them.
    Or(Vec<Node>),
    Choice {
        condition: Box<Node>,
        yes: Box<Node>,
        no: Box<Node>,
    },
    /// `list.all(variable, body)` and its like.
    Macro {
        kind: Macro,
        list: Box<Node>,
        variable: String,
        condition: Box<Node>,
        result: Option<Box<Node>>,
    },
    /// A function, the operand of a method first.
    Call {
        function: &'static crate::functions::Function,
        arguments: Vec<Node>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
}

impl Operator {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Operator::Add => "+",
            Operator::Subtract => "-",
            Operator::Multiply => "*",
            Operator::Divide => "/",
            Operator::Remainder => "%",
            Operator::Equal => "==",
            Operator::NotEqual => "!=",
            Operator::Less => "<",
            Operator::LessOrEqual => "<=",
            Operator::Greater => ">",
            Operator::GreaterOrEqual => ">=",
            Operator::In => "in",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Macro {
    All,
    Exists,
    ExistsOne,
    Filter,
    Map,
}

impl Macro {
    pub(crate) fn named(name: &str) -> Option<Macro> {
        Some(match name {
            "all" => Macro::All,
            "exists" => Macro::Exists,
            "exists_one" | "existsOne" => Macro::ExistsOne,
            "filter" => Macro::Filter,
            "map" => Macro::Map,
            _ => return None,
        })
    }
}
