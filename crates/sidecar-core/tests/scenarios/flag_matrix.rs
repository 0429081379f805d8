//! Every binary's flags against the matrix of the sheet (`common-library`, 2.1), in both modes.

use sidecar_core::context::Variables;
use sidecar_core::exit::Exit;
use sidecar_core::flags::{Binary, Mode, Parsed, Table, command, parse};

/// The sheet's table, cell by cell.
const SHEET: &str = include_str!("../data/flag_matrix.tsv");

/// The sheet's columns.
const COLUMNS: [Binary; 7] = [
    Binary::Provisioner,
    Binary::Attacher,
    Binary::Resizer,
    Binary::Snapshotter,
    Binary::SnapshotController,
    Binary::NodeDriverRegistrar,
    Binary::Livenessprobe,
];

/// Name, type and default of each flag of `binary` in the sheet.
fn sheet(binary: Binary) -> Vec<(&'static str, &'static str, &'static str)> {
    let column = COLUMNS.iter().position(|column| *column == binary).unwrap();
    let rows = SHEET.lines().skip(1).map(|row| row.split('\t').collect::<Vec<_>>());
    rows.filter(|cells| cells[column + 2] != "-")
        .map(|cells| (cells[0], cells[1], cells[column + 2]))
        .collect()
}

pub(crate) fn read(binary: Binary, arguments: &[&str]) -> Result<Parsed, Exit> {
    let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
    parse(binary, &format!("/{}", binary.name()), &arguments, &Variables::default())
}

/// What the sheet writes for a default that prints as `printed`.
fn as_in_sheet(printed: &str) -> Vec<&str> {
    match printed {
        "" => vec!["\"\"", "empty"],
        "false" => vec!["false", "off"],
        other => vec![other],
    }
}

#[test]
fn every_flag_of_the_sheet_has_its_default() {
    for binary in COLUMNS {
        let parsed = read(binary, &[]).unwrap();
        for (name, _, default) in sheet(binary) {
            let value = parsed.value(name).unwrap_or_else(|| panic!("{} lacks --{name}", binary.name()));
            let printed = value.to_string();
            assert!(
                as_in_sheet(&printed).contains(&default),
                "{} --{name}: {printed}, not {default}",
                binary.name()
            );
            assert!(!parsed.is_set(name));
        }
    }
}

#[test]
fn no_binary_has_a_flag_that_the_sheet_does_not_give_it() {
    for binary in COLUMNS {
        let expected: Vec<&str> = sheet(binary).iter().map(|(name, _, _)| *name).collect();
        for flag in Table::of(binary, Mode::UpstreamOnly).flags() {
            let known = expected.contains(&flag.name.as_ref()) || flag.name == "upstream-flags-only";
            assert!(known, "{} has --{}", binary.name(), flag.name);
        }
        let rows = SHEET.lines().skip(1).filter_map(|row| row.split('\t').next());
        for name in rows.filter(|name| !expected.contains(name)) {
            let exit = read(binary, &["--upstream-flags-only", &format!("--{name}=1")]).unwrap_err();
            assert_eq!(exit.code, 2, "{} --{name}", binary.name());
        }
    }
}

/// A value and what it is read as, for each type of the sheet.
fn sample(kind: &str) -> (&'static str, &'static str, &'static str) {
    match kind.split(' ').next().unwrap() {
        "bool" | "boolfunc" => ("true", "true", "maybe"),
        "int" => ("-0x10", "-16", "1.5"),
        "uint" => ("0b11", "3", "-1"),
        "uint31" => ("5", "5", "-5"),
        "float32" | "float64" => ("1.5", "1.5", "much"),
        "duration" => ("1.5m", "1m30s", "10"),
        "quantity" => ("1024Mi", "1Gi", "1x"),
        "map[string]bool" => ("A=true", "A=true", "A"),
        "k:v,k:v" => ("a:b,c:d", "a:b,c:d", ""),
        "pattern=N,…" => ("a=1,b=2", "a=1,b=2", "a"),
        "string" => ("text", "text", ""),
        other => panic!("unknown type {other}"),
    }
}

