//! What is refused before anything starts.

use std::time::Duration;

use super::super::{DEFAULT_TIMING, ElectionConfig, ElectionFlags, Timing};
use super::seconds;
use crate::context::{Context, Variables};
use crate::exit::Exit;
use crate::flags::{self, Binary};

fn refusal(lease: Duration, renew: Duration, retry: Duration) -> String {
    let timing = Timing { lease_duration: lease, renew_deadline: renew, retry_period: retry };
    timing.validate().unwrap_err().to_string()
}

#[test]
fn durations_that_upstream_panics_about_are_refused_with_its_text() {
    assert_eq!(DEFAULT_TIMING.validate(), Ok(()));
    let text = refusal(seconds(10), seconds(10), seconds(2));
    assert!(text.starts_with("leaseDuration must be greater than renewDeadline"), "{text}");
    assert!(text.contains("--leader-election-lease-duration=10s"), "{text}");
    let text = refusal(seconds(15), seconds(6), seconds(5));
    assert!(text.starts_with("renewDeadline must be greater than retryPeriod*JitterFactor"), "{text}");
    for (lease, renew, retry, name) in
        [(0, 10, 5, "leaseDuration"), (15, 0, 5, "renewDeadline"), (15, 10, 0, "retryPeriod")]
    {
        let text = refusal(seconds(lease), seconds(renew), seconds(retry));
        assert!(text.starts_with(&format!("{name} must be greater than zero")), "{text}");
    }
}

#[test]
fn a_lease_of_less_than_a_second_is_refused_since_the_api_server_would() {
    let text = refusal(Duration::from_millis(900), Duration::from_millis(500), Duration::from_millis(100));
    assert!(text.contains("at least one second"), "{text}");
    assert!(text.contains("900ms"), "{text}");
}

#[test]
fn a_host_without_a_name_cannot_compete() {
    assert!(ElectionConfig::new("lock", "default", "").validate().is_err());
}

#[test]
fn a_leader_never_trusts_a_record_longer_than_others_do() {
    assert_eq!(DEFAULT_TIMING.trust(), Duration::from_millis(12_500));
    assert_eq!(DEFAULT_TIMING.renewal_pause(), seconds(5));
    let fractional = Timing {
        lease_duration: Duration::from_millis(1900),
        renew_deadline: Duration::from_millis(1800),
        retry_period: Duration::from_millis(1400),
    };
    assert_eq!(fractional.validate(), Ok(()));
    assert_eq!(fractional.trust(), seconds(1), "others read one second");
    assert!(fractional.renewal_pause() < seconds(1));
}

#[test]
fn holder_is_the_sanitised_host_name_and_the_event_source_is_not() {
    let config =
        ElectionConfig::new("external-attacher-leader-hostpath.csi.k8s.io", "default", "node.example");
    assert_eq!(config.holder(), "node-example");
    assert_eq!(config.lease_name(), "external-attacher-leader-hostpath-csi-k8s-io");
    assert_eq!(config.event_component(), "external-attacher-leader-hostpath.csi.k8s.io/node.example");
}

fn read(arguments: &[&str]) -> Result<Option<ElectionFlags>, Exit> {
    let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
    let parsed = flags::parse(Binary::Attacher, "csi-attacher", &arguments, &Variables::default())?;
    ElectionFlags::read(&parsed)
}

#[test]
fn flags_that_do_not_fit_together_end_with_code_2_but_only_when_leader_election_is_on() {
    let periods = ["--leader-election-lease-duration=10s", "--leader-election-renew-deadline=10s"];
    assert!(read(&periods).unwrap().is_none());
    let exit = read(&[&["--leader-election"], &periods[..]].concat()).unwrap_err();
    assert_eq!(exit.code, 2);
    assert!(exit.message.starts_with("panic: leaseDuration must be greater than renewDeadline"), "{exit}");
    let exit = read(&["--leader-election", "--leader-election-retry-period=-1s"]).unwrap_err();
    assert!(exit.message.starts_with("panic: retryPeriod must be greater than zero"), "{exit}");
}

#[test]
fn flags_and_environment_decide_about_namespace_identity_and_labels() {
    let context = Context::builder()
        .hostname("pod-0.example")
        .variables(Variables::from_pairs([("POD_NAMESPACE", "storage")]))
        .build();
    let given = read(&["--leader-election", "--leader-election-labels=team:storage"]).unwrap().unwrap();
    let config = given.config(&context, "driver", true);
    assert_eq!((&*config.namespace, &*config.holder()), ("storage", "pod-0-example"));
    assert_eq!(config.labels["team"], "storage");
    assert_eq!(config.timing, DEFAULT_TIMING);
    assert!(config.release_on_exit);
    let given =
        read(&["--leader-election", "--leader-election-namespace=other", "--leader-election-identity=me"]);
    let config = given.unwrap().unwrap().config(&context, "driver", false);
    assert_eq!((&*config.namespace, &*config.holder()), ("other", "me"));
    let in_pod = Context::builder().account_namespace(Some("csi".into())).build();
    let given = read(&["--leader-election"]).unwrap().unwrap();
    assert_eq!(given.config(&in_pod, "driver", false).namespace, "csi");
    assert_eq!(given.config(&Context::builder().build(), "driver", false).namespace, "default");
}
