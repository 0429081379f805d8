//! Flags whose feature this version does not have yet. `--help` says so, and whoever gives one is told at the start:
//! a flag that is accepted in silence is taken for one that works.

use super::Binary;

/// What `--help` adds to a flag that changes nothing yet.
const NO_EFFECT: &str = "Has no effect yet in this version.";
/// What `--help` adds to a flag that is refused.
const REFUSED: &str = "Not supported yet by this version: refused at start.";

/// The provisioner has neither capacity, topology nor node deployment yet.
const PROVISIONER: &[(&str, &str)] = &[
    ("capacity-for-immediate-binding", NO_EFFECT),
    ("capacity-ownerref-level", NO_EFFECT),
    ("capacity-poll-interval", NO_EFFECT),
    ("capacity-threads", NO_EFFECT),
    ("enable-capacity", REFUSED),
    ("immediate-topology", NO_EFFECT),
    ("kube-api-capacity-burst", NO_EFFECT),
    ("kube-api-capacity-qps", NO_EFFECT),
    ("node-deployment", REFUSED),
    ("node-deployment-base-delay", NO_EFFECT),
    ("node-deployment-immediate-binding", NO_EFFECT),
    ("node-deployment-max-delay", NO_EFFECT),
    ("strict-topology", NO_EFFECT),
];

fn of(binary: Binary) -> &'static [(&'static str, &'static str)] {
    match binary {
        Binary::Provisioner => PROVISIONER,
        _ => &[],
    }
}

/// What `--help` adds to the flag; empty for flags that work.
pub(super) fn note(binary: Binary, flag: &str) -> &'static str {
    of(binary).iter().find(|(name, _)| *name == flag).map_or("", |(_, note)| note)
}

/// The flags of `binary` that are accepted and change nothing yet.
pub fn without_effect(binary: Binary) -> impl Iterator<Item = &'static str> {
    of(binary).iter().filter(|(_, note)| *note == NO_EFFECT).map(|(name, _)| *name)
}

/// The flags of `binary` that are refused when they are on.
pub fn refused(binary: Binary) -> impl Iterator<Item = &'static str> {
    of(binary).iter().filter(|(_, note)| *note == REFUSED).map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::{Mode, Table};

    #[test]
    fn every_pending_flag_exists_and_says_so() {
        let table = Table::of(Binary::Provisioner, Mode::Documented);
        for (name, note) in PROVISIONER {
            assert_eq!(table.find(name).unwrap().note, *note, "{name}");
        }
        let help = crate::flags::usage::usage(&table, crate::flags::Dialect::Flag, "csi-provisioner");
        let line = "Publish the driver's capacity in CSIStorageCapacity objects. Not supported yet by this version: \
                    refused at start.";
        assert!(help.contains(line), "{help}");
        assert!(
            help.contains("Workers that publish capacity. Has no effect yet in this version. (default 1)")
        );
        assert_eq!(
            Table::of(Binary::Snapshotter, Mode::Documented).find("node-deployment").unwrap().note,
            ""
        );
    }
}
