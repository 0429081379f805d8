//! Every call is cut off, and made to fail, after each of its steps. Then a new driver starts in the same directory:
//! what was acknowledged is there, nothing else is, and the caller's retry succeeds.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use csi_client::csi;
use csi_driver_kit::loop_device;
use hostpath_driver::hostpath::Hostpath;
use hostpath_driver::steps::Steps;
use rustix::io::Errno;

use crate::snapshots::{cut_request, group_request};
use crate::support::{
    MIB, Place, create, create_request, ephemeral_request, eventually, ids, publish, publish_request,
    snapshot_files, unpublish,
};

/// Says at which step the driver ends or fails; counts down.
#[derive(Clone, Default)]
struct Fuse(Arc<AtomicUsize>);

impl Fuse {
    fn light(&self, steps: usize) {
        self.0.store(steps, Ordering::SeqCst);
    }

    /// Whether it was not reached.
    fn still_burning(&self) -> bool {
        self.0.swap(0, Ordering::SeqCst) > 0
    }

    fn burn(&self) -> bool {
        self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)) == Ok(1)
    }
}

/// What a test is about: some volumes that exist, and the call that is disturbed. The call can be repeated.
struct Scenario {
    prepare: fn(&Hostpath, &Place),
    call: fn(&Hostpath, &Place) -> Result<(), hostpath_driver::error::Error>,
    /// What holds once the call has succeeded.
    done: fn(&Hostpath, &Place),
}

/// The driver dies at every step in turn.
fn die_everywhere(scenario: &Scenario) {
    let mut step = 0;
    loop {
        step += 1;
        let place = Place::new();
        let fuse = Fuse::default();
        let burning = fuse.clone();
        let steps =
            Steps::watched(move |_| if burning.burn() { resume_unwind(Box::new(())) } else { Ok(()) });
        let driver = place.open_with(place.config(), steps);
        (scenario.prepare)(&driver, &place);
        fuse.light(step);
        let outcome = catch_unwind(AssertUnwindSafe(|| (scenario.call)(&driver, &place)));
        let survived = fuse.still_burning();
        drop(driver);
        let driver = place.open();
        check_consistent(&driver, &place);
        if survived {
            outcome.expect("not reached, so no end").unwrap();
            (scenario.done)(&driver, &place);
            assert!(step > 2, "a call without steps");
            return;
        }
        (scenario.call)(&driver, &place).unwrap();
        (scenario.done)(&driver, &place);
        check_consistent(&driver, &place);
    }
}

/// Every step fails in turn, and the caller tries again without a restart; then with one.
fn fail_everywhere(scenario: &Scenario) {
    let mut step = 0;
    loop {
        step += 1;
        let place = Place::new();
        let fuse = Fuse::default();
        let burning = fuse.clone();
        let steps = Steps::watched(move |_| if burning.burn() { Err(Errno::IO) } else { Ok(()) });
        let driver = place.open_with(place.config(), steps);
        (scenario.prepare)(&driver, &place);
        fuse.light(step);
        let outcome = (scenario.call)(&driver, &place);
        if fuse.still_burning() {
            outcome.unwrap();
            return;
        }
        (scenario.call)(&driver, &place).unwrap();
        (scenario.done)(&driver, &place);
        check_consistent(&driver, &place);
        drop(driver);
        check_consistent(&place.open(), &place);
    }
}

fn disturb(scenario: &Scenario) {
    die_everywhere(scenario);
    fail_everywhere(scenario);
}

/// Data for every volume and no other, loop devices only where they are shown.
#[track_caller]
fn check_consistent(driver: &Hostpath, place: &Place) {
    assert_eq!(place.volume_data(), ids(driver));
    let listed = driver.list_snapshots(&csi::ListSnapshotsRequest::default()).unwrap().entries;
    let files: Vec<_> =
        listed.into_iter().map(|entry| format!("{}.snap", entry.snapshot.unwrap().snapshot_id)).collect();
    assert_eq!(snapshot_files(place), files);
    for id in ids(driver) {
        let bound = loop_device::find(&place.state_dir().join(&id)).unwrap();
        let shown = place.leftovers().iter().filter(|path| path.contains("target")).count();
        if shown == 0 {
            eventually("unused loop devices unbound", || {
                loop_device::find(&place.state_dir().join(&id)).unwrap().is_empty()
            });
        } else {
            assert!(bound.len() <= 1, "{bound:?}");
        }
    }
}

