//! How does one object come to be as Git says?
//!
//! ```text
//! drift of a member ----------------------------------------------------> force
//! member, new content --> yield --held by others--> judge (conflicts.rs) --> force
//! unknown --> create --there is one--> look --> judge (adopt.rs) --> try, migrate, force
//! any of these --422--> judge (replace.rs) --> delete, wait, yield
//! ```
//!
//! An attempt overwrites nothing that it has not looked at, so it can be made again from the start after any failure.
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::adopt::{self, Claim, Standing};
use super::{Applied, Executor, conflicts, replace};
use crate::api::{ApiError, Apply, Cause, FieldConflict, Pass};
use crate::directives::Reconcile;
use crate::drift::{self, Projection};
use crate::object::{ObjectKey, going, text};
use crate::plan::Desired;
use crate::source::Conflicts;
use crate::watch::Observation;

/// How long an object that is to be created anew may take to go, and how often to look.
const GONE_TIMEOUT: Duration = Duration::from_secs(60);
const GONE_LOOK: Duration = Duration::from_millis(200);

/// What is known of an app when one of its plans is carried out, beside the plan.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// The app's own `spec.sync.conflicts`.
    pub(crate) conflicts: Conflicts,
    /// The objects to apply that are members already. Of any other it is not known whether it exists.
    pub(crate) members: BTreeMap<ObjectKey, Before>,
}

/// What Git said of a member when it was applied last.
#[derive(Clone, Debug)]
pub(crate) enum Before {
    /// The same as now: whatever is different was changed by others.
    Same,
    /// Something else; the fields it named, where this agent was there.
    Other(Option<Projection>),
}

/// Why an attempt failed.
pub(super) enum Failed {
    Api(ApiError),
    /// It is not to be done: a sentence says why.
    Refused(String),
    /// The run ends.
    Cancelled,
}

impl From<ApiError> for Failed {
    fn from(error: ApiError) -> Self {
        Failed::Api(error)
    }
}

/// One object being written.
pub(super) struct Attempt<'a> {
    pub(super) executor: &'a Executor,
    pub(super) app: &'a str,
    pub(super) key: &'a ObjectKey,
    pub(super) desired: &'a Desired,
    pub(super) known: &'a Known,
    pub(super) cancel: &'a CancellationToken,
}

