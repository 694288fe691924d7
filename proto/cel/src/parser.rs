//! What does a sequence of words mean? By the grammar of cel-spec, doc/langdef.md.

use crate::ParseError;
use crate::ast::{Kind, Macro, Node, Operator};
use crate::functions;
use crate::lexer::{Token, tokens};

/// Most levels of an expression, brackets and chains of operators and fields alike.
const DEPTH_MAX: u32 = 64;

/// Words that are no names (cel-spec, "Keywords" and "Reserved").
const RESERVED: &[&str] = &[
    "false",
    "in",
    "null",
    "true",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "namespace",
    "package",
    "return",
    "var",
    "void",
    "while",
];

type Result<T> = std::result::Result<T, ParseError>;

/// Reads a whole expression.
pub(crate) fn parse(text: &str) -> Result<Node> {
    let mut parser = Parser { tokens: tokens(text)?, next: 0, level: 0, variables: Vec::new() };
    let node = parser.expression()?;
    match parser.peek() {
        Token::End => Ok(node),
        other => {
            let message = format!("expected an operator or the end, found {}", other.describe());
            parser.fail(message)
        }
    }
}

struct Parser {
    tokens: Vec<(Token, usize)>,
    next: usize,
    /// Brackets open now.
    level: u32,
    /// Variables of the macros around.
    variables: Vec<String>,
}

impl Parser {
    fn peek(&self) -> &Token {
        self.tokens.get(self.next).map_or(&Token::End, |(token, _)| token)
    }

    fn at(&self) -> usize {
        self.tokens.get(self.next).or(self.tokens.last()).map_or(0, |(_, at)| *at)
    }

    fn fail<T>(&self, message: impl Into<String>) -> Result<T> {
        Err(ParseError { message: message.into(), at: self.at() })
    }

    fn advance(&mut self) -> Token {
        let token = self.peek().clone();
        self.next += 1;
        token
    }