#[test]
fn create_is_cut_off() {
    for block in [false, true] {
        let call: fn(&Hostpath, &Place) -> _ = if block {
            |driver, _| driver.create_volume(create_request("v", MIB, true)).map(drop)
        } else {
            |driver, _| driver.create_volume(create_request("v", MIB, false)).map(drop)
        };
        disturb(&Scenario {
            prepare: |driver, _| {
                create(driver, "other", MIB, false);
            },
            call,
            done: |driver, _| assert_eq!(ids(driver).len(), 2),
        });
    }
}

#[test]
fn delete_is_cut_off() {
    disturb(&Scenario {
        prepare: |driver, place| {
            let id = create(driver, "v", MIB, false);
            std::fs::create_dir_all(place.state_dir().join(&id).join("a/b/c")).unwrap();
            std::fs::write(place.state_dir().join(&id).join("a/file"), "x").unwrap();
            std::fs::write(place.path("handle"), id).unwrap();
        },
        call: |driver, place| driver.delete_volume(&std::fs::read_to_string(place.path("handle")).unwrap()),
        done: |driver, _| assert!(ids(driver).is_empty()),
    });
}

#[test]
fn a_deletion_that_was_not_acknowledged_before_its_record_was_gone_keeps_the_data() {
    let place = Place::new();
    let steps =
        Steps::watched(|step| if step == "delete: renamed" { resume_unwind(Box::new(())) } else { Ok(()) });
    let driver = place.open_with(place.config(), steps);
    let id = create(&driver, "v", MIB, false);
    std::fs::write(place.state_dir().join(&id).join("file"), "precious").unwrap();
    catch_unwind(AssertUnwindSafe(|| driver.delete_volume(&id))).unwrap_err();
    drop(driver);
    let driver = place.open();
    assert_eq!(ids(&driver), [id.as_str()]);
    assert_eq!(std::fs::read_to_string(place.state_dir().join(&id).join("file")).unwrap(), "precious");
}

/// The only volume.
fn only(driver: &Hostpath) -> String {
    ids(driver).remove(0)
}

#[test]
fn stage_and_unstage_are_cut_off() {
    disturb(&Scenario {
        prepare: |driver, _| {
            create(driver, "v", MIB, false);
        },
        call: |driver, place| {
            let id = only(driver);
            driver.stage(&id, &place.text("staging"))?;
            driver.unstage(&id, &place.text("staging"))?;
            driver.stage(&id, &place.text("staging"))
        },
        done: |driver, place| driver.stage(&only(driver), &place.text("staging")).unwrap(),
    });
}

#[test]
fn publish_is_cut_off() {
    for block in [false, true] {
        let prepare: fn(&Hostpath, &Place) = if block {
            |driver, place| driver.stage(&create(driver, "v", MIB, true), &place.text("staging")).unwrap()
        } else {
            |driver, place| driver.stage(&create(driver, "v", MIB, false), &place.text("staging")).unwrap()
        };
        let call: fn(&Hostpath, &Place) -> _ = if block {
            |driver, place| driver.publish(&publish_request(place, &only(driver), "target", true))
        } else {
            |driver, place| driver.publish(&publish_request(place, &only(driver), "target", false))
        };
        disturb(&Scenario {
            prepare,
            call,
            done: |_, place| {
                assert_eq!(place.leftovers().iter().filter(|path| path.ends_with("target")).count(), 1);
            },
        });
    }
}