impl Attempt<'_> {
    pub(super) async fn run(&self) -> Result<Applied, Failed> {
        match self.apply().await {
            Err(Failed::Api(ApiError::Invalid { message, causes })) => self.replace(message, &causes).await,
            result => result,
        }
    }

    async fn apply(&self) -> Result<Applied, Failed> {
        match self.known.members.get(self.key) {
            Some(Before::Same) => self.put(Apply::Force).await,
            Some(Before::Other(held)) => self.update(held.as_ref()).await,
            None => self.create().await,
        }
    }

    /// Makes what nobody is known to have made. Nearly always it is not there, and this one request is all.
    async fn create(&self) -> Result<Applied, Failed> {
        match self.put(Apply::Create).await {
            Err(Failed::Api(ApiError::Conflict(_) | ApiError::Held(_))) => {}
            result => return result,
        }
        match self.look().await? {
            None => self.put(Apply::Yield).await,
            Some(_) if self.desired.directives.reconcile == Reconcile::IfAbsent => self.leave().await,
            Some(live) => match self.judge(&live)? {
                Standing::Ours => self.update(None).await,
                Standing::From(who) => self.adopt(&live, &who).await,
            },
        }
    }

    /// Applies other content than before to a member.
    async fn update(&self, held: Option<&Projection>) -> Result<Applied, Failed> {
        match self.put(Apply::Yield).await {
            Err(Failed::Api(ApiError::Held(conflicts))) => {
                conflicts::judge(&conflicts, self.policy(), held).map_err(Failed::Refused)?;
                let applied = self.put(Apply::Force).await?;
                Ok(Applied { note: Some(conflicts::taken(&conflicts)), ..applied })
            }
            result => result,
        }
    }

    /// Takes over an object that somebody else made.
    async fn adopt(&self, live: &Value, who: &str) -> Result<Applied, Failed> {
        let migrates = !self.desired.directives.merge;
        let migration = migrates.then(|| adopt::migrate(live)).flatten();
        // Nothing is changed before it is known that all of it may be.
        let tried = self.put(if migration.is_some() { Apply::Try } else { Apply::Yield }).await;
        let (mut applied, taken): (_, Vec<FieldConflict>) = match tried {
            Ok(applied) if migration.is_none() => (applied, Vec::new()),
            Ok(_) => (self.take(migration.as_ref()).await?, Vec::new()),
            Err(Failed::Api(ApiError::Held(held))) => {
                conflicts::judge(&held, self.policy(), None).map_err(Failed::Refused)?;
                (self.take(migration.as_ref()).await?, held)
            }
            Err(failed) => return Err(failed),
        };
        // What the server kept no track of gets a manager by the first apply only.
        if migrates
            && adopt::is_untracked(live)
            && let Some(rest) = self.look().await?.as_ref().and_then(adopt::migrate)
        {
            applied = self.take(Some(&rest)).await?;
        }
        let taken = if taken.is_empty() { String::new() } else { format!(" {}", conflicts::taken(&taken)) };
        applied.note = Some(format!("Adopted from {who}.{taken}"));
        Ok(applied)
    }

    async fn take(&self, migration: Option<&Value>) -> Result<Applied, Failed> {
        if let Some(patch) = migration {
            let _permit = self.permit().await?;
            let (resource, ObjectKey { namespace, name, .. }) = (&self.desired.resource, self.key);
            self.executor.writer.patch(resource, namespace, name, patch).await?;
        }
        self.put(Apply::Force).await
    }

    /// It exists, and that is all that Git asks for.
    async fn leave(&self) -> Result<Applied, Failed> {
        let (resource, key) = (&self.desired.resource, self.key);
        let live = self.executor.api.get(resource, &key.namespace, &key.name).await?;
        let seen = Observation::of(resource, live).seen;
        Ok(Applied { seen, digest: self.desired.digest, projection: Projection::nothing(), note: None })
    }

    /// Deletes the object and creates it anew, where that is the only way and is allowed.
    async fn replace(&self, message: String, causes: &[Cause]) -> Result<Applied, Failed> {
        let (resource, key) = (&self.desired.resource, self.key);
        let body = self.desired.body.to_vec();
        let creatable =
            self.executor.writer.could_be_created(resource, &key.namespace, body).await.unwrap_or(false);
        let mut fields = replace::immutable(causes);
        if fields.is_empty() {
            if !creatable {
                return Err(Failed::Api(ApiError::Invalid { message, causes: causes.to_vec() }));
            }
            fields = replace::named(causes);
        }
        replace::may_replace(&key.kind, self.desired.directives.replace, &fields)
            .map_err(|refusal| Failed::Refused(format!("{refusal} The API server says: {message}.")))?;
        if !creatable {
            return Err(Failed::Refused(format!(
                "It cannot be changed in place, and once deleted it could not be created as it is. So nothing was \
                 deleted. {message}"
            )));
        }
        if let Some(live) = self.look().await? {
            self.judge(&live)?;
            let uid = text(&live, &["metadata", "uid"]);
            {
                let _permit = self.permit().await?;
                self.executor.writer.delete(resource, &key.namespace, &key.name, uid).await?;
            }
            self.await_gone(uid).await?;
        }
        let applied = self.put(Apply::Yield).await?;
        let fields = fields.join(", ");
        let note = Some(format!("Deleted and created anew, since {fields} cannot be changed in place."));
        Ok(Applied { note, ..applied })
    }

    async fn await_gone(&self, uid: &str) -> Result<(), Failed> {
        let start = tokio::time::Instant::now();
        loop {
            let live = match self.look().await? {
                Some(live) if text(&live, &["metadata", "uid"]) == uid => live,
                _ => return Ok(()),
            };
            if start.elapsed() > GONE_TIMEOUT {
                let why = going(&live).unwrap_or_default();
                return Err(Failed::Refused(format!("{why} It is created anew once it is gone.")));
            }
            tokio::select! {
                () = tokio::time::sleep(GONE_LOOK) => {}
                () = self.cancel.cancelled() => return Err(Failed::Cancelled),
            }
        }
    }

    /// Decides about what is there.
    fn judge(&self, live: &Value) -> Result<Standing, Failed> {
        if let Some(why) = going(live) {
            return Err(Failed::Refused(format!("{why} It is created anew once it is gone.")));
        }
        let claim = Claim { app: self.app, home: &self.executor.home, conflicts: self.policy() };
        adopt::judge(live, &claim).map_err(Failed::Refused)
    }

    /// The metadata of what is there by the object's name.
    async fn look(&self) -> Result<Option<Value>, Failed> {
        let ObjectKey { namespace, name, .. } = self.key;
        match self.executor.api.get_metadata(&self.desired.resource, namespace, name).await {
            Ok(live) => Ok(Some(live)),
            Err(ApiError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn put(&self, mode: Apply) -> Result<Applied, Failed> {
        let pass = self.permit().await?;
        let (resource, ObjectKey { namespace, name, .. }) = (&self.desired.resource, self.key);
        let body = if mode == Apply::Create { self.desired.body.to_vec() } else { self.body().await? };
        let began = Instant::now();
        let answer = self.executor.writer.apply(resource, namespace, name, body, mode).await;
        pass.answered(&answer, began.elapsed());
        Ok(applied(self.desired, answer?))
    }

    /// What is sent: without what is ignored, unless the object is not there yet.
    async fn body(&self) -> Result<Vec<u8>, ApiError> {
        let Desired { resource, body, ignored, .. } = self.desired;
        let Some(ignored) = ignored else { return Ok(body.to_vec()) };
        let live = match self.executor.api.get(resource, &self.key.namespace, &self.key.name).await {
            Err(ApiError::NotFound { .. }) => return Ok(body.to_vec()),
            live => live?,
        };
        let wanted: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        let mut reduced = ignored.reduce(&wanted, &live);
        if reduced.keeps_live_values {
            // Refused when somebody has changed them meanwhile; then they are read again.
            reduced.object["metadata"]["resourceVersion"] =
                text(&live, &["metadata", "resourceVersion"]).into();
        }
        Ok(reduced.object.to_string().into_bytes())
    }

    async fn permit(&self) -> Result<Pass<'_>, Failed> {
        let pass = self.executor.writes.enter().await.ok_or(Failed::Cancelled)?;
        if self.cancel.is_cancelled() { Err(Failed::Cancelled) } else { Ok(pass) }
    }

    fn policy(&self) -> Conflicts {
        self.desired.directives.conflicts.unwrap_or(self.known.conflicts)
    }
}

/// What an object is right after it was written.
pub(super) fn applied(desired: &Desired, object: Value) -> Applied {
    let projection = match drift::our_fields(&object) {
        Some(fields) => {
            let wanted = serde_json::from_slice(&desired.body).unwrap_or(Value::Null);
            Projection::of(fields, &wanted, &drift::regarded(&object, desired.ignored.as_deref()))
        }
        None => Projection::nothing(),
    };
    let seen = Observation::of(&desired.resource, object).seen;
    Applied { seen, digest: desired.digest, projection, note: None }
}
