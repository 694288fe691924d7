//! Where does every revision stand, and what do people decide about it?

use muster_git::GitError;
use muster_wire::v1::{self, promotion_service_server::PromotionService};
use tonic::{Code, Request, Response, Status};

use super::{Serve, admitted, calling_user, given, stopping};
use crate::{
    access::Admitted,
    audit::OK,
    clock::{Now, to_proto},
    commit::{Effects, Fleet},
    repository::{Asked, Decided, Promotion, Question},
    waves::{Outlook, Stage, State, Verb, Wish},
};

const DECISIONS_DEFAULT: usize = 50;
const DECISIONS_MAX: usize = 1_000;
/// Longest reason, in bytes.
const REASON_BYTES_MAX: usize = 1_000;

impl Serve {
    fn promotion(&self) -> Result<&Promotion, Status> {
        self.0.promotion.as_ref().ok_or_else(|| {
            Status::failed_precondition(
                "the hub follows no repository; start it with --repo, or set repository.url in its config.yaml",
            )
        })
    }

    async fn ask(&self, question: Question) -> Result<Asked, Status> {
        let answer = self.promotion()?.ask(question).await.ok_or_else(stopping)?;
        match answer {
            Asked::NoTrack(track) => Err(Status::not_found(format!(
                "there is no track {track:?}; `muster waves` lists all tracks"
            ))),
            Asked::Refused(why) => Err(Status::failed_precondition(why)),
            Asked::Forbidden(place) => Err(Status::permission_denied(format!(
                "the role promoter is needed for {place}, which this would move; roles are given in `access` of the \
                 hub's config.yaml"
            ))),
            Asked::Git(error) => Err(failed(&error)),
            done => Ok(done),
        }
    }