#[test]
fn a_publication_that_was_cut_off_can_also_be_taken_back() {
    for block in [false, true] {
        let mut step = 0;
        loop {
            step += 1;
            let place = Place::new();
            let fuse = Fuse::default();
            let burning = fuse.clone();
            let steps =
                Steps::watched(move |_| if burning.burn() { resume_unwind(Box::new(())) } else { Ok(()) });
            let driver = place.open_with(place.config(), steps);
            let id = create(&driver, "v", MIB, block);
            driver.stage(&id, &place.text("staging")).unwrap();
            fuse.light(step);
            let request = publish_request(&place, &id, "target", block);
            let _cut_off = catch_unwind(AssertUnwindSafe(|| driver.publish(&request)));
            let survived = fuse.still_burning();
            drop(driver);
            let driver = place.open();
            unpublish(&driver, &place, &id, "target");
            assert!(!place.path("target").exists(), "step {step}");
            eventually("clean", || place.leftovers().is_empty());
            if survived {
                break;
            }
        }
    }
}

#[test]
fn unpublish_is_cut_off() {
    for block in [false, true] {
        let prepare: fn(&Hostpath, &Place) = if block {
            |driver, place| publish(driver, place, &create(driver, "v", MIB, true), "target", true)
        } else {
            |driver, place| publish(driver, place, &create(driver, "v", MIB, false), "target", false)
        };
        disturb(&Scenario {
            prepare,
            call: |driver, place| driver.unpublish(&only(driver), &place.text("target")),
            done: |_, place| {
                assert!(!place.path("target").exists());
                eventually("clean", || place.leftovers().is_empty());
            },
        });
    }
}

#[test]
fn an_ephemeral_life_is_cut_off() {
    disturb(&Scenario {
        prepare: |_, _| {},
        call: |driver, place| {
            driver.publish(&ephemeral_request(place, "csi-1", "target"))?;
            driver.unpublish("csi-1", &place.text("target"))
        },
        done: |driver, place| {
            assert!(ids(driver).is_empty());
            place.assert_clean();
        },
    });
}

/// Kubelet does not repeat a publication whose pod is gone: it only takes it back, until the answer is OK.
#[test]
fn an_ephemeral_volume_can_be_taken_back_wherever_it_was_cut_off() {
    for dies in [true, false] {
        let mut step = 0;
        loop {
            step += 1;
            let place = Place::new();
            let fuse = Fuse::default();
            let burning = fuse.clone();
            let steps = Steps::watched(move |_| {
                if !burning.burn() {
                    return Ok(());
                }
                if dies { resume_unwind(Box::new(())) } else { Err(Errno::IO) }
            });
            let mut driver = place.open_with(place.config(), steps);
            let unpublish = |driver: &Hostpath| driver.unpublish("csi-1", &place.text("target"));
            fuse.light(step);
            let _disturbed = catch_unwind(AssertUnwindSafe(|| {
                driver.publish(&ephemeral_request(&place, "csi-1", "target"))?;
                unpublish(&driver)
            }));
            let survived = fuse.still_burning();
            if dies {
                drop(driver);
                driver = place.open();
            }
            for _ in 0..2 {
                unpublish(&driver).unwrap_or_else(|error| panic!("step {step}: {error}"));
                assert!(ids(&driver).is_empty() && place.data().is_empty(), "step {step}");
                assert!(!place.path("target").exists(), "step {step}");
                place.assert_clean();
            }
            if survived {
                assert!(step > 2, "calls without steps");
                break;
            }
        }
    }
}

#[test]
fn restart_between_create_and_the_answer() {
    let place = Place::new();
    let steps =
        Steps::watched(|step| if step == "create: in place" { resume_unwind(Box::new(())) } else { Ok(()) });
    let driver = place.open_with(place.config(), steps);
    let request = create_request("v", MIB, false);
    catch_unwind(AssertUnwindSafe(|| driver.create_volume(request.clone()))).unwrap_err();
    drop(driver);
    let driver = place.open();
    let before = only(&driver);
    let answered = driver.create_volume(request).unwrap().volume.unwrap().volume_id;
    assert_eq!(answered, before, "the retry finds what the first call made");
}

#[test]
fn a_snapshot_is_cut_off() {
    for block in [false, true] {
        let prepare: fn(&Hostpath, &Place) = if block {
            |driver, _| drop(create(driver, "v", MIB, true))
        } else {
            |driver, _| drop(create(driver, "v", MIB, false))
        };
        disturb(&Scenario {
            prepare,
            call: |driver, _| driver.create_snapshot(&cut_request("s", &only(driver))).map(drop),
            done: |_, place| assert_eq!(snapshot_files(place).len(), 1),
        });
    }
}

