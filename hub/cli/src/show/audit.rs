//! The audit log, and who somebody is.

use jiff::Timestamp;

use super::{names, or_dash};
use crate::{
    model::{AuditRow, CertificateAuthority, Role, WhoAmI},
    text::{Page, Screen, Style, Table, Text, ago, until},
};

/// The page of `muster audit`.
pub(crate) fn audit(rows: &[AuditRow], now: Timestamp, screen: Screen) -> Page {
    let mut page = Page::new();
    if rows.is_empty() {
        page.line(&Text::plain("No entries."));
        return page;
    }
    let mut table =
        Table::new(["NUMBER", "WHEN", "ACTOR", "FROM", "ACTION", "TARGET", "RESULT", "DETAIL"]).cut_last();
    for row in rows {
        let style = if row.result == "ok" { Style::Good } else { Style::Bad };
        let result =
            if row.count > 1 { format!("{} ({} times)", row.result, row.count) } else { row.result.clone() };
        table.row([
            Text::plain(muster_wire::audit::name(row.number)),
            Text::plain(ago(row.time, now)),
            or_dash(&row.actor),
            or_dash(&row.source),
            Text::plain(row.action.trim_start_matches("muster.v1.")),
            or_dash(&row.target),
            Text::styled(style, result),
            Text::plain(&row.detail),
        ]);
    }
    page.table(&table, screen);
    page
}

/// The page of `muster ca`.
pub(crate) fn authorities(authorities: &[CertificateAuthority], now: Timestamp, screen: Screen) -> Page {
    let mut page = Page::new();
    let mut table = Table::new(["CA (SHA-256)", "EXPIRES", "NOT TRUSTED BY"]).cut_last();
    for ca in authorities {
        table.row([
            Text::plain(&ca.fingerprint),
            Text::plain(until(ca.expires_at, now)),
            or_dash(&names(&ca.not_trusted_by, 5)),
        ]);
    }
    page.table(&table, screen);
    page
}

/// The page of `muster whoami`.
pub(crate) fn who_am_i(me: &WhoAmI, now: Timestamp, screen: Screen) -> Page {
    let mut page = Page::new();
    let end = match me.expires_at {
        Some(_) => format!(", {}", until(me.expires_at, now)),
        None => String::new(),
    };
    page.line(&Text::plain(format!("{} by {}{end}", me.actor, me.proof)));
    if !me.groups.is_empty() {
        page.line(&Text::plain(format!("Groups: {}", me.groups.join(", "))));
    }
    if me.roles.is_empty() {
        page.line(&Text::plain("No role: ask whoever runs the hub for one in `access` of its config.yaml."));
        return page;
    }
    page.gap();
    let mut table = Table::new(["ROLE", "CLUSTERS", "LABELS", "APPS", "WAVES"]);
    for Role { role, clusters, labels, apps, waves } in &me.roles {
        let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let or_all = |texts: &[String]| if texts.is_empty() { "all".to_owned() } else { texts.join(",") };
        table.row([
            Text::plain(role),
            Text::plain(or_all(clusters)),
            Text::plain(or_all(&labels)),
            Text::plain(or_all(apps)),
            Text::plain(or_all(waves)),
        ]);
    }
    page.table(&table, screen);
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn entries_are_one_line_each() {
        let row = |number, result: &str, count| AuditRow {
            number,
            time: sample::before(60),
            actor: "operator/ada".into(),
            source: "192.0.2.1".into(),
            action: "muster.v1.TokenService/CreateToken".into(),
            target: "token/1f".into(),
            result: result.into(),
            detail: "for dev".into(),
            count,
            previous: String::new(),
            hash: String::new(),
        };
        let rows = [row(8, "ok", 1), row(7, "role-missing", 3)];
        assert_eq!(
            audit(&rows, sample::now(), Screen::test(None)).finish(false),
            "\
NUMBER  WHEN    ACTOR         FROM       ACTION                    TARGET    RESULT                  DETAIL
8       1m ago  operator/ada  192.0.2.1  TokenService/CreateToken  token/1f  ok                      for dev
7       1m ago  operator/ada  192.0.2.1  TokenService/CreateToken  token/1f  role-missing (3 times)  for dev
"
        );
    }

    #[test]
    fn a_user_sees_what_it_may_do() {
        let role = Role {
            role: "promoter".into(),
            clusters: vec![],
            labels: [("env".to_owned(), "dev".to_owned())].into(),
            apps: vec!["shop-*".into()],
            waves: vec!["dev".into()],
        };
        let me = WhoAmI {
            actor: "user/corp:ada".into(),
            proof: "OIDC",
            expires_at: None,
            groups: vec!["corp:shop".into()],
            roles: vec![role],
            hub_version: "0.1.0".into(),
        };
        let shown = |me: &WhoAmI| who_am_i(me, sample::now(), Screen::test(None)).finish(false);
        assert_eq!(
            shown(&me),
            "\
user/corp:ada by OIDC
Groups: corp:shop

ROLE      CLUSTERS  LABELS   APPS    WAVES
promoter  all       env=dev  shop-*  dev
"
        );
        assert!(shown(&WhoAmI { roles: vec![], ..me }).contains("No role"));
    }
}
