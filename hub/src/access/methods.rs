//! Whom is each method for?
//!
//! One table. A method that is not in it is refused to everybody, and a test fails for it.

use super::policy::Role;

/// Whom a method is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Everybody, also without a credential.
    Anyone,
    /// Everybody with a credential.
    Known,
    /// The agents of clusters.
    Clusters,
    /// Users with at least this role somewhere; the service looks at where.
    Users(Role),
    /// Users with at least this role for the whole fleet.
    WholeFleet(Role),
}

const RULES: [(&str, Rule); 28] = [
    ("/grpc.health.v1.Health/Check", Rule::Anyone),
    ("/grpc.health.v1.Health/Watch", Rule::Anyone),
    ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Rule::Users(Role::Viewer)),
    ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Rule::Users(Role::Viewer)),
    ("/muster.v1.AccessService/WhoAmI", Rule::Known),
    ("/muster.v1.AgentService/Connect", Rule::Clusters),
    ("/muster.v1.AgentService/Renew", Rule::Clusters),
    ("/muster.v1.AlertService/CreateSilence", Rule::WholeFleet(Role::Promoter)),
    ("/muster.v1.AlertService/EndSilence", Rule::WholeFleet(Role::Promoter)),
    ("/muster.v1.AlertService/ListAlerts", Rule::Users(Role::Viewer)),
    ("/muster.v1.AlertService/ListSilences", Rule::Users(Role::Viewer)),
    ("/muster.v1.AlertService/TestReceiver", Rule::WholeFleet(Role::Admin)),
    ("/muster.v1.AuditService/ListAudit", Rule::WholeFleet(Role::Admin)),
    ("/muster.v1.AuthorityService/GetAuthority", Rule::Users(Role::Viewer)),
    ("/muster.v1.ClusterService/RevokeCluster", Rule::Users(Role::Admin)),
    ("/muster.v1.EnrollmentService/Enroll", Rule::Anyone),
    ("/muster.v1.FleetService/GetApp", Rule::Users(Role::Viewer)),
    ("/muster.v1.FleetService/GetCluster", Rule::Users(Role::Viewer)),
    ("/muster.v1.FleetService/ListApps", Rule::Users(Role::Viewer)),
    ("/muster.v1.FleetService/ListClusters", Rule::Users(Role::Viewer)),
    ("/muster.v1.FleetService/ListEvents", Rule::Users(Role::Viewer)),
    ("/muster.v1.FleetService/WatchFleet", Rule::Users(Role::Viewer)),
    ("/muster.v1.PromotionService/Decide", Rule::Users(Role::Promoter)),
    ("/muster.v1.PromotionService/GetWaves", Rule::Users(Role::Viewer)),
    ("/muster.v1.PromotionService/ListDecisions", Rule::Users(Role::Viewer)),
    ("/muster.v1.TokenService/CreateToken", Rule::Users(Role::Admin)),
    ("/muster.v1.TokenService/ListTokens", Rule::Users(Role::Admin)),
    ("/muster.v1.TokenService/RevokeToken", Rule::Users(Role::Admin)),
];

/// The rule for the method at this path.
pub(crate) fn rule(path: &str) -> Option<Rule> {
    RULES.iter().find(|(method, _)| *method == path).map(|(_, rule)| *rule)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message as _;

    use super::*;

    /// Every method that gRPC reflection would list.
    fn methods(descriptors: &[u8]) -> Vec<String> {
        let set = prost_types::FileDescriptorSet::decode(descriptors).unwrap();
        let mut methods = Vec::new();
        for file in set.file {
            for service in &file.service {
                for method in &service.method {
                    methods.push(format!("/{}.{}/{}", file.package(), service.name(), method.name()));
                }
            }
        }
        methods
    }

    #[test]
    fn every_method_of_the_hub_has_a_rule_and_every_rule_a_method() {
        let mut served: BTreeSet<String> = methods(muster_wire::DESCRIPTORS).into_iter().collect();
        served.extend(methods(tonic_health::pb::FILE_DESCRIPTOR_SET));
        served.extend(methods(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET));
        served.extend(methods(tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET));
        assert!(served.len() >= 20, "{served:?}");
        let ruled: BTreeSet<String> = RULES.iter().map(|(method, _)| (*method).to_owned()).collect();
        assert_eq!(ruled.len(), RULES.len(), "a method has two rules");
        assert_eq!(served.difference(&ruled).collect::<Vec<_>>(), Vec::<&String>::new(), "without a rule");
        assert_eq!(ruled.difference(&served).collect::<Vec<_>>(), Vec::<&String>::new(), "of no method");
    }

    #[test]
    fn paths_are_taken_as_they_are() {
        for path in [
            "",
            "/",
            "/muster.v1.NewService/Call",
            "/muster.v1.enrollmentservice/Enroll",
            "/muster.v1.EnrollmentService",
            "muster.v1.EnrollmentService/Enroll",
            "//muster.v1.EnrollmentService/Enroll",
            "/muster.v1.EnrollmentService/Enroll/",
            "/muster.v1.EnrollmentService/Enroll/../../muster.v1.FleetService/ListApps",
        ] {
            assert_eq!(rule(path), None, "{path}");
        }
    }
}