/// The type of a row whose binaries differ in it.
fn kind_of(binary: Binary, name: &str, kind: &'static str) -> &'static str {
    match (name, binary) {
        ("health-port", Binary::Livenessprobe) => "string",
        ("worker-threads", Binary::Snapshotter | Binary::SnapshotController) => "int",
        _ => kind,
    }
}

#[test]
fn every_flag_reads_its_type_and_refuses_others_with_code_2() {
    for binary in COLUMNS {
        for (name, kind, _) in sheet(binary) {
            let (good, printed, bad) = sample(kind_of(binary, name, kind));
            for mode in [&[][..], &["--upstream-flags-only"]] {
                let good = format!("--{name}={good}");
                let parsed = read(binary, &[mode, &[good.as_str()]].concat()).unwrap();
                assert_eq!(parsed.value(name).unwrap().to_string(), printed, "{} {good}", binary.name());
                assert!(parsed.is_set(name));
                if kind_of(binary, name, kind) != "string" {
                    let bad = format!("--{name}={bad}");
                    let exit = read(binary, &[mode, &[bad.as_str()]].concat()).unwrap_err();
                    assert_eq!(exit.code, 2, "{} {bad}", binary.name());
                }
            }
        }
    }
}

#[test]
fn the_conversion_webhook_has_its_few_flags() {
    let names: Vec<String> = Table::of(Binary::ConversionWebhook, Mode::UpstreamOnly)
        .flags()
        .iter()
        .map(|flag| flag.name.to_string())
        .filter(|name| name != "upstream-flags-only")
        .collect();
    let expected = "automaxprocs log-flush-frequency log-text-info-buffer-size log-text-split-stream logging-format \
                    port tls-cert-file tls-private-key-file v vmodule";
    assert_eq!(names.join(" "), expected);
    assert_eq!(read(Binary::ConversionWebhook, &[]).unwrap().int("port"), 443);
}

#[test]
fn the_hostpath_driver_has_its_own_flags() {
    let defaults = read(Binary::Hostpath, &[]).unwrap();
    assert_eq!(defaults.string("endpoint"), "unix:///tmp/csi.sock");
    assert_eq!(defaults.string("drivername"), "hostpath.csi.k8s.io");
    assert_eq!(defaults.string("statedir"), "/csi-data-dir");
    assert_eq!(defaults.int("max-volume-size"), 1 << 40);
    assert_eq!(defaults.string("snapshot-metadata-block-type"), "FIXED_LENGTH");
    for name in ["enable-topology", "enable-volume-expansion", "enable-list-snapshots"] {
        assert!(defaults.bool(name), "{name}");
    }
    let capacities =
        read(Binary::Hostpath, &["-capacity", "slow=1T", "-capacity=fast=1Gi", "-capacity=slow=2T"]).unwrap();
    assert_eq!(
        capacities.labels("capacity").into_iter().collect::<Vec<_>>(),
        [("fast".to_owned(), "1Gi".to_owned()), ("slow".to_owned(), "2T".to_owned()),]
    );
    let exit = read(Binary::Hostpath, &["-capacity=slow"]).unwrap_err();
    assert!(exit.message.contains("must be of format <type>=<size>"), "{}", exit.message);
    let aliased =
        read(Binary::Hostpath, &["-enable-volume-expansion=true", "-node-expand-required=false"]).unwrap();
    assert!(!aliased.bool("enable-volume-expansion"), "two names of one variable, the last one wins");
    let names = ["-accepted-mutable-parameter-names= a , b", "--accepted-mutable-parameter-names=c"];
    assert_eq!(
        read(Binary::Hostpath, &names).unwrap().list("accepted-mutable-parameter-names"),
        ["a", "b", "c"]
    );
    let empty = read(Binary::Hostpath, &["--accepted-mutable-parameter-names="]).unwrap();
    assert_eq!(empty.list("accepted-mutable-parameter-names"), [""]);
    let klog = ["-logtostderr=true", "-stderrthreshold=2", "-v=5", "-log_file_max_size=3", "-skip_headers"];
    assert_eq!(
        read(Binary::Hostpath, &[&["-upstream-flags-only"], &klog[..]].concat()).unwrap().uint("v"),
        5
    );
    assert_eq!(read(Binary::Hostpath, &["-logging-format=json"]).unwrap_err().code, 2);
}

#[test]
fn the_same_table_makes_a_clap_command_for_every_binary() {
    for binary in Binary::ALL {
        let command = command(binary);
        command.clone().debug_assert();
        let arguments = command.get_arguments().count();
        assert_eq!(arguments, Table::of(binary, Mode::Documented).flags().len(), "{}", binary.name());
        assert!(arguments > 5, "{}", binary.name());
    }
}
