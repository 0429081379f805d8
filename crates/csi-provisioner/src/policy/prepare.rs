//! From a claim and its class to the request for a volume, or the reason why there cannot be one (sheet 5.3).
//!
//! Some inputs exist only in the API: a snapshot, a Secret, a VolumeAttributesClass, the annotations of the claim. So this is
//! asked several times: [`next`] says what to fetch, the shell fetches it and asks again, until the plan is complete. The
//! checks keep the sheet's order; the first that fails decides text and state.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use sidecar_core::objects::{AttributesClass, Claim, Class, Volume, VolumeMode};
use sidecar_core::quantity::Quantity;
use snapshot_api::v1::{VolumeSnapshot, VolumeSnapshotContent};

use super::claim::{is_assigned, selected_node};
use super::data_source::grants::{self, Grant};
use super::data_source::{self, Content, Place, Reference, Source, clone, restore};
use super::driver::Driver;
use super::migration;
use super::names::VolumeNaming;
use super::parameters;
use super::secrets::{self, ClaimTokens, Purpose, SecretRef};
use super::state::{Cause, Failure};
use super::wish::{Form, VolumeWish, capabilities};

/// What the command line says about volumes.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent options of the command line")]
pub(crate) struct Settings {
    /// How volumes are called.
    pub naming: VolumeNaming,
    /// The file system of classes that name none.
    pub default_fs_type: String,
    /// Tell the driver the names of claim and volume.
    pub extra_create_metadata: bool,
    /// Mark volumes that are only read as read-only.
    pub controller_publish_readonly: bool,
    /// Gate Topology.
    pub topology: bool,
    /// Gate VolumeAttributesClass.
    pub attributes_class: bool,
    /// Gate CrossNamespaceVolumeDataSource.
    pub cross_namespace: bool,
    /// A snapshot keeps its volume mode unless somebody permits another.
    pub keep_volume_mode: bool,
    /// This process, as volumes remember it.
    pub identity: String,
}

/// What is known about a claim when its volume is planned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inputs<'a> {
    /// The command line.
    pub settings: &'a Settings,
    /// The driver.
    pub driver: &'a Driver,
    /// The claim.
    pub claim: &'a Claim,
    /// Its class.
    pub class: Option<&'a Class>,
}

/// What was fetched for the plan so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fetched {
    /// The claim's annotations.
    pub annotations: Option<BTreeMap<String, String>>,
    /// The provisioner Secret.
    pub secret: Option<BTreeMap<String, String>>,
    /// The VolumeAttributesClass.
    pub attributes_class: Option<AttributesClass>,
    /// The ReferenceGrants of the namespace that the source is in.
    pub grants: Option<Vec<Grant>>,
    /// The snapshot to restore from, as it is now.
    pub snapshot: Option<VolumeSnapshot>,
    /// Its content.
    pub snapshot_content: Option<VolumeSnapshotContent>,
    /// The claim to clone, as it is now.
    pub source_claim: Option<PersistentVolumeClaim>,
    /// Its volume.
    pub source_volume: Option<LookedUp>,
    /// What the driver calls the source, which is protected by now. Known from the start when the driver may be at work on
    /// it: then the same request has to be repeated, whatever became of the objects.
    pub content: Option<Content>,
}

/// What the cache has under a name, if anything.
#[derive(Clone, Debug)]
pub(crate) struct LookedUp(pub Option<Arc<Volume>>);

/// What has to be done next.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    /// Fetch the claim's annotations: a secret template uses them.
    FetchAnnotations,
    /// Fetch the provisioner Secret.
    FetchSecret(SecretRef),
    /// Fetch the VolumeAttributesClass of this name.
    FetchAttributesClass(String),
    /// Fetch the ReferenceGrants of this namespace.
    FetchGrants(String),
    /// Fetch this snapshot; from here on it is in use.
    FetchSnapshot(Place),
    /// Fetch the snapshot content of this name.
    FetchSnapshotContent(String),
    /// Fetch this claim; from here on it is in use.
    FetchSourceClaim(Place),
    /// Look up the volume of this name.
    FetchSourceVolume(String),
    /// See to it that the snapshot or claim which was fetched cannot go, unless it has changed since. The content is
    /// known then.
    Protect(Content),
    /// Everything is known: ask the driver.
    Create(Box<Plan>),
}

