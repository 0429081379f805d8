//! Rows about the driver: not there, not ready, another one, dying.

use csi_client::csi::{ControllerGetCapabilitiesRequest, GetPluginInfoRequest, ProbeRequest, ProbeResponse};
use tonic::Code;

use super::{Calling, DRIVER, Expected, Program, Row, Subject, content};
use crate::driver::Step;

const LOST: &str = "Lost connection to CSI driver, exiting";

/// Rows that every sidecar with a driver has.
pub const fn common<C: Subject>() -> [Row<C>; 4] {
    [comes_late(), gets_ready(), dies_while_idle(), dies_while_standing_by()]
}

/// No socket for as long as the sidecar waits for one, which is 30 s: to be started first.
pub const fn no_socket<C: Subject>(says: &'static [&'static str]) -> Row<C> {
    Row {
        name: "no socket",
        before: |subject, _| subject.remove_driver(),
        says,
        end: Expected::Refuses(1),
        ..Row::BLANK
    }
}

/// A file where the socket should be, which is nobody's to remove. It waits for 30 s, too.
pub const fn socket_is_a_file<C: Subject>() -> Row<C> {
    Row {
        name: "the socket is a file",
        before: |subject, _| {
            subject.remove_driver();
            std::fs::write(subject.socket(), "precious").unwrap();
        },
        says: &["no CSI driver answers at unix://", "connection refused"],
        end: Expected::Refuses(1),
        heal: |subject| assert_eq!(content(&subject.socket()), "precious"),
        ..Row::BLANK
    }
}

const fn comes_late<C: Subject>() -> Row<C> {
    Row {
        name: "the socket comes late",
        before: |subject, _| subject.remove_driver(),
        then: |subject, program| {
            program.wait_for("Still connecting");
            subject.start_driver();
            program.works();
        },
        ..Row::BLANK
    }
}

/// Lets every probe say that the driver is not ready.
pub(super) fn never_ready(subject: &impl Subject) {
    let not_ready = Step::edit(|answer: &mut ProbeResponse| answer.ready = Some(false));
    subject.driver().always::<ProbeRequest>(not_ready);
}

const fn gets_ready<C: Subject>() -> Row<C> {
    Row {
        name: "a driver that gets ready",
        before: |subject, _| never_ready(subject),
        then: |subject, program| {
            program.wait_for_times("CSI driver is not ready", 2);
            subject.driver().behave();
        },
        ..Row::BLANK
    }
}

/// The probe is tried again.
pub const fn answers_its_probe_late<C: Subject>() -> Row<C> {
    Row {
        name: "a driver that answers its probe late",
        flags: &["--timeout=1s"],
        before: |subject, _| subject.driver().script::<ProbeRequest>([Step::Hang]),
        says: &["CSI driver probe timed out"],
        ..Row::BLANK
    }
}

/// The probe is answered `FailedPrecondition`, `no backend`.
pub const fn fails_its_probe<C: Subject>(says: &'static [&'static str]) -> Row<C> {
    Row {
        name: "a driver that fails its probe",
        before: |subject, _| {
            subject.driver().always::<ProbeRequest>(Step::fail(Code::FailedPrecondition, "no backend"));
        },
        says,
        end: Expected::Ends(1),
        heal: |subject| subject.driver().behave(),
        ..Row::BLANK
    }
}

/// The driver's name is empty.
pub const fn has_no_name<C: Subject>(code: i32, says: &'static [&'static str]) -> Row<C> {
    Row {
        name: "a driver without a name",
        before: |subject, _| subject.driver().configure(|config| config.name.clear()),
        says,
        end: Expected::Ends(code),
        heal: |subject| subject.driver().configure(|config| DRIVER.clone_into(&mut config.name)),
        ..Row::BLANK
    }
}

/// The question for the name is answered `Internal`, `broken`.
pub const fn cannot_tell_its_name<C: Subject>(code: i32, says: &'static [&'static str]) -> Row<C> {
    Row {
        name: "a driver that cannot tell its name",
        before: |subject, _| {
            subject.driver().always::<GetPluginInfoRequest>(Step::fail(Code::Internal, "broken"));
        },
        says,
        end: Expected::Ends(code),
        heal: |subject| subject.driver().behave(),
        ..Row::BLANK
    }
}

/// The driver has no controller service, and gRPC says so: `unknown service csi.v1.Controller`.
pub const fn has_no_controller<C: Subject>(code: i32, says: &'static [&'static str]) -> Row<C> {
    Row {
        name: "a driver without a controller",
        before: |subject, _| {
            let unknown = Step::fail(Code::Unimplemented, "unknown service csi.v1.Controller");
            subject.driver().always::<ControllerGetCapabilitiesRequest>(unknown);
        },
        says,
        end: Expected::Ends(code),
        heal: |subject| subject.driver().behave(),
        ..Row::BLANK
    }
}

/// A flag has the sidecar expect the driver `other.example`.
pub const fn is_another<C: Subject>(flags: &'static [&'static str]) -> Row<C> {
    Row {
        name: "another driver than expected",
        flags,
        says: &[
            "The driver behind the socket is not the expected one",
            "expected=\"other.example\" found=\"driver.example\"",
            "csi.sock",
        ],
        end: Expected::Refuses(1),
        ..Row::BLANK
    }
}

/// The driver is killed; the sidecar ends with it, and the next ones work together.
pub const fn dies<C: Subject>(name: &'static str, then: fn(&C, &Program)) -> Row<C> {
    Row {
        name,
        then,
        says: &[LOST],
        last_words: LOST,
        end: Expected::Ends(1),
        heal: |subject| {
            subject.driver().behave();
            subject.start_driver();
        },
        ..Row::BLANK
    }
}

const fn dies_while_idle<C: Subject>() -> Row<C> {
    dies("the driver dies while idle", |subject, program| {
        program.works();
        subject.driver().kill();
    })
}

const fn dies_while_standing_by<C: Subject>() -> Row<C> {
    Row {
        flags: &["--leader-election"],
        before: |subject, _| subject.occupy_lease(),
        ..dies("the driver dies while the sidecar stands by", |subject, program| {
            program.wait_for("Attempting to acquire leader lease");
            subject.driver().kill();
        })
    }
}

/// The driver dies when it has been asked and has done nothing yet.
pub const fn dies_before_it_has<C: Calling>(name: &'static str) -> Row<C> {
    dies(name, |subject, program| die_in_a_call(subject, program, Step::Hang))
}

/// The driver dies when it has done what it was asked for, and has not said so.
pub const fn dies_after_it_has<C: Calling>(name: &'static str) -> Row<C> {
    dies(name, |subject, program| die_in_a_call(subject, program, Step::HangAfter))
}

fn die_in_a_call(subject: &impl Calling, program: &Program, step: Step) {
    program.works();
    subject.ask(step);
    subject.driver().kill();
}
