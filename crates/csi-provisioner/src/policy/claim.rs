//! Is this claim ours to provision, and may it be done now? (Sheet 5.2, steps 3 and 5 a.)

use sidecar_core::objects::{BindingMode, Claim, Class, Volume};

use super::names::Provisioner;

/// What a look at a claim says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Provision it.
    Provision,
    /// Nothing to do until something changes.
    Leave(Reason),
    /// Ours, but its class is not in the cache.
    ClassMissing,
}

/// Why a claim is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It has a volume.
    Bound,
    /// Another provisioner has it, or none yet.
    NotOurs,
    /// The scheduler has not chosen a node yet.
    WaitsForFirstConsumer,
}

/// Whether `claim`, whose class is `class` as far as the cache knows, should be provisioned.
pub(crate) fn should_provision(provisioner: &Provisioner, claim: &Claim, class: Option<&Class>) -> Verdict {
    if claim.volume_name.as_deref().is_some_and(|name| !name.is_empty()) {
        return Verdict::Leave(Reason::Bound);
    }
    if !is_assigned(provisioner, claim) || !claim.provisioner.as_deref().is_some_and(|p| provisioner.knows(p))
    {
        return Verdict::Leave(Reason::NotOurs);
    }
    match class {
        None => Verdict::ClassMissing,
        Some(class)
            if class.binding_mode == BindingMode::WaitForFirstConsumer && !has_selected_node(claim) =>
        {
            Verdict::Leave(Reason::WaitsForFirstConsumer)
        }
        Some(_) => Verdict::Provision,
    }
}

/// Whether the claim was handed to our driver, directly or by migration.
pub(crate) fn is_assigned(provisioner: &Provisioner, claim: &Claim) -> bool {
    let is_driver = |name: Option<&str>| name == Some(provisioner.name());
    is_driver(claim.provisioner.as_deref()) || is_driver(claim.migrated_to.as_deref())
}

fn has_selected_node(claim: &Claim) -> bool {
    claim.selected_node.as_deref().is_some_and(|node| !node.is_empty())
}

/// The node chosen for the claim: the alpha annotation counts only where the present one is absent.
pub(crate) fn selected_node(claim: &Claim) -> Option<&str> {
    let node = claim.selected_node.as_deref().or(claim.selected_node_alpha.as_deref());
    node.filter(|node| !node.is_empty())
}

/// Whether a change of a claim is a reason to look at it now. That its finalizers have changed is none: ours come and go with
/// every attempt under `--leak-protection`, so each would lead to the next one at once.
pub(crate) fn is_news(old: &Claim, new: &Claim) -> bool {
    if new.meta.deleting || old.meta.finalizers == new.meta.finalizers {
        return true;
    }
    let mut expected = old.clone();
    expected.meta.finalizers = new.meta.finalizers.clone();
    expected.meta.resource_version = new.meta.resource_version;
    expected != *new
}

/// What a volume that already has the name of the claim's volume means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Existing {
    /// It was made for this claim: nothing is left to do.
    Ours,
    /// It belongs to someone else: it must not be touched, and the driver must not be asked for that name again.
    Foreign,
}

/// Whose `volume` is, if it carries the name that the volume of `claim` would get.
pub(crate) fn existing(claim: &Claim, volume: &Volume) -> Existing {
    let same = volume.claim.as_ref().is_some_and(|reference| reference.uid == claim.meta.uid);
    if same { Existing::Ours } else { Existing::Foreign }
}

/// What a live look at a claim says before its request is repeated (upstream issue 1469).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Live {
    /// Still unbound: go on.
    Unbound,
    /// It got a volume meanwhile, under the name that ours has or will have.
    Bound,
    /// It got another volume than ours.
    BoundElsewhere,
    /// It is gone, or another claim has its name.
    Gone,
}