/// A volume to be made.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    /// What the driver is asked for.
    pub wish: VolumeWish,
    /// Secret for creation and deletion.
    pub provisioner_secret: Option<SecretRef>,
    /// The other secrets, for the volume to remember.
    pub references: References,
    /// File system of the volume; empty for block volumes and where nobody cares.
    pub fs_type: String,
    /// Whether topology is in use and a node was chosen, so that another could be.
    pub node_selected: bool,
    /// Whether the class is one of the in-tree plugin that the driver replaces, so that the volume is to be, too.
    pub migrated: bool,
}

/// Secrets that are not used here but by those who use the volume.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct References {
    /// ControllerPublishVolume.
    pub controller_publish: Option<SecretRef>,
    /// NodeStageVolume.
    pub node_stage: Option<SecretRef>,
    /// NodePublishVolume.
    pub node_publish: Option<SecretRef>,
    /// ControllerExpandVolume.
    pub controller_expand: Option<SecretRef>,
    /// NodeExpandVolume.
    pub node_expand: Option<SecretRef>,
    /// ControllerModifyVolume.
    pub controller_modify: Option<SecretRef>,
}

/// What comes next for the claim in `inputs`, with what was `fetched` so far.
pub(crate) fn next(inputs: &Inputs<'_>, fetched: &Fetched) -> Result<Step, Failure> {
    let Inputs { settings, driver, claim, .. } = *inputs;
    if !is_assigned(&driver.names, claim) {
        return Err(Failure::ignored(format!("claim is not for driver {}", driver.names.name())));
    }
    let class = inputs.class.ok_or_else(|| Failure::finished("storage class was nil"))?;
    let reference = data_source::reference(claim, settings.cross_namespace).map_err(Failure::finished)?;
    if let Some(namespace) = needs_grants(claim, reference.as_ref(), fetched)? {
        return Ok(Step::FetchGrants(namespace));
    }
    let migrated = driver.names.is_in_tree(&class.provisioner);
    let class = migration::class(&driver.names, class).map_err(Failure::finished)?;
    let class = &*class;
    let source = data_source::source(claim, reference.as_ref()).map_err(Failure::finished)?;
    if let Source::Populator { kind } = &source {
        let message = format!(
            "data source ({kind}) is not handled by the provisioner, assuming an external populator will provision it"
        );
        return Err(Failure { cause: Cause::Populator, ..Failure::finished(message) });
    }
    let attributes_class = attributes_class_name(settings, claim);
    check_capabilities(driver, &source, attributes_class.is_some())?;
    if claim.has_selector {
        return Err(Failure::finished("claim Selector is not supported"));
    }
    let mut wish = VolumeWish {
        name: settings.naming.volume_name(&claim.meta.uid.to_string()).map_err(Failure::finished)?,
        ..VolumeWish::default()
    };
    let fs_type =
        parameters::fs_type(&class.parameters, &settings.default_fs_type).map_err(Failure::finished)?;
    let is_block = claim.volume_mode == Some(VolumeMode::Block);
    wish.required_bytes = requested_bytes(claim)?;
    wish.capabilities = capabilities(
        claim.access_modes.iter(),
        if is_block { Form::Block } else { Form::Mount { fs_type: &fs_type, options: &class.mount_options } },
        driver.capabilities.single_node_multi_writer,
    )
    .map_err(Failure::finished)?;
    wish.content = match content(inputs, class, &source, wish.required_bytes, fetched)? {
        Filling::Known(content) => content,
        Filling::Needs(step) => return Ok(step),
    };
    refuse_topology(settings, driver)?;

    let Some((provisioner_secret, references)) = secrets(inputs, class, &wish.name, fetched)? else {
        return Ok(Step::FetchAnnotations);
    };
    if let (Some(secret), None) = (&provisioner_secret, &fetched.secret) {
        return Ok(Step::FetchSecret(secret.clone()));
    }
    let references = references()?;
    wish.parameters = parameters::strip_prefixed(&class.parameters).map_err(Failure::finished)?;
    if settings.extra_create_metadata {
        let namespace = claim.meta.namespace.as_deref().unwrap_or_default();
        parameters::add_metadata(&mut wish.parameters, &claim.meta.name, namespace, &wish.name);
    }
    match (attributes_class, &fetched.attributes_class) {
        (Some(name), None) => return Ok(Step::FetchAttributesClass(name.to_owned())),
        (Some(name), Some(found)) => {
            wish.mutable_parameters = mutable_parameters(driver, name, found)?;
        }
        (None, _) => {}
    }
    let node_selected = uses_topology(settings, driver) && selected_node(claim).is_some();
    let fs_type = if is_block { String::new() } else { fs_type };
    Ok(Step::Create(Box::new(Plan {
        wish,
        provisioner_secret,
        references,
        fs_type,
        node_selected,
        migrated,
    })))
}

