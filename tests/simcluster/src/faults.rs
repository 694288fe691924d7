//! Which requests are to fail, because somebody asked for it?

/// Makes matching requests fail a number of times.
///
/// ```
/// # use muster_simcluster::Fault;
/// let busy = Fault::status(429).verb("patch").resource("deployments").times(3).retry_after_seconds(1);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub(crate) code: u16,
    pub(crate) verb: Option<String>,
    pub(crate) resource: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) writes: bool,
    pub(crate) after: u32,
    pub(crate) times: u32,
    pub(crate) retry_after_seconds: Option<u32>,
}

impl Fault {
    /// Answers with this HTTP status (409, 429, 500, 503, ...) once, whatever is asked.
    pub fn status(code: u16) -> Fault {
        Fault {
            code,
            verb: None,
            resource: None,
            name: None,
            writes: false,
            after: 0,
            times: 1,
            retry_after_seconds: None,
        }
    }

    /// Only requests with this verb: get, list, watch, create, update, patch, delete, deletecollection.
    #[must_use]
    pub fn verb(mut self, verb: &str) -> Fault {
        self.verb = Some(verb.to_owned());
        self
    }

    /// Only requests that change something, those for Leases aside.
    #[must_use]
    pub fn writes(mut self) -> Fault {
        self.writes = true;
        self
    }

    /// So many matching requests are answered before the first one fails.
    #[must_use]
    pub fn after(mut self, requests: u32) -> Fault {
        self.after = requests;
        self
    }

    /// Only requests for this resource, in the plural: `deployments`.
    #[must_use]
    pub fn resource(mut self, resource: &str) -> Fault {
        self.resource = Some(resource.to_owned());
        self
    }

    /// Only requests for objects of this name.
    #[must_use]
    pub fn name(mut self, name: &str) -> Fault {
        self.name = Some(name.to_owned());
        self
    }

    /// How many requests fail; `u32::MAX` is as good as all.
    #[must_use]
    pub fn times(mut self, times: u32) -> Fault {
        self.times = times;
        self
    }

    /// Sends a Retry-After header.
    #[must_use]
    pub fn retry_after_seconds(mut self, seconds: u32) -> Fault {
        self.retry_after_seconds = Some(seconds);
        self
    }

    fn matches(&self, verb: &str, resource: &str, name: &str) -> bool {
        let fits =
            |wanted: &Option<String>, given: &str| wanted.as_ref().is_none_or(|wanted| wanted == given);
        let writes = !matches!(verb, "get" | "list" | "watch") && resource != "leases";
        fits(&self.verb, verb)
            && fits(&self.resource, resource)
            && fits(&self.name, name)
            && (writes || !self.writes)
    }
}

/// The faults that are still to happen.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pending: Vec<Fault>,
}

impl Faults {
    pub(crate) fn add(&mut self, fault: Fault) {
        self.pending.push(fault);
    }

    pub(crate) fn clear(&mut self) {
        self.pending.clear();
    }

    /// The fault this request meets, which is used up by it.
    pub(crate) fn meet(&mut self, verb: &str, resource: &str, name: &str) -> Option<Fault> {
        let fault = self.pending.iter_mut().find(|fault| fault.matches(verb, resource, name))?;
        if fault.after > 0 {
            fault.after -= 1;
            return None;
        }
        fault.times = fault.times.saturating_sub(1);
        let met = fault.clone();
        self.pending.retain(|fault| fault.times > 0);
        Some(met)
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, Faults};

    #[test]
    fn a_fault_happens_as_often_as_asked_and_only_where_it_matches() {
        let mut faults = Faults::default();
        faults.add(Fault::status(503).verb("patch").resource("deployments").times(2));
        assert!(faults.meet("get", "deployments", "web").is_none());
        assert!(faults.meet("patch", "services", "web").is_none());
        assert!(faults.meet("patch", "deployments", "web").is_some());
        assert!(faults.meet("patch", "deployments", "db").is_some());
        assert!(faults.meet("patch", "deployments", "web").is_none());
    }

    #[test]
    fn a_fault_may_come_after_so_many_writes() {
        let mut faults = Faults::default();
        faults.add(Fault::status(503).writes().after(2).times(2));
        for (verb, resource, fails) in [
            ("patch", "configmaps", false),
            ("get", "configmaps", false),
            ("update", "leases", false),
            ("delete", "jobs", false),
            ("list", "jobs", false),
            ("create", "namespaces", true),
            ("patch", "configmaps", true),
            ("patch", "configmaps", false),
        ] {
            assert_eq!(faults.meet(verb, resource, "a").is_some(), fails, "{verb} {resource}");
        }
    }
}
