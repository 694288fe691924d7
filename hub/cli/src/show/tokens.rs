//! Enrolment tokens.

use jiff::Timestamp;

use super::or_dash;
use crate::{
    model::Token,
    text::{Page, Screen, Style, Table, Text, ago, count, until},
};

/// The page of `muster token list`.
pub(crate) fn tokens(tokens: &[Token], now: Timestamp, screen: Screen) -> Page {
    let mut page = Page::new();
    if tokens.is_empty() {
        page.line(&Text::plain("No enrolment tokens. To make one: muster token create CLUSTER"));
        return page;
    }
    let mut table = Table::new(["ID", "CLUSTER", "LABELS", "STATE", "USES LEFT", "EXPIRES", "CREATED", "BY"]);
    for token in tokens {
        let expired = token.expires_at.is_some_and(|end| end <= now);
        let (style, state) = match (token.revoked, expired, token.uses_left) {
            (true, ..) => (Style::Dim, "Revoked"),
            (_, true, _) => (Style::Dim, "Expired"),
            (.., 0) => (Style::Dim, "Used"),
            _ => (Style::Good, "Valid"),
        };
        table.row([
            Text::plain(&token.id),
            Text::plain(&token.cluster),
            or_dash(&labels(token)),
            Text::styled(style, state),
            Text::plain(token.uses_left.to_string()),
            Text::plain(until(token.expires_at, now)),
            Text::plain(ago(token.created_at, now)),
            or_dash(&token.created_by),
        ]);
    }
    page.table(&table, screen);
    page
}

fn labels(token: &Token) -> String {
    let labels: Vec<String> = token.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    labels.join(",")
}

/// What a person should know of a token just made; the token itself goes to standard output.
pub(crate) fn created(token: &Token, now: Timestamp) -> Page {
    let mut page = Page::new();
    page.line(&Text::plain(format!(
        "For {} {}, {}, expires {}. It is shown this once; keep it in a file for muster-agent --token-file.",
        if token.cluster.contains('*') { "clusters" } else { "cluster" },
        token.cluster,
        count(usize::try_from(token.uses_left).unwrap_or(usize::MAX), "use"),
        until(token.expires_at, now),
    )));
    page.line(&Text::plain(format!("To take it back: muster token revoke {}", token.id)));
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use jiff::ToSpan as _;

    fn token(id: &str) -> Token {
        Token {
            id: id.to_owned(),
            cluster: "dev".to_owned(),
            created_at: sample::before(3_600),
            expires_at: Some(sample::now() + 23.hours()),
            uses_left: 1,
            revoked: false,
            labels: [].into(),
            created_by: "operator/ada".to_owned(),
        }
    }

    #[test]
    fn each_token_says_whether_it_still_works() {
        let some = [
            token("a1"),
            Token { uses_left: 0, ..token("b2") },
            Token {
                expires_at: sample::before(60),
                labels: [("env".to_owned(), "dev".to_owned())].into(),
                ..token("c3")
            },
            Token { revoked: true, ..token("d4") },
        ];
        assert_eq!(
            tokens(&some, sample::now(), Screen::test(None)).finish(false),
            "\
ID  CLUSTER  LABELS   STATE    USES LEFT  EXPIRES         CREATED  BY
a1  dev      -        Valid    1          in 23h          1h ago   operator/ada
b2  dev      -        Used     0          in 23h          1h ago   operator/ada
c3  dev      env=dev  Expired  1          expired 1m ago  1h ago   operator/ada
d4  dev      -        Revoked  1          in 23h          1h ago   operator/ada
"
        );
    }
}
