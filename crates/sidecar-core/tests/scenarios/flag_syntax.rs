//! Go's `flag` and pflag, rule by rule: the rows of the sheet's table 2.5 (`common-library`).

use sidecar_core::flags::Binary::{self, Attacher, Livenessprobe, Provisioner, SnapshotController};

use crate::flag_matrix::read;

/// The mistake alone, without the usage around it.
fn mistake(binary: Binary, arguments: &[&str]) -> String {
    let exit = read(binary, arguments).unwrap_err();
    assert_eq!(exit.code, 2, "{arguments:?}: {}", exit.message);
    let usage = format!("Usage of /{}:", binary.name());
    assert!(exit.message.contains(&usage), "{}", exit.message);
    let mut lines = exit.message.lines();
    if binary == Provisioner {
        // pflag prints the usage first, the mistake last.
        assert!(exit.message.starts_with(&usage));
        return lines.next_back().unwrap().to_owned();
    }
    let first = lines.next().unwrap().to_owned();
    assert_eq!(lines.next(), Some(usage.as_str()));
    first
}

#[test]
fn dashes() {
    for argument in ["-csi-address=/x", "--csi-address=/x"] {
        assert_eq!(read(Attacher, &[argument]).unwrap().string("csi-address"), "/x");
    }
    for bad in ["---x", "--=x", "-=x"] {
        assert_eq!(mistake(Attacher, &[bad]), format!("bad flag syntax: {bad}"));
    }
    assert_eq!(mistake(Provisioner, &["---x"]), "bad flag syntax: ---x");
    assert_eq!(mistake(Provisioner, &["-csi-address=/x"]), "unknown shorthand flag: 'c' in -csi-address=/x");
    assert_eq!(
        mistake(Provisioner, &["-version"]),
        "invalid argument \"ersion\" for \"-v, --v\" flag: strconv.ParseUint: parsing \"ersion\": invalid syntax"
    );
}

#[test]
fn value() {
    for binary in [Attacher, Provisioner] {
        for arguments in [&["--csi-address=/x"][..], &["--csi-address", "/x"]] {
            assert_eq!(read(binary, arguments).unwrap().string("csi-address"), "/x");
        }
        // The next word is the value even if it looks like a flag.
        assert_eq!(read(binary, &["--csi-address", "--version"]).unwrap().string("csi-address"), "--version");
        assert_eq!(read(binary, &["--csi-address=a=b"]).unwrap().string("csi-address"), "a=b");
    }
}

#[test]
fn verbosity() {
    for arguments in [&["-v=5"][..], &["-v", "5"], &["--v=5"], &["--v", "5"]] {
        for binary in [Attacher, Provisioner] {
            assert_eq!(read(binary, arguments).unwrap().uint("v"), 5, "{arguments:?}");
        }
    }
    assert_eq!(mistake(Attacher, &["-v5"]), "flag provided but not defined: -v5");
    assert_eq!(read(Provisioner, &["-v5"]).unwrap().uint("v"), 5);
    assert_eq!(
        mistake(Attacher, &["-v=-1"]),
        "invalid value \"-1\" for flag -v: strconv.ParseUint: parsing \"-1\": invalid syntax"
    );
    assert_eq!(
        mistake(Attacher, &["-v=2147483648"]),
        "invalid value \"2147483648\" for flag -v: strconv.ParseUint: parsing \"2147483648\": value out of range"
    );
    assert_eq!(mistake(Provisioner, &["-v"]), "flag needs an argument: 'v' in -v");
}

#[test]
fn bool_without_value_and_with_separate_value() {
    for binary in [Attacher, Provisioner] {
        assert!(read(binary, &["--leader-election"]).unwrap().bool("leader-election"));
        let parsed = read(binary, &["--leader-election", "false"]).unwrap();
        assert!(parsed.bool("leader-election"));
        assert_eq!(parsed.positional, ["false"]);
        assert!(!read(binary, &["--leader-election=false"]).unwrap().bool("leader-election"));
    }
}

#[test]
fn positional_arguments() {
    let arguments = ["--timeout=1s", "word", "--timeout=2s", "--nonsense"];
    let parsed = read(Attacher, &arguments).unwrap();
    assert_eq!(parsed.duration("timeout").as_secs(), 1, "reading stops at the first word");
    assert_eq!(parsed.positional, ["word", "--timeout=2s", "--nonsense"]);
    let parsed = read(Provisioner, &arguments[..3]).unwrap();
    assert_eq!(parsed.duration("timeout").as_secs(), 2, "words are skipped");
    assert_eq!(parsed.positional, ["word"]);
}

