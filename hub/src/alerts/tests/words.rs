//! Do templates say what they are given, within bounds, and never cost a message?

use super::*;
use crate::alerts::{template::Template, template::TemplateText};

fn template(yaml: &str) -> Result<Template, String> {
    serde_yaml::from_str::<TemplateText>(yaml).unwrap().check()
}

/// What a template makes of an app that fails in some clusters.
fn words(yaml: &str) -> (String, String) {
    let alerts: Vec<Alert> = ["prod", "dev"]
        .into_iter()
        .map(|cluster| Alert { author: "Ada".to_owned(), ..fired(&format!("Degraded/{cluster}/web"), false) })
        .collect();
    let message = Message::new("ops", false, &alerts.iter().collect::<Vec<_>>());
    let words = template(yaml).unwrap().words(&message, Some("https://hub.test"), &str::to_owned).unwrap();
    (words.title.unwrap_or_default(), words.text.unwrap_or_default())
}

#[test]
fn a_template_has_the_fields_that_the_docs_list() {
    let (title, text) = words(
        "title: '[{{ severity|upper }}] {{ kind }} of {{ app }} in {{ places }}'\n\
         text: |\n  {{ status }} {{ cluster }} {{ clusters|join('+') }} {{ count }} {{ since }}\n  \
         {{ cause }}\n  {{ revision }} by {{ author }}\n  {{ next }}\n  {{ link }}\n  {{ title }}{{ wave }}{{ track }}{{ waves }}\n  {{ text }}\n",
    );
    assert_eq!(title, "[CRITICAL] Degraded of web in 2 clusters");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[..6],
        [
            "firing prod prod+dev 2 2027-01-15T08:00:00Z",
            "it <crashes>",
            "1a2b3c4d by Ada",
            "muster app web",
            "https://hub.test/#/apps/web",
            "web is Degraded in 2 clusters[]",
        ]
    );
    assert_eq!(lines[6], "prod, dev");
    let documented = include_str!("../../../../docs/alerts.md");
    for field in
        ["status", "places", "waves", "author", "next", "link", "text", "title", "cause", "since", "count"]
    {
        assert!(documented.contains(&format!("`{field}`")), "{field}");
    }
}

#[test]
fn templates_are_checked_before_there_is_a_message() {
    for (yaml, problem) in [
        ("{}", "give a title, a text, or both"),
        ("{title: a, title-file: /b}", "give title or title-file"),
        ("{text-file: /nowhere}", "/nowhere cannot be read"),
        ("{title: '{{ oops }}'}", "template: title: undefined value"),
        ("{title: '{{ kind'}", "template: title: syntax error"),
        ("{text: '{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}'}", "fuel"),
        ("{text: \"{% include '/etc/passwd' %}\"}", "template: text"),
    ] {
        let error = template(yaml).unwrap_err();
        assert!(error.contains(problem), "{yaml}: {error}");
    }
}

#[test]
fn what_a_template_says_is_cut_and_a_title_is_one_line() {
    let (title, text) = words("{title: \"a\\nb {{ 'ü' * 1000 }}\", text: \"{{ 'ü' * 100000 }}\"}");
    assert!(title.starts_with("a b ü") && title.ends_with('…') && title.len() < 510, "{}", title.len());
    assert!(
        text.ends_with('…') && text.len() < 16 * 1024 + 10 && !text.contains('\u{fffd}'),
        "{}",
        text.len()
    );
}

#[test]
fn each_kind_of_receiver_says_it_and_slack_is_not_to_be_fooled() {
    let own = Template::clone(&template("{title: '<!here> {{ cause }}', text: '*{{ cause }}*'}").unwrap());
    let alert = fired("Degraded/prod/web", false);
    let worded = |escape: &dyn Fn(&str) -> String| {
        let mut message = Message::new("ops", false, &[&alert]);
        message.words = own.words(&message, None, escape).unwrap();
        message
    };
    let link = Some("https://hub.test");
    let slack = worded(&crate::alerts::forms::slack_escaped).slack_text(link);
    assert_eq!(slack, ":rotating_light: *<!here> it &lt;crashes&gt;*\n*it &lt;crashes&gt;*");
    let message = worded(&str::to_owned);
    let json = message.webhook(link);
    assert_eq!((&json["title"], &json["text"]), (&"<!here> it <crashes>".into(), &"*it <crashes>*".into()));
    assert_eq!(json["next"], "muster app web --cluster prod", "what programs read stays");
    assert_eq!(message.pager_duty("key", link).unwrap()["payload"]["summary"], "<!here> it <crashes>");
    assert_eq!(message.teams(link)["attachments"][0]["content"]["body"][1]["text"], "*it <crashes>*");
    let repeat = jiff::SignedDuration::from_hours(4);
    let annotations = &message.alertmanager(link, at(400), repeat)[0]["annotations"];
    assert_eq!(
        (&annotations["summary"], &annotations["description"]),
        (&"<!here> it <crashes>".into(), &"*it <crashes>*".into())
    );
}

#[test]
fn every_usual_message_says_where_since_when_why_whose_commit_what_next_and_where_to_look() {
    for kind in AlertKind::ALL {
        let key: AlertKey = ["prod/web", "prod/", "/"]
            .iter()
            .find_map(|rest| format!("{}/{rest}", kind.word()).parse().ok())
            .unwrap();
        let alert = Alert { author: "Ada".to_owned(), ..fired(&key.to_string(), false) };
        let text = Message::new("ops", false, &[&alert]).slack_text(Some("https://hub.test"));
        let mut wanted = vec![
            "since 2027-01-15",
            "it &lt;crashes&gt;",
            "commit 1a2b3c4d by Ada",
            "`muster ",
            "<https://hub.test/#/",
        ];
        wanted.extend([key.place(), key.what().unwrap_or_default()]);
        for words in wanted {
            assert!(text.contains(words), "{kind:?}: {words} in {text}");
        }
    }
}
