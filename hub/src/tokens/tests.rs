use super::*;

const FINGERPRINT: &str = "00ff";

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + minutes * 60).unwrap()
}

fn cluster(name: &str) -> ClusterName {
    name.parse().unwrap()
}

/// Good for an hour.
fn terms(cluster: &str, uses: u32) -> Terms {
    Terms {
        cluster: cluster.parse().unwrap(),
        labels: BTreeMap::new(),
        ttl: Duration::from_secs(3600),
        uses,
        created_by: "operator/admin".into(),
        scoped: false,
    }
}

/// A table with one token for cluster `a`, made at minute 0, good for an hour.
fn table(uses: u32) -> (Table, Presented) {
    let mut table = Table::restore(Vec::new(), vec![FINGERPRINT.to_owned()]);
    let presented = Presented::new([1; 8], [2; 32], FINGERPRINT);
    table.create(&presented, terms("a", uses), at(0)).unwrap();
    (table, presented)
}

#[test]
fn a_token_reads_back_from_its_text_and_its_debug_hides_the_secret() {
    let presented = Presented::new([0xab; 8], [7; 32], FINGERPRINT);
    let text = presented.reveal();
    let read: Presented = format!("{text}\n").parse().unwrap();
    assert_eq!(read.reveal(), text);
    let secret = text.split('.').nth(2).unwrap();
    assert!(!format!("{read:?}").contains(secret));
}

#[test]
fn what_is_no_token_is_refused() {
    let good = Presented::new([1; 8], [2; 32], FINGERPRINT).reveal();
    let parts: Vec<&str> = good.split('.').collect();
    let long = format!("{good}{}", "0".repeat(300));
    for text in [
        "",
        "muster1",
        "muster1...",
        &good.replace("muster1", "muster2"),
        &format!("{good}.x"),
        &format!("muster1.{}.{}", parts[1], parts[2]),
        &format!("muster1.{}.{}.{}", "XYZ", parts[2], parts[3]),
        &format!("muster1.{}.{}.{}", parts[1], &parts[2][1..], parts[3]),
        &format!("muster1.{}.{}=.{}", parts[1], parts[2], parts[3]),
        &long,
        "muster1.\u{1f512}.\u{1f512}.\u{1f512}",
    ] {
        assert!(text.parse::<Presented>().is_err(), "{text}");
    }
}

#[test]
fn a_token_is_good_for_its_cluster_in_its_time_with_its_secret() {
    struct Case {
        name: &'static str,
        id: u8,
        secret: u8,
        fingerprint: &'static str,
        cluster: &'static str,
        minute: i64,
        want: Option<Refusal>,
    }
    let good = Case {
        name: "good",
        id: 1,
        secret: 2,
        fingerprint: FINGERPRINT,
        cluster: "a",
        minute: 30,
        want: None,
    };
    let cases = [
        Case { name: "at its first moment", minute: 0, ..good },
        Case { name: "at its last minute", minute: 59, ..good },
        Case { name: "at its end", minute: 60, want: Some(Refusal::Expired), ..good },
        Case { name: "unknown id", id: 9, want: Some(Refusal::Unknown), ..good },
        Case { name: "wrong secret", secret: 9, want: Some(Refusal::Secret), ..good },
        Case { name: "another hub's", fingerprint: "11", want: Some(Refusal::Unknown), ..good },
        Case { name: "for another cluster", cluster: "b", want: Some(Refusal::OtherCluster), ..good },
        Case {
            name: "wrong secret and cluster",
            secret: 9,
            cluster: "b",
            want: Some(Refusal::Secret),
            ..good
        },
        good,
    ];
    for case in cases {
        let (mut table, _) = table(1);
        let presented = Presented::new([case.id; 8], [case.secret; 32], case.fingerprint);
        let (name, now) = (cluster(case.cluster), at(case.minute));
        assert_eq!(table.check(&presented, &name, None, now).err(), case.want, "check: {}", case.name);
        assert_eq!(table.take(&presented, &name, None, now).err(), case.want, "take: {}", case.name);
    }
}

#[test]
fn uses_are_counted() {
    let (mut table, presented) = table(3);
    for left in [2, 1, 0] {
        assert_eq!(table.take(&presented, &cluster("a"), None, at(1)).unwrap().uses_left, left);
    }
    assert_eq!(table.take(&presented, &cluster("a"), None, at(1)).unwrap_err(), Refusal::UsedUp);
}

#[test]
fn a_refused_token_loses_no_use() {
    let (mut table, presented) = table(1);
    assert!(table.take(&presented, &cluster("b"), None, at(1)).is_err());
    assert!(table.take(&presented, &cluster("a"), None, at(1)).is_ok());
}

#[test]
fn a_revoked_token_stays_listed_and_refused() {
    let (mut table, presented) = table(1);
    let id = presented.id().clone();
    assert!(table.revoke(&id).unwrap().revoked);
    assert_eq!(table.check(&presented, &cluster("a"), None, at(1)).unwrap_err(), Refusal::Revoked);
    assert_eq!(table.iter().count(), 1);
    assert!(table.revoke(&"00".repeat(8).parse().unwrap()).is_none());
}

#[test]
fn tokens_are_forgotten_a_week_after_their_end() {
    let (mut table, presented) = table(1);
    let week = 7 * 24 * 60;
    assert!(table.purge(at(0)).is_empty());
    assert!(table.purge(at(60 + week)).is_empty());
    assert_eq!(table.purge(at(61 + week)), [presented.id().clone()]);
    assert_eq!(table.iter().count(), 0);
}

#[test]
fn the_table_is_bounded() {
    let mut table = Table::restore(Vec::new(), vec![FINGERPRINT.to_owned()]);
    for number in 0..TOKENS_MAX as u64 {
        let presented = Presented::new(number.to_be_bytes(), [0; 32], FINGERPRINT);
        assert!(table.create(&presented, terms("a", 1), at(0)).is_some());
    }
    let one_more = Presented::new([0xff; 8], [0; 32], FINGERPRINT);
    assert!(table.create(&one_more, terms("a", 1), at(0)).is_none());
}

#[test]
fn a_token_for_a_pattern_is_good_for_its_clusters() {
    let mut table = Table::restore(Vec::new(), vec![FINGERPRINT.to_owned()]);
    let presented = Presented::new([1; 8], [2; 32], FINGERPRINT);
    table.create(&presented, terms("edge-*", 2), at(0)).unwrap();
    assert_eq!(table.take(&presented, &cluster("core"), None, at(1)).unwrap_err(), Refusal::OtherCluster);
    assert!(table.take(&presented, &cluster("edge-1"), None, at(1)).is_ok());
    assert!(table.take(&presented, &cluster("edge-2"), None, at(1)).is_ok());
}

#[test]
fn a_token_made_before_a_cluster_was_revoked_does_not_let_it_enrol_again() {
    let (mut table, presented) = table(1);
    for revoked_at in [at(0), at(5)] {
        let refused = table.take(&presented, &cluster("a"), Some(revoked_at), at(6));
        assert_eq!(refused.unwrap_err(), Refusal::Outdated);
    }
    assert!(table.take(&presented, &cluster("a"), Some(at(-1)), at(6)).is_ok(), "an earlier revocation");
}
