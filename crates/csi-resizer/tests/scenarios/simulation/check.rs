//! What must hold at any moment, and what must be true in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use serde_json::Value;
use testkit::driver::Fact;
use testkit::simulation::World;

use super::IMPOSSIBLE;
use super::world::{Wishes, bytes, claim, volume};
use crate::setup::gi;

/// What has been seen of each claim so far.
#[derive(Default)]
pub(super) struct Seen {
    claims: Mutex<BTreeMap<String, History>>,
}

#[derive(Default)]
struct History {
    /// Largest sizes of claim and volume object.
    capacity: i64,
    volume: i64,
    /// Largest size that was called infeasible. A later try may have got it after all, without the end of it being written
    /// down before the user took it back (D8).
    excused: i64,
    /// Classes that the claim's status announced.
    targets: BTreeSet<String>,
}

impl Seen {
    /// Sizes never shrink and promise no more than there is, and nothing is done that was not announced.
    pub(super) fn check(&self, world: &World) -> Result<(), String> {
        let volumes = world.driver().volumes();
        let mut claims = self.claims.lock().unwrap();
        for pvc in world.api().objects("PersistentVolumeClaim") {
            let name = pvc["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            let pv = volume(world, &name);
            let seen = claims.entry(name.clone()).or_default();
            let real =
                volumes.iter().find(|volume| volume.id == format!("vol-{name}")).ok_or("a volume is lost")?;
            let capacity = bytes(&pvc["status"]["capacity"]["storage"]);
            let object = bytes(&pv["spec"]["capacity"]["storage"]);
            if capacity < seen.capacity || object < seen.volume {
                return Err(format!(
                    "{name} has shrunk: {capacity} < {}, {object} < {}",
                    seen.capacity, seen.volume
                ));
            }
            if capacity > real.capacity || object > real.capacity {
                return Err(format!(
                    "{name} promises more than there is: {capacity}, {object}, {}",
                    real.capacity
                ));
            }
            (seen.capacity, seen.volume) = (capacity, object);
            let announced = bytes(&pvc["status"]["allocatedResources"]["storage"]);
            if pvc["status"]["allocatedResourceStatuses"]["storage"] == "ControllerResizeInfeasible" {
                seen.excused = seen.excused.max(announced);
            }
            if real.capacity > announced.max(seen.excused).max(gi(1)) {
                return Err(format!("{name} has {} and is charged for {announced}", real.capacity));
            }
            seen.check_class(&name, &pvc, &pv, real.request.mutable_parameters.keys())?;
        }
        Ok(())
    }
}

impl History {
    fn check_class<'p>(
        &mut self,
        name: &str,
        pvc: &Value,
        pv: &Value,
        applied: impl Iterator<Item = &'p String>,
    ) -> Result<(), String> {
        let status = &pvc["status"];
        if let Some(target) = status["modifyVolumeStatus"]["targetVolumeAttributesClassName"].as_str() {
            self.targets.insert(target.to_owned());
        }
        for class in applied {
            if !self.targets.contains(class) {
                return Err(format!("{name} got class {class} without being charged for it"));
            }
        }
        let finished = status["modifyVolumeStatus"].is_null();
        let (current, object) =
            (&status["currentVolumeAttributesClassName"], &pv["spec"]["volumeAttributesClassName"]);
        if finished && current != object {
            return Err(format!("{name} says {current}, its volume says {object}"));
        }
        Ok(())
    }
}

/// Every claim has what was last wanted, or says that it cannot be had; nothing is in progress.
pub(super) fn settled(world: &World, wishes: &Wishes) -> Result<(), String> {
    for wish in wishes.lock().unwrap().iter() {
        let (pvc, pv) = (claim(world, &wish.claim), volume(world, &wish.claim));
        let status = &pvc["status"];
        let name = &wish.claim;
        if !wish.settled {
            return Err(format!("the user of {name} is not done"));
        }
        let conditions: Vec<&str> = (status["conditions"].as_array().into_iter().flatten())
            .filter_map(|condition| condition["type"].as_str())
            .collect();
        size_is_settled(wish.size, status, &pv, &conditions).map_err(|why| format!("{name}: {why}"))?;
        class_is_settled(&wish.class, status, &pv, &conditions).map_err(|why| format!("{name}: {why}"))?;
        if !["", "impossible"].contains(&&*wish.class) && !is_applied(world, name, &wish.class) {
            return Err(format!("{name}: the driver has not applied {} last", wish.class));
        }
    }
    Ok(())
}

/// Whether this class is the one that the driver has applied last.
fn is_applied(world: &World, claim: &str, class: &str) -> bool {
    let volume = format!("vol-{claim}");
    let last = world.driver().history().into_iter().rev().find_map(|fact| match fact {
        Fact::Modified { id, parameters } if id == volume => Some(parameters),
        _ => None,
    });
    last.is_some_and(|parameters| parameters.contains_key(class))
}

fn size_is_settled(wanted: i64, status: &Value, pv: &Value, conditions: &[&str]) -> Result<(), String> {
    let progress = status["allocatedResourceStatuses"]["storage"].as_str().unwrap_or_default();
    if wanted == IMPOSSIBLE {
        return if progress == "ControllerResizeInfeasible" && conditions.contains(&"ControllerResizeError") {
            Ok(())
        } else {
            Err(format!("wants the impossible and says {progress:?} {conditions:?}"))
        };
    }
    let (capacity, object) =
        (bytes(&status["capacity"]["storage"]), bytes(&pv["spec"]["capacity"]["storage"]));
    if capacity < gi(wanted) || object < gi(wanted) {
        return Err(format!("has {capacity}, {object} instead of {wanted}Gi, {progress:?}"));
    }
    let about_size = ["Resizing", "FileSystemResizePending", "ControllerResizeError", "NodeResizeError"];
    if !progress.is_empty() || conditions.iter().any(|kind| about_size.contains(kind)) {
        return Err(format!("is still {progress:?} {conditions:?}"));
    }
    match &pv["metadata"]["annotations"]["volume.alpha.kubernetes.io/pre-resize-capacity"] {
        Value::Null => Ok(()),
        noted => Err(format!("its volume still says that it had {noted}")),
    }
}

fn class_is_settled(wanted: &str, status: &Value, pv: &Value, conditions: &[&str]) -> Result<(), String> {
    let modify = &status["modifyVolumeStatus"];
    let state = modify["status"].as_str().unwrap_or_default();
    match wanted {
        "" if state == "InProgress" => Err("is still being modified".to_owned()),
        "" if conditions.contains(&"ModifyingVolume") => {
            Err("still says that it is being modified".to_owned())
        }
        "" => Ok(()),
        "impossible" if state == "Infeasible" && modify["targetVolumeAttributesClassName"] == wanted => {
            Ok(())
        }
        "impossible" => Err(format!("wants the impossible class and says {modify}")),
        class if !modify.is_null() => Err(format!("wants {class} and says {modify}")),
        class if status["currentVolumeAttributesClassName"] != class => {
            Err(format!("has not got class {class}"))
        }
        class if pv["spec"]["volumeAttributesClassName"] != class => {
            Err(format!("its volume has not got {class}"))
        }
        _ if conditions.iter().any(|kind| kind.starts_with("Modify")) => {
            Err(format!("still says {conditions:?}"))
        }
        _ => Ok(()),
    }
}
