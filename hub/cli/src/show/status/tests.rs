use super::*;
use crate::{fleet::overview, sample};

fn shown((clusters, apps): (Vec<Cluster>, Vec<crate::model::App>), screen: Screen) -> String {
    let now = sample::now();
    status(&overview(&clusters, &apps, now), &clusters, now, screen).finish(false)
}

#[test]
fn no_clusters() {
    assert_eq!(
        shown((Vec::new(), Vec::new()), Screen::test(Some(120))),
        "\
No cluster has enrolled yet.
Next: muster token create CLUSTER, then start muster-agent there with the token.
"
    );
}

#[test]
fn three_clusters_all_well() {
    assert_eq!(
        shown(sample::healthy(), Screen::test(Some(80))),
        "\
All is well: 3 clusters connected, 6 apps Synced and Healthy; heard from within 2s.

CLUSTER  APPS  SYNCED  HEALTHY  HEAD     SEEN
dev      2     2       2        1a2b3c4  2s ago
prod     2     2       2        1a2b3c4  2s ago
staging  2     2       2        1a2b3c4  2s ago
"
    );
}

#[test]
fn three_clusters_with_trouble_at_100_columns() {
    assert_eq!(
        shown(sample::troubled(), Screen::test(Some(100))),
        "\
Clusters  2 connected (heard from within 2s), 1 unreachable
Sync      3 Synced, 1 OutOfSync, 2 Unknown
Health    2 Healthy, 1 Progressing, 1 Degraded, 2 Unknown

STATE        CLUSTER  APP  SINCE  REVISION  NEXT
Unreachable  prod     -    12m    -         muster events --cluster prod
  Last heard from 12m ago: how its 2 apps fare is not known.
Degraded     staging  web  3m     1a2b3c4   muster app web --cluster staging
  Deployment default/web: 1 of 2 replicas available, ProgressDeadlineExceeded
Error        staging  -    1m     -         muster events --cluster staging
  git.example.com does not answer: connection refused
OutOfSync    dev      api  45s    1a2b3c4   muster app api --cluster dev
  Deployment default/api: .spec.replicas is 5, Git says 2
Progressing  dev      web  8s     1a2b3c4   muster app web --cluster dev
  Not healthy yet.
"
    );
}

#[test]
fn three_clusters_with_trouble_at_72_columns() {
    let shown = shown(sample::troubled(), Screen { height: Some(50), ..Screen::test(Some(72)) });
    assert!(shown.lines().all(|line| line.chars().count() <= 72), "{shown}");
    assert!(
        shown.contains(
            "
STATE        CLUSTER  APP  SINCE  REVISION
Unreachable  prod     -    12m    -
  Last heard from 12m ago: how its 2 apps fare is not known.
  muster events --cluster prod
Degraded     staging  web  3m     1a2b3c4
  Deployment default/web: 1 of 2 replicas available, ProgressDeadlineEx…
  muster app web --cluster staging
"
        ),
        "{shown}"
    );
}

#[test]
fn three_thousand_clusters_fit_one_screen() {
    assert_eq!(
        shown(sample::large(), Screen { height: Some(30), ..Screen::test(Some(100)) }),
        "\
Clusters  2,988 connected (heard from within 2s), 12 unreachable
Sync      5,973 Synced, 3 OutOfSync, 24 Unknown
Health    5,636 Healthy, 40 Progressing, 300 Degraded, 24 Unknown

STATE        CLUSTER       APP  SINCE  REVISION  NEXT
Unreachable  12 clusters   -    2h     -         muster clusters
  None of them is heard from: how their apps fare is not known.
  in prod-0000, prod-0001, prod-0002 and 9 more
Degraded     300 clusters  web  3m     1a2b3c4   muster app web
  Deployment default/web: image nginx:1.26-broken cannot be pulled
  in prod-0100, prod-0101, prod-0102 and 297 more
OutOfSync    2 clusters    api  3m     1a2b3c4   muster app api
  Service default/api: deleted by kubectl-delete
  in prod-0400, prod-0401
OutOfSync    prod-0402     web  3m     1a2b3c4   muster app web --cluster prod-0402
  Service default/api: deleted by kubectl-delete
Progressing  40 clusters   api  3m     1a2b3c4   muster app api
  Not healthy yet.
  in prod-0403, prod-0404, prod-0405 and 37 more
"
    );
}

#[test]
fn a_low_screen_shows_the_worst_and_counts_the_rest() {
    let shown = shown(sample::large(), Screen { height: Some(16), ..Screen::test(Some(100)) });
    assert_eq!(
        shown.lines().last(),
        Some("and 2 more problems (1 OutOfSync, 1 Progressing): muster status -o wide")
    );
}

#[test]
fn three_thousand_clusters_all_well() {
    let clusters: Vec<Cluster> =
        (0..3_000).map(|index| sample::cluster(&format!("prod-{index:04}"))).collect();
    let shown = shown((clusters, Vec::new()), Screen::test(Some(80)));
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines.len(), 16);
    assert_eq!(
        lines[0],
        "All is well: 3,000 clusters connected, 6,000 apps Synced and Healthy; heard from within 2s."
    );
    assert_eq!(lines[15], "and 2,988 more clusters, all as well: muster clusters");
}

#[test]
fn every_fleet_fits_one_screen_of_every_size() {
    for (name, fleet) in
        [("healthy", sample::healthy()), ("troubled", sample::troubled()), ("large", sample::large())]
    {
        for (width, height) in [(40, 24), (80, 24), (80, 50), (120, 24), (120, 50), (200, 50)] {
            let screen = Screen { height: Some(height), ..Screen::test(Some(width)) };
            let shown = shown(fleet.clone(), screen);
            let widths = shown.lines().map(unicode_width::UnicodeWidthStr::width);
            let lines: usize = widths.map(|line| line.div_ceil(width).max(1)).sum();
            assert!(lines < height, "{name} at {width}x{height} takes {lines} lines:\n{shown}");
        }
    }
}

#[test]
fn in_a_pipe_nothing_is_cut_and_nothing_depends_on_a_screen() {
    for fleet in [sample::troubled(), sample::large()] {
        let piped = shown(fleet.clone(), Screen::test(None));
        assert!(!piped.contains('\u{1b}') && !piped.contains('…'), "{piped}");
        let wide = shown(fleet, Screen { height: Some(500), ..Screen::test(Some(400)) });
        assert_eq!(piped.lines().count(), wide.lines().count(), "{piped}\n{wide}");
    }
}