fn cut_group(driver: &Hostpath) -> Result<csi::VolumeGroupSnapshot, hostpath_driver::error::Error> {
    let volumes = ids(driver);
    let volumes: Vec<_> = volumes.iter().map(String::as_str).collect();
    driver.create_group_snapshot(&group_request("g", &volumes))
}

fn two_volumes(driver: &Hostpath, _: &Place) {
    create(driver, "one", MIB, false);
    create(driver, "two", MIB, true);
}

#[test]
fn a_group_snapshot_is_cut_off() {
    disturb(&Scenario {
        prepare: two_volumes,
        call: |driver, _| cut_group(driver).map(drop),
        done: |_, place| assert_eq!(snapshot_files(place).len(), 2),
    });
}

#[test]
fn the_deletion_of_a_group_snapshot_is_cut_off() {
    disturb(&Scenario {
        prepare: |driver, place| {
            two_volumes(driver, place);
            let made = cut_group(driver).unwrap();
            let members: Vec<_> = made.snapshots.into_iter().map(|member| member.snapshot_id).collect();
            let handles = [vec![made.group_snapshot_id], members].concat().join(" ");
            std::fs::write(place.path("handles"), handles).unwrap();
        },
        call: |driver, place| {
            let handles = std::fs::read_to_string(place.path("handles")).unwrap();
            let mut handles = handles.split(' ').map(str::to_owned);
            driver.delete_group_snapshot(&csi::DeleteVolumeGroupSnapshotRequest {
                group_snapshot_id: handles.next().unwrap(),
                snapshot_ids: handles.collect(),
                ..csi::DeleteVolumeGroupSnapshotRequest::default()
            })
        },
        done: |_, place| assert!(snapshot_files(place).is_empty()),
    });
}

#[test]
fn the_deletion_of_a_snapshot_is_cut_off() {
    disturb(&Scenario {
        prepare: |driver, place| {
            let made = driver.create_snapshot(&cut_request("s", &create(driver, "v", MIB, false))).unwrap();
            std::fs::write(place.path("handle"), made.snapshot_id).unwrap();
        },
        call: |driver, place| driver.delete_snapshot(&std::fs::read_to_string(place.path("handle")).unwrap()),
        done: |_, place| assert!(snapshot_files(place).is_empty()),
    });
}

#[test]
fn restart_between_create_and_populate() {
    disturb(&Scenario {
        prepare: |driver, place| {
            let id = create(driver, "v", MIB, false);
            std::fs::write(place.state_dir().join(&id).join("file"), "content").unwrap();
            std::fs::write(place.path("handle"), id).unwrap();
        },
        call: |driver, place| {
            let volume_id = std::fs::read_to_string(place.path("handle")).unwrap();
            let source = csi::volume_content_source::VolumeSource { volume_id };
            let kind = csi::volume_content_source::Type::Volume(source);
            let request = csi::CreateVolumeRequest {
                volume_content_source: Some(csi::VolumeContentSource { r#type: Some(kind) }),
                ..create_request("clone", MIB, false)
            };
            driver.create_volume(request).map(drop)
        },
        done: |driver, place| {
            assert_eq!(ids(driver).len(), 2);
            for id in ids(driver) {
                let content = std::fs::read_to_string(place.state_dir().join(id).join("file")).unwrap();
                assert_eq!(content, "content");
            }
        },
    });
}

#[test]
fn expansion_is_cut_off() {
    disturb(&Scenario {
        prepare: |driver, place| publish(driver, place, &create(driver, "v", MIB, true), "target", true),
        call: |driver, _| {
            let request = csi::ControllerExpandVolumeRequest {
                volume_id: only(driver),
                capacity_range: Some(csi::CapacityRange { required_bytes: 3 * MIB, limit_bytes: 0 }),
                ..csi::ControllerExpandVolumeRequest::default()
            };
            driver.controller_expand_volume(&request).map(drop)
        },
        done: |driver, place| {
            let image = place.state_dir().join(only(driver));
            assert_eq!(std::fs::metadata(image).unwrap().len(), 3 << 20);
        },
    });
}