/// Reads a live claim: `uid` and `volume_name` of what is there under the name of `claim`, if anything is. `own` is the name
/// of the volume that is made for it.
pub(crate) fn live(claim: &Claim, own: &str, found: Option<(&str, Option<&str>)>) -> Live {
    match found {
        Some((uid, _)) if claim.meta.uid != *uid => Live::Gone,
        Some((_, Some(name))) if name == own => Live::Bound,
        Some((_, Some(name))) if !name.is_empty() => Live::BoundElsewhere,
        Some(_) => Live::Unbound,
        None => Live::Gone,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::policy::fixtures::{claim, class, volume};

    const GA: &str = "volume.kubernetes.io/storage-provisioner";
    const BETA: &str = "volume.beta.kubernetes.io/storage-provisioner";

    fn verdict(claim_overlay: &Value, class_overlay: &Value) -> Verdict {
        let class = class(class_overlay);
        should_provision(&Provisioner::new("test-driver"), &claim(claim_overlay), Some(&class))
    }

    /// A claim with exactly these annotations.
    fn annotated(pairs: &[(&str, &str)]) -> Value {
        let mut annotations = json!({GA: null});
        for (key, value) in pairs {
            annotations[key] = json!(value);
        }
        json!({"metadata": {"annotations": annotations}})
    }

    #[test]
    fn should_provision_claim_bound() {
        let bound = json!({"spec": {"volumeName": "pv"}});
        assert_eq!(verdict(&bound, &json!({})), Verdict::Leave(Reason::Bound));
    }

    #[test]
    fn should_provision_class_missing() {
        let provisioner = Provisioner::new("test-driver");
        assert_eq!(should_provision(&provisioner, &claim(&json!({})), None), Verdict::ClassMissing);
        let nobody = claim(&annotated(&[]));
        assert_eq!(should_provision(&provisioner, &nobody, None), Verdict::Leave(Reason::NotOurs));
    }

    #[test]
    fn should_provision_foreign_annotation_beta_or_ga_or_none() {
        for annotations in [&[(GA, "other")][..], &[(BETA, "other")], &[]] {
            assert_eq!(verdict(&annotated(annotations), &json!({})), Verdict::Leave(Reason::NotOurs));
        }
    }

    #[test]
    fn should_provision_ga_annotation_hides_beta() {
        let both = annotated(&[(GA, "other"), (BETA, "test-driver")]);
        assert_eq!(verdict(&both, &json!({})), Verdict::Leave(Reason::NotOurs));
    }

    #[test]
    fn should_provision_annotation_is_driver_beta_or_ga() {
        for key in [GA, BETA] {
            assert_eq!(verdict(&annotated(&[(key, "test-driver")]), &json!({})), Verdict::Provision);
        }
    }

    #[test]
    fn should_provision_annotation_is_additional_name() {
        let ebs = Provisioner::new("ebs.csi.aws.com");
        let migrated = claim(&annotated(&[
            (GA, "kubernetes.io/aws-ebs"),
            ("pv.kubernetes.io/migrated-to", "ebs.csi.aws.com"),
        ]));
        let class = class(&json!({"provisioner": "kubernetes.io/aws-ebs"}));
        assert_eq!(should_provision(&ebs, &migrated, Some(&class)), Verdict::Provision);
        let not_migrated = claim(&annotated(&[(GA, "kubernetes.io/aws-ebs")]));
        assert_eq!(
            should_provision(&ebs, &not_migrated, Some(&class)),
            Verdict::Leave(Reason::NotOurs),
            "qualifier says no"
        );
    }

    #[test]
    fn should_provision_wffc_without_and_with_selected_node() {
        let wffc = json!({"volumeBindingMode": "WaitForFirstConsumer"});
        for key in [GA, BETA] {
            let without = annotated(&[(key, "test-driver")]);
            assert_eq!(verdict(&without, &wffc), Verdict::Leave(Reason::WaitsForFirstConsumer));
            let empty = annotated(&[(key, "test-driver"), ("volume.kubernetes.io/selected-node", "")]);
            assert_eq!(verdict(&empty, &wffc), Verdict::Leave(Reason::WaitsForFirstConsumer));
            let with = annotated(&[(key, "test-driver"), ("volume.kubernetes.io/selected-node", "n1")]);
            assert_eq!(verdict(&with, &wffc), Verdict::Provision);
        }
    }

    #[test]
    fn selected_node_alpha_counts_only_without_the_present_key() {
        const NOW: &str = "volume.kubernetes.io/selected-node";
        const ALPHA: &str = "volume.alpha.kubernetes.io/selected-node";
        for (pairs, expected) in [
            (&[(ALPHA, "a")][..], Some("a")),
            (&[(ALPHA, "a"), (NOW, "n")], Some("n")),
            (&[(ALPHA, "a"), (NOW, "")], None),
            (&[], None),
        ] {
            assert_eq!(selected_node(&claim(&annotated(pairs))), expected);
        }
    }

    #[test]
    fn finalizers_that_come_and_go_are_no_news() {
        let old = claim(&json!({}));
        let is_news = |overlay: &Value| is_news(&old, &claim(overlay));
        let changed = |fields: Value| {
            let mut overlay = json!({"metadata": {"resourceVersion": "8", "finalizers": ["x"]}});
            testkit::manifests::merge(&mut overlay, &fields);
            overlay
        };
        assert!(!is_news(&changed(json!({}))));
        assert!(is_news(&changed(json!({"spec": {"volumeName": "pv"}}))));
        assert!(is_news(&changed(json!({"metadata": {"deletionTimestamp": "2026-11-21T05:00:00Z"}}))));
        assert!(
            is_news(&json!({"metadata": {"resourceVersion": "8"}})),
            "something that is not kept has changed"
        );
    }

    #[test]
    fn an_existing_volume_is_ours_only_with_the_claims_uid() {
        let claim = claim(&json!({}));
        let ours = volume(&json!({"spec": {"claimRef": {"uid": "testid"}}}));
        assert_eq!(existing(&claim, &ours), Existing::Ours);
        let other = volume(&json!({"spec": {"claimRef": {"uid": "other"}}}));
        assert_eq!(existing(&claim, &other), Existing::Foreign);
    }

    #[test]
    fn a_live_claim_decides_about_a_repeated_request() {
        let claim = claim(&json!({}));
        let live = |found| live(&claim, "pv", found);
        assert_eq!(live(Some(("testid", None))), Live::Unbound);
        assert_eq!(live(Some(("testid", Some("")))), Live::Unbound);
        assert_eq!(live(Some(("testid", Some("pv")))), Live::Bound);
        assert_eq!(live(Some(("testid", Some("other")))), Live::BoundElsewhere);
        assert_eq!(live(Some(("another", None))), Live::Gone);
        assert_eq!(live(None), Live::Gone);
    }
}