#[test]
fn double_dash_and_lone_dash() {
    for binary in [Attacher, Provisioner] {
        let parsed = read(binary, &["--timeout=1s", "--", "--timeout=2s"]).unwrap();
        assert_eq!((parsed.duration("timeout").as_secs(), parsed.positional.len()), (1, 1));
    }
    assert_eq!(read(Attacher, &["-", "--timeout=2s"]).unwrap().duration("timeout").as_secs(), 15);
    assert_eq!(read(Provisioner, &["-", "--timeout=2s"]).unwrap().duration("timeout").as_secs(), 2);
}

#[test]
fn bool_literals() {
    for binary in [Attacher, Provisioner] {
        for (text, on) in
            [("1", true), ("t", true), ("T", true), ("TRUE", true), ("true", true), ("True", true)]
                .into_iter()
                .chain([
                    ("0", false),
                    ("f", false),
                    ("F", false),
                    ("FALSE", false),
                    ("false", false),
                    ("False", false),
                ])
        {
            let argument = format!("--leader-election={text}");
            assert_eq!(read(binary, &[&argument]).unwrap().bool("leader-election"), on, "{text}");
        }
    }
    assert_eq!(
        mistake(Attacher, &["--leader-election=yes"]),
        "invalid boolean value \"yes\" for -leader-election: parse error"
    );
    assert_eq!(
        mistake(Provisioner, &["--leader-election=yes"]),
        "invalid argument \"yes\" for \"--leader-election\" flag: parse error",
        "merged from the Go flag set"
    );
    assert_eq!(
        mistake(Provisioner, &["--strict-topology="]),
        "invalid argument \"\" for \"--strict-topology\" flag: strconv.ParseBool: parsing \"\": invalid syntax"
    );
}

#[test]
fn integers_and_floats() {
    for binary in [Attacher, Provisioner] {
        for (text, number) in [("0x10", 16), ("0b1", 1), ("0o7", 7), ("010", 8), ("1_000", 1000), ("-3", -3)]
        {
            let argument = format!("--kube-api-burst={text}");
            assert_eq!(read(binary, &[&argument]).unwrap().int("kube-api-burst"), number);
        }
        for (text, number) in [("5", 5.0), ("5.0", 5.0), ("1e2", 100.0)] {
            let argument = format!("--kube-api-qps={text}");
            assert!(
                (read(binary, &[&argument]).unwrap().float("kube-api-qps") - number).abs() < f64::EPSILON
            );
        }
    }
    let many = "9223372036854775808";
    assert_eq!(
        mistake(Attacher, &[&format!("--kube-api-burst={many}")]),
        format!("invalid value \"{many}\" for flag -kube-api-burst: value out of range")
    );
    assert_eq!(
        mistake(Provisioner, &["--worker-threads=-1"]),
        "invalid argument \"-1\" for \"--worker-threads\" flag: strconv.ParseUint: parsing \"-1\": invalid syntax"
    );
    assert_eq!(
        mistake(Attacher, &["--worker-threads=-1"]),
        "invalid value \"-1\" for flag -worker-threads: parse error"
    );
    assert_eq!(read(SnapshotController, &["--worker-threads=-1"]).unwrap().int("worker-threads"), -1);
}

#[test]
fn durations() {
    let parsed = read(Attacher, &["--timeout=1m30s", "--resync=0", "--reconcile-sync=-1s"]).unwrap();
    assert_eq!(parsed.duration("timeout").as_secs(), 90);
    assert!(parsed.duration("resync").is_zero());
    assert_eq!(parsed.signed_duration("reconcile-sync").as_secs(), -1);
    assert!(parsed.duration("reconcile-sync").is_zero(), "as a deadline both have passed");
    assert_eq!(mistake(Attacher, &["--timeout=10"]), "invalid value \"10\" for flag -timeout: parse error");
    assert_eq!(
        mistake(Livenessprobe, &["--probe-timeout=3"]),
        "invalid value \"3\" for flag -probe-timeout: parse error"
    );
    assert_eq!(
        mistake(Provisioner, &["--timeout=10"]),
        "invalid argument \"10\" for \"--timeout\" flag: time: missing unit in duration \"10\""
    );
    assert_eq!(
        mistake(Provisioner, &["--leader-election-retry-period=10"]),
        "invalid argument \"10\" for \"--leader-election-retry-period\" flag: parse error"
    );
}