/// The namespace whose ReferenceGrants are missing, if the claim refers to something outside its own.
fn needs_grants(
    claim: &Claim,
    reference: Option<&Reference<'_>>,
    fetched: &Fetched,
) -> Result<Option<String>, Failure> {
    let namespace = claim.meta.namespace();
    let Some(reference) = reference.filter(|reference| reference.namespace != namespace) else {
        return Ok(None);
    };
    match &fetched.grants {
        // The driver was asked already.
        _ if fetched.content.is_some() => Ok(None),
        None => Ok(Some(reference.namespace.to_owned())),
        Some(grants) if grants::permit(grants, namespace, reference) => Ok(None),
        Some(_) => Err(Failure::finished(grants::refusal(namespace, &claim.meta.name, reference))),
    }
}

/// What is known of the content of a volume.
enum Filling {
    /// All there is to know, and the source is protected.
    Known(Option<Content>),
    /// This has to be done first.
    Needs(Step),
}

/// Rows 15 to 17: what the driver calls the source. Nothing is done to the source before all checks have passed.
fn content(
    inputs: &Inputs<'_>,
    class: &Class,
    source: &Source,
    bytes: i64,
    fetched: &Fetched,
) -> Result<Filling, Failure> {
    if let Some(content) = &fetched.content {
        return Ok(Filling::Known(Some(content.clone())));
    }
    let Inputs { settings, driver, claim, .. } = *inputs;
    let driver = driver.names.name();
    let wrong = |problem: String| Failure::no_change(source.problem(problem));
    let step = match source {
        Source::Empty | Source::Populator { .. } => return Ok(Filling::Known(None)),
        Source::Snapshot(place) => {
            let wanted = restore::Wanted {
                claim,
                bytes,
                driver,
                class: &class.meta.name,
                keep_mode: settings.keep_volume_mode,
            };
            match (&fetched.snapshot, &fetched.snapshot_content) {
                (None, _) => Step::FetchSnapshot(place.clone()),
                (Some(snapshot), None) => {
                    let name = restore::content_name(place, snapshot).map_err(wrong)?;
                    Step::FetchSnapshotContent(name.to_owned())
                }
                (Some(snapshot), Some(content)) => {
                    Step::Protect(restore::check(&wanted, place, snapshot, content).map_err(wrong)?)
                }
            }
        }
        Source::Claim(place) => {
            let wanted = clone::Wanted { claim, bytes, driver };
            match (&fetched.source_claim, &fetched.source_volume) {
                (None, _) => Step::FetchSourceClaim(place.clone()),
                (Some(source), None) => {
                    let name = clone::volume_name(&wanted, place, source).map_err(wrong)?;
                    Step::FetchSourceVolume(name.to_owned())
                }
                (Some(source), Some(volume)) => {
                    let found = clone::check(&wanted, place, source, volume.0.as_deref());
                    Step::Protect(found.map_err(wrong)?)
                }
            }
        }
    };
    Ok(Filling::Needs(step))
}