    /// Notes a decision in the audit log, or that it was not allowed. The decision itself is a commit by then.
    async fn remember(
        &self,
        call: &Admitted,
        request: &v1::DecideRequest,
        decided: &Result<Asked, Status>,
    ) -> Result<(), Status> {
        let verb = request.verb().as_str_name().trim_start_matches("DECISION_VERB_").to_lowercase();
        let place =
            [&request.wave, &request.track].map(String::as_str).map(|name| given(name).unwrap_or("*"));
        let (target, said) = (format!("track/{}/{}", place[0], place[1]), given(&request.reason));
        let said = said.map(|reason| format!(": {reason}")).unwrap_or_default();
        match decided {
            Ok(Asked::Committed { commit, .. }) => {
                let entry = call.entry(target, OK, format!("{verb} by commit {commit}{said}"));
                let keep = move |fleet: &mut Fleet, now: Now| Effects {
                    records: fleet.audit.record(entry, now),
                    ..Effects::default()
                };
                Ok(self.0.committer.hand_in(keep).await?)
            }
            Err(status) if status.code() == Code::PermissionDenied => {
                let entry = call.entry(target, "role-missing", format!("{verb}{said}"));
                self.0.gate.refused(entry).await;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

fn failed(error: &GitError) -> Status {
    let message = error.to_string();
    if error.is_temporary() { Status::unavailable(message) } else { Status::failed_precondition(message) }
}

fn verb(verb: v1::DecisionVerb) -> Result<Verb, Status> {
    Ok(match verb {
        v1::DecisionVerb::Promote => Verb::Promote,
        v1::DecisionVerb::Approve => Verb::Approve,
        v1::DecisionVerb::Reject => Verb::Reject,
        v1::DecisionVerb::Pause => Verb::Pause,
        v1::DecisionVerb::Resume => Verb::Resume,
        v1::DecisionVerb::Rollback => Verb::Rollback,
        v1::DecisionVerb::Hotfix => Verb::Hotfix,
        v1::DecisionVerb::Unspecified => return Err(Status::invalid_argument("say what is decided")),
    })
}

fn name<T: std::str::FromStr<Err = muster_spec::NameError>>(text: &str) -> Result<Option<T>, Status> {
    let parsed = given(text).map(str::parse).transpose();
    parsed.map_err(|error: muster_spec::NameError| Status::invalid_argument(error.to_string()))
}

#[tonic::async_trait]
impl PromotionService for Serve {
    async fn get_waves(
        &self,
        request: Request<v1::GetWavesRequest>,
    ) -> Result<Response<v1::GetWavesResponse>, Status> {
        let wanted = request.into_inner().track;
        let picture = self.promotion()?.picture();
        let tracks: Vec<v1::TrackStages> = picture
            .outlooks
            .iter()
            .filter(|outlook| wanted.is_empty() || outlook.track.as_str() == wanted)
            .map(shown)
            .collect();
        if tracks.is_empty() && !wanted.is_empty() {
            return Err(Status::not_found(format!(
                "there is no track {wanted:?}; `muster waves` lists all tracks"
            )));
        }
        let mismatch = |what: &'static str| {
            move |cluster: &String| v1::Mismatch { cluster: cluster.clone(), what: what.to_owned() }
        };
        let mismatches = picture.not_enrolled.iter().map(mismatch("in Git, not enrolled"));
        let mismatches = mismatches.chain(picture.not_in_git.iter().map(mismatch("enrolled, not in Git")));
        // What is wrong with them is no trouble with Git, and so not in the picture.
        let rules = self.0.fleet.read().await.alerts.problems(self.0.alerts.receivers());
        Ok(Response::new(v1::GetWavesResponse {
            waves: picture.waves.clone(),
            tracks,
            head_revision: picture.head.as_ref().map(ToString::to_string).unwrap_or_default(),
            fetched_at: picture.fetched_at.map(to_proto),
            problems: picture.problems.iter().cloned().chain(rules).collect(),
            mismatches: mismatches.collect(),
        }))
    }

    async fn decide(
        &self,
        request: Request<v1::DecideRequest>,
    ) -> Result<Response<v1::DecideResponse>, Status> {
        let call = admitted(&request)?;
        let (user, grant) = calling_user(&call)?;
        let request = request.into_inner();
        let verb = verb(request.verb())?;
        if request.reason.len() > REASON_BYTES_MAX {
            return Err(Status::invalid_argument(format!("a reason has at most {REASON_BYTES_MAX} bytes")));
        }
        let track = name(&request.track)?;
        if track.is_none() && verb != Verb::Hotfix {
            return Err(Status::invalid_argument("name the track"));
        }
        let wish = Wish {
            verb,
            wave: name(&request.wave)?,
            revision: None,
            reason: given(&request.reason).map(str::to_owned),
            author: user.name,
            groups: user.groups,
        };
        let revision = given(&request.revision).map(str::to_owned);
        let decided = self.ask(Question::Wish { track, wish, revision, grant }).await;
        self.remember(&call, &request, &decided).await?;
        match decided? {
            Asked::Committed { commit, subject } => Ok(Response::new(v1::DecideResponse { commit, subject })),
            _ => Err(Status::internal("the decision was answered with something else")),
        }
    }

    async fn list_decisions(
        &self,
        request: Request<v1::ListDecisionsRequest>,
    ) -> Result<Response<v1::ListDecisionsResponse>, Status> {
        let request = request.into_inner();
        let count = match request.limit {
            0 => DECISIONS_DEFAULT,
            limit => usize::try_from(limit).unwrap_or(DECISIONS_MAX).min(DECISIONS_MAX),
        };
        let given = |text: &str| given(text).map(str::to_owned);
        let (track, wave) = (given(&request.track), given(&request.wave));
        match self.ask(Question::Decisions { track, wave, count }).await? {
            Asked::Decisions(decided) => Ok(Response::new(v1::ListDecisionsResponse {
                decisions: decided.into_iter().map(told).collect(),
            })),
            _ => Err(Status::internal("the question was answered with something else")),
        }
    }
}

fn shown(outlook: &Outlook) -> v1::TrackStages {
    v1::TrackStages { track: outlook.track.to_string(), stages: outlook.stages.iter().map(stage).collect() }
}

fn stage(stage: &Stage) -> v1::Stage {
    let state = match stage.state {
        State::Empty => v1::StageState::Empty,
        State::Current => v1::StageState::Current,
        State::Progressing => v1::StageState::Progressing,
        State::Soaking => v1::StageState::Soaking,
        State::Waiting => v1::StageState::Waiting,
        State::AwaitingApproval => v1::StageState::AwaitingApproval,
        State::Rejected => v1::StageState::Rejected,
        State::Refused => v1::StageState::Refused,
        State::Gated => v1::StageState::Gated,
        State::Frozen => v1::StageState::Frozen,
        State::Paused => v1::StageState::Paused,
        State::Halted => v1::StageState::Halted,
    };
    let text = |revision: &Option<muster_spec::Revision>| {
        revision.as_ref().map(ToString::to_string).unwrap_or_default()
    };
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    v1::Stage {
        wave: stage.wave.to_string(),
        state: state.into(),
        revision: text(&stage.revision),
        previous_revision: text(&stage.previous),
        candidate_revision: text(&stage.candidate),
        detail: stage.detail.clone(),
        clusters: number(stage.clusters),
        reached: number(stage.reached),
        well: number(stage.tally.well),
    }
}

fn told(decided: Decided) -> v1::Decision {
    v1::Decision {
        commit: decided.commit,
        time: decided.time.map(to_proto),
        wave: decided.wave,
        track: decided.track,
        action: decided.action,
        from_revision: decided.from,
        to_revision: decided.to,
        reached: decided.reached,
        author: decided.author,
        evidence: decided.evidence,
    }
}