    /// Takes a sign if it is next.
    fn take(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Token::Sign(next) if *next == sign);
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &str) -> Result<()> {
        if self.take(sign) {
            return Ok(());
        }
        let found = self.peek().describe();
        self.fail(format!("expected `{sign}`, found {found}"))
    }

    /// Makes a node of the parts below it.
    fn node(&self, kind: Kind, depths: impl IntoIterator<Item = u32>) -> Result<Node> {
        let depth = depths.into_iter().max().map_or(0, |depth| depth + 1);
        if depth > DEPTH_MAX {
            return self.fail(format!("the expression has more than {DEPTH_MAX} levels"));
        }
        Ok(Node { kind, depth })
    }

    fn leaf(&self, kind: Kind) -> Result<Node> {
        self.node(kind, [])
    }

    /// One level deeper while `read` runs, since it recurs.
    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.level >= DEPTH_MAX {
            return self.fail(format!("the expression has more than {DEPTH_MAX} levels"));
        }
        self.level += 1;
        let read = read(self);
        self.level -= 1;
        read
    }

    fn expression(&mut self) -> Result<Node> {
        self.deeper(|parser| {
            let condition = parser.any()?;
            if !parser.take("?") {
                return Ok(condition);
            }
            let yes = parser.any()?;
            parser.expect(":")?;
            let no = parser.expression()?;
            let depths = [condition.depth, yes.depth, no.depth];
            let (condition, yes, no) = (Box::new(condition), Box::new(yes), Box::new(no));
            parser.node(Kind::Choice { condition, yes, no }, depths)
        })
    }

    fn any(&mut self) -> Result<Node> {
        self.joined("||", Self::all, Kind::Or)
    }

    fn all(&mut self) -> Result<Node> {
        self.joined("&&", Self::relation, Kind::And)
    }

    fn joined(
        &mut self,
        sign: &str,
        part: impl Fn(&mut Self) -> Result<Node>,
        kind: impl Fn(Vec<Node>) -> Kind,
    ) -> Result<Node> {
        let first = part(self)?;
        let mut parts = vec![first];
        while self.take(sign) {
            parts.push(part(self)?);
        }
        if parts.len() > 1 {
            let depths: Vec<_> = parts.iter().map(|part| part.depth).collect();
            return self.node(kind(parts), depths);
        }
        parts.pop().map_or_else(|| self.fail("expected an expression"), Ok)
    }

    fn relation(&mut self) -> Result<Node> {
        let operator = |parser: &mut Self| {
            let found = match parser.peek() {
                Token::Sign("==") => Operator::Equal,
                Token::Sign("!=") => Operator::NotEqual,
                Token::Sign("<") => Operator::Less,
                Token::Sign("<=") => Operator::LessOrEqual,
                Token::Sign(">") => Operator::Greater,
                Token::Sign(">=") => Operator::GreaterOrEqual,
                Token::Word(word) if word == "in" => Operator::In,
                _ => return None,
            };
            parser.next += 1;
            Some(found)
        };
        self.chain(operator, Self::sum)
    }

    fn sum(&mut self) -> Result<Node> {
        let operator = |parser: &mut Self| match () {
            () if parser.take("+") => Some(Operator::Add),
            () if parser.take("-") => Some(Operator::Subtract),
            () => None,
        };
        self.chain(operator, Self::product)
    }

    fn product(&mut self) -> Result<Node> {
        let operator = |parser: &mut Self| match () {
            () if parser.take("*") => Some(Operator::Multiply),
            () if parser.take("/") => Some(Operator::Divide),
            () if parser.take("%") => Some(Operator::Remainder),
            () => None,
        };
        self.chain(operator, Self::unary)
    }

    fn chain(
        &mut self,
        operator: impl Fn(&mut Self) -> Option<Operator>,
        part: impl Fn(&mut Self) -> Result<Node>,
    ) -> Result<Node> {
        let mut left = part(self)?;
        while let Some(operator) = operator(self) {
            let right = part(self)?;
            let depths = [left.depth, right.depth];
            left = self.node(Kind::Binary(operator, Box::new(left), Box::new(right)), depths)?;
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Node> {
        if self.take("!") {
            let operand = self.deeper(Self::unary)?;
            let depth = operand.depth;
            return self.node(Kind::Not(Box::new(operand)), [depth]);
        }
        if !self.take("-") {
            return self.member();
        }
        // The smallest number has no positive counterpart.
        if let Token::Int(number) = *self.peek()
            && number == 1 << 63
        {
            self.next += 1;
            return self.leaf(Kind::Int(i64::MIN));
        }
        let operand = self.deeper(Self::unary)?;
        let depth = operand.depth;
        self.node(Kind::Negate(Box::new(operand)), [depth])
    }

    fn member(&mut self) -> Result<Node> {
        let mut operand = self.primary()?;
        loop {
            if self.take(".") {
                let optional = self.take("?");
                let at = self.at();
                let name = self.name()?;
                let called = !optional && self.take("(");
                operand = if called {
                    self.method(operand, &name, at)?
                } else {
                    let depth = operand.depth;
                    self.node(Kind::Field { operand: Box::new(operand), name, optional }, [depth])?
                };
            } else if self.take("[") {
                let optional = self.take("?");
                let key = self.expression()?;
                self.expect("]")?;
                let depths = [operand.depth, key.depth];
                let (operand_box, key) = (Box::new(operand), Box::new(key));
                operand = self.node(Kind::Index { operand: operand_box, key, optional }, depths)?;
            } else {
                return Ok(operand);
            }
        }
    }

    fn name(&mut self) -> Result<String> {
        match self.peek().clone() {
            Token::Word(word) if !RESERVED[..4].contains(&word.as_str()) => {
                self.next += 1;
                Ok(word)
            }
            other => self.fail(format!("expected the name of a field, found {}", other.describe())),
        }
    }

    fn primary(&mut self) -> Result<Node> {
        let at = self.at();
        match self.advance() {
            Token::Int(number) => match i64::try_from(number) {
                Ok(number) => self.leaf(Kind::Int(number)),
                Err(_) => self.fail_at(at, "the number is too large; whole numbers have 64 bits"),
            },
            Token::Uint(number) => self.leaf(Kind::Uint(number)),
            Token::Double(number) => self.leaf(Kind::Double(number)),
            Token::Text(text) => self.leaf(Kind::Text(text)),
            Token::Word(word) => self.word(word, at),
            Token::Sign("(") => {
                let inner = self.expression()?;
                self.expect(")")?;
                Ok(inner)
            }
            Token::Sign("[") => {
                let items = self.list("]")?;
                let depths: Vec<_> = items.iter().map(|item| item.depth).collect();
                self.node(Kind::List(items), depths)
            }
            Token::Sign("{") => self.map(),
            other => self.fail_at(at, format!("expected a value, found {}", other.describe())),
        }
    }

    fn fail_at<T>(&self, at: usize, message: impl Into<String>) -> Result<T> {
        Err(ParseError { message: message.into(), at })
    }

    fn word(&mut self, word: String, at: usize) -> Result<Node> {
        match word.as_str() {
            "true" => return self.leaf(Kind::Bool(true)),
            "false" => return self.leaf(Kind::Bool(false)),
            "null" => return self.leaf(Kind::Null),
            "has" if self.take("(") => return self.has(at),
            _ => {}
        }
        if self.take("(") {
            let arguments = self.list(")")?;
            return self.call(&word, false, arguments, at);
        }
        if self.variables.contains(&word) {
            return self.leaf(Kind::Variable(word));
        }
        match word.as_str() {
            "self" => self.leaf(Kind::This),
            _ if RESERVED.contains(&word.as_str()) => {
                self.fail_at(at, format!("`{word}` is a reserved word, not a value"))
            }
            _ => self.fail_at(at, format!("there is no variable `{word}`; the object is `self`")),
        }
    }

    fn has(&mut self, at: usize) -> Result<Node> {
        let argument = self.expression()?;
        self.expect(")")?;
        match argument.kind {
            Kind::Field { operand, name, optional: false } => {
                let depth = operand.depth;
                self.node(Kind::Has { operand, name }, [depth])
            }
            _ => self.fail_at(at, "`has` takes a field, such as `has(self.status)`"),
        }
    }

    /// What stands between brackets and commas; a comma may stand at the end.
    fn list(&mut self, close: &str) -> Result<Vec<Node>> {
        let mut items = Vec::new();
        loop {
            if self.take(close) {
                return Ok(items);
            }
            items.push(self.expression()?);
            if !self.take(",") {
                self.expect(close)?;
                return Ok(items);
            }
        }
    }

    fn map(&mut self) -> Result<Node> {
        let mut entries = Vec::new();
        while !self.take("}") {
            let key = self.expression()?;
            self.expect(":")?;
            entries.push((key, self.expression()?));
            if !self.take(",") {
                self.expect("}")?;
                break;
            }
        }
        let depths: Vec<_> = entries.iter().flat_map(|(key, value)| [key.depth, value.depth]).collect();
        self.node(Kind::Map(entries), depths)
    }

    fn method(&mut self, operand: Node, name: &str, at: usize) -> Result<Node> {
        if let Some(kind) = Macro::named(name) {
            return self.comprehension(kind, name, operand, at);
        }
        let mut arguments = vec![operand];
        arguments.extend(self.list(")")?);
        self.call(name, true, arguments, at)
    }

    fn call(&self, name: &str, method: bool, arguments: Vec<Node>, at: usize) -> Result<Node> {
        let Some(function) = functions::named(name, method) else {
            return self
                .fail_at(at, format!("there is no {} `{name}`", if method { "method" } else { "function" }));
        };
        if !function.arguments.contains(&arguments.len()) {
            return self.fail_at(at, format!("`{name}` is called with the wrong number of arguments"));
        }
        functions::check(function, &arguments).or_else(|message| self.fail_at(at, message))?;
        let depths: Vec<_> = arguments.iter().map(|argument| argument.depth).collect();
        self.node(Kind::Call { function, arguments }, depths)
    }

    fn comprehension(&mut self, kind: Macro, name: &str, list: Node, at: usize) -> Result<Node> {
        let wrong = format!("`{name}` takes a name and an expression, such as `list.{name}(x, x.ready)`");
        let variable = match self.advance() {
            Token::Word(word) if !RESERVED.contains(&word.as_str()) => word,
            _ => return self.fail_at(at, wrong),
        };
        if !self.take(",") {
            return self.fail_at(at, wrong);
        }
        self.variables.push(variable.clone());
        let parts = self.list(")");
        self.variables.pop();
        let mut parts = parts?.into_iter();
        let (first, second) = (parts.next(), parts.next());
        let fits = parts.next().is_none() && (second.is_none() || kind == Macro::Map);
        let Some(condition) = first.filter(|_| fits) else { return self.fail_at(at, wrong) };
        let depths = [list.depth, condition.depth, second.as_ref().map_or(0, |part| part.depth)];
        let (list, condition, result) = (Box::new(list), Box::new(condition), second.map(Box::new));
        self.node(Kind::Macro { kind, list, variable, condition, result }, depths)
    }
}