/// The size that the claim asks for, rounded up to whole bytes.
fn requested_bytes(claim: &Claim) -> Result<i64, Failure> {
    match &claim.requested {
        None => Ok(0),
        Some(text) => Quantity::parse(text)
            .map(|size| size.value())
            .map_err(|error| Failure::finished(format!("requested size {text:?} cannot be read: {error}"))),
    }
}

/// The VolumeAttributesClass that the claim names, if the gate lets it count.
pub(crate) fn attributes_class_name<'a>(settings: &Settings, claim: &'a Claim) -> Option<&'a str> {
    claim.attributes_class.as_deref().filter(|name| settings.attributes_class && !name.is_empty())
}

/// Whether volumes have to be made where they can be reached.
pub(crate) fn uses_topology(settings: &Settings, driver: &Driver) -> bool {
    settings.topology && driver.capabilities.accessibility_constraints
}

fn check_capabilities(driver: &Driver, source: &Source, modifies: bool) -> Result<(), Failure> {
    let can = &driver.capabilities;
    can.check_provisioning().map_err(Failure::finished)?;
    let missing = match source {
        Source::Snapshot(_) if !can.create_delete_snapshot => {
            "snapshot restore: controller CREATE_DELETE_SNAPSHOT"
        }
        Source::Claim(_) if !can.clone_volume => "clone operations: controller CLONE_VOLUME",
        _ if modifies && !can.modify_volume => "VolumeAttributesClass: controller MODIFY_VOLUME",
        _ => return Ok(()),
    };
    Err(Failure::finished(format!("CSI driver does not support {missing} capability is not reported")))
}

/// What later versions do. Until then it is refused here, after the checks that would refuse it anyway.
fn refuse_topology(settings: &Settings, driver: &Driver) -> Result<(), Failure> {
    if uses_topology(settings, driver) {
        return Err(Failure::finished(format!(
            "driver {} reports VOLUME_ACCESSIBILITY_CONSTRAINTS, but topology is not supported yet by this version; \
             run csi-provisioner with --feature-gates=Topology=false if its volumes can be reached from every node",
            driver.names.name()
        )));
    }
    Ok(())
}

/// The other references, checked only after the provisioner Secret was fetched.
type Rest<'a> = Box<dyn FnOnce() -> Result<References, Failure> + 'a>;

/// The provisioner Secret, and how to find the rest; `None` if the claim's annotations are needed first.
fn secrets<'a>(
    inputs: &Inputs<'a>,
    class: &'a Class,
    volume_name: &str,
    fetched: &'a Fetched,
) -> Result<Option<(Option<SecretRef>, Rest<'a>)>, Failure> {
    if fetched.annotations.is_none() && secrets::needs_annotations(&class.parameters) {
        return Ok(None);
    }
    let claim = inputs.claim;
    let volume_name = volume_name.to_owned();
    let resolve = move |purpose| {
        let tokens = ClaimTokens {
            namespace: claim.meta.namespace.as_deref().unwrap_or_default(),
            name: &claim.meta.name,
            annotations: fetched.annotations.as_ref(),
        };
        secrets::resolve(purpose, &class.parameters, &volume_name, Some(&tokens)).map_err(Failure::no_change)
    };
    let provisioner = resolve(Purpose::Provisioner)?;
    let rest = move || {
        Ok(References {
            controller_publish: resolve(Purpose::ControllerPublish)?,
            node_stage: resolve(Purpose::NodeStage)?,
            node_publish: resolve(Purpose::NodePublish)?,
            controller_expand: resolve(Purpose::ControllerExpand)?,
            node_expand: resolve(Purpose::NodeExpand)?,
            controller_modify: resolve(Purpose::ControllerModify)?,
        })
    };
    Ok(Some((provisioner, Box::new(rest))))
}

fn mutable_parameters(
    driver: &Driver,
    name: &str,
    found: &AttributesClass,
) -> Result<BTreeMap<String, String>, Failure> {
    let ours = driver.names.name();
    if &*found.driver != ours {
        return Err(Failure::finished(format!(
            "VAC {name} referenced in PVC is for driver {} which does not match driver name {ours}",
            found.driver
        )));
    }
    Ok(found.parameters.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect())
}

#[cfg(test)]
mod tests;