#[test]
fn repeated_flag() {
    for binary in [Attacher, Provisioner] {
        let parsed = read(binary, &["--timeout=1s", "--timeout=2s"]).unwrap();
        assert_eq!(parsed.duration("timeout").as_secs(), 2);
        read(binary, &["--timeout=x", "--timeout=2s"]).unwrap_err();
        let gates = ["--feature-gates=A=true, B = false ,", "--feature-gates=B=T"];
        let gates = read(binary, &gates).unwrap().gates("feature-gates");
        assert_eq!(gates.into_iter().collect::<Vec<_>>(), [("A".to_owned(), true), ("B".to_owned(), true)]);
        let labels = ["--leader-election-labels=a:1,b:2", "--leader-election-labels=b:3"];
        let labels = read(binary, &labels).unwrap().labels("leader-election-labels");
        assert_eq!(labels.into_iter().map(|(key, value)| key + &value).collect::<Vec<_>>(), ["a1", "b3"]);
        let vmodule = read(binary, &["--vmodule=a=1,,b=2", "--vmodule=c=3"]).unwrap();
        assert_eq!(vmodule.value("vmodule").unwrap().to_string(), "a=1,b=2,c=3");
    }
}

#[test]
fn maps_and_lists_have_their_own_texts() {
    let gates = "invalid value \"A\" for flag -feature-gates: malformed pair, expect string=bool";
    assert_eq!(mistake(Attacher, &["--feature-gates=A"]), gates);
    assert_eq!(
        mistake(Attacher, &["--feature-gates=A=x"]),
        "invalid value \"A=x\" for flag -feature-gates: invalid value of A: x, err: strconv.ParseBool: parsing \"x\": \
         invalid syntax"
    );
    let labels = "invalid value \"\" for flag -leader-election-labels: malformed item in list of labels: ";
    assert_eq!(mistake(Attacher, &["--leader-election-labels="]), labels);
    assert!(
        mistake(Attacher, &["--leader-election-labels=a:b:c"])
            .ends_with("malformed item in list of labels: a:b:c")
    );
    assert_eq!(
        mistake(Attacher, &["--vmodule=a"]),
        "invalid value \"a\" for flag -vmodule: \"a\" does not have the pattern=N format"
    );
}

#[test]
fn unknown_flag() {
    assert_eq!(mistake(Attacher, &["--nonsense=1"]), "flag provided but not defined: -nonsense");
    assert_eq!(mistake(Provisioner, &["--nonsense=1"]), "unknown flag: --nonsense");
    let strict = ["--upstream-flags-only", "--version"];
    assert_eq!(mistake(Livenessprobe, &strict), "flag provided but not defined: -version");
}

#[test]
fn missing_value() {
    assert_eq!(mistake(Attacher, &["--timeout"]), "flag needs an argument: -timeout");
    assert_eq!(mistake(Provisioner, &["--timeout"]), "flag needs an argument: --timeout");
}

#[test]
fn help() {
    for argument in ["-h", "-help", "--help", "--h"] {
        let exit = read(Attacher, &[argument]).unwrap_err();
        assert_eq!(exit.code, 0);
        assert!(exit.message.starts_with("Usage of /csi-attacher:\n  -"), "{}", exit.message);
    }
    for argument in ["-h", "--help"] {
        let exit = read(Provisioner, &[argument]).unwrap_err();
        assert_eq!(exit.code, 0);
        assert!(exit.message.starts_with("Usage of /csi-provisioner:\n"), "{}", exit.message);
        assert!(exit.message.contains("      --volume-name-prefix string "), "{}", exit.message);
        assert!(exit.message.contains("(default 1m0s)"), "{}", exit.message);
    }
}

#[test]
fn name_normalisation() {
    for bad in ["--csi_address=/x", "--CSI-address=/x", "--csi-addres=/x"] {
        assert_eq!(read(Attacher, &[bad]).unwrap_err().code, 2, "{bad}");
    }
}
