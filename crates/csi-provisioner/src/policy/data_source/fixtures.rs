//! What the tests of all kinds of sources do alike.
#![allow(clippy::needless_pass_by_value)] // json! makes values

use serde_json::{Value, json};
use testkit::manifests::merge;

use super::Content;
use crate::policy::prepare::{Fetched, Inputs, Step, next};
use crate::policy::state::{Cause, Failure, State};

/// Goes on until the source is to be protected or the claim is refused. There are these grants in namespace `other`; `fetch`
/// fetches the rest.
pub(super) fn handle(
    inputs: &Inputs<'_>,
    grants: &Value,
    fetch: impl Fn(Step, &mut Fetched),
) -> Result<Content, Failure> {
    let mut fetched = Fetched::default();
    loop {
        match next(inputs, &fetched)? {
            Step::FetchGrants(namespace) => {
                assert_eq!(namespace, "other");
                fetched.grants = Some(serde_json::from_value(grants.clone()).unwrap());
            }
            Step::Protect(content) => return Ok(content),
            step => fetch(step, &mut fetched),
        }
    }
}

/// The words of a refusal, without those that all refusals of this source begin with.
pub(super) fn refusal(outcome: Result<Content, Failure>, source: &str) -> String {
    let failure = outcome.unwrap_err();
    assert_eq!((failure.state, failure.cause), (State::NoChange, Cause::Error), "{}", failure.message);
    let start = format!("error getting handle for DataSource Type {source}: ");
    failure.message.strip_prefix(&start).unwrap_or_else(|| panic!("{}", failure.message)).to_owned()
}

/// A grant for the fixture's claim and sources of this group and kind, with this on top of its one `from` and its one `to`.
pub(super) fn grant(group: &str, kind: &str, from: Value, to: Value) -> Value {
    let mut whole = json!({
        "from": {"group": "", "kind": "PersistentVolumeClaim", "namespace": "fake-ns"},
        "to": {"group": group, "kind": kind},
    });
    merge(&mut whole, &json!({"from": from, "to": to}));
    json!([{
        "metadata": {"namespace": "other", "name": "grant"},
        "spec": {"from": [whole["from"]], "to": [whole["to"]]},
    }])
}
