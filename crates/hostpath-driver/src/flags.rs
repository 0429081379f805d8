//! From the command line to [`Config`].

use csi_driver_kit::endpoint::Endpoint;
use sidecar_core::entry::VERSION;
use sidecar_core::flags::Parsed;
use sidecar_core::quantity::Quantity;

use crate::config::Config;

/// Flags that upstream's driver has and this one refuses until it can do what they ask for: a driver that silently
/// lacks what it was told to have would fail where nobody looks.
const NOT_YET: [&str; 2] = ["enable-attach", "enable-snapshot-metadata"];

/// The settings and the place to listen, or what is wrong.
pub fn read(parsed: &Parsed) -> Result<(Config, Endpoint), String> {
    for flag in NOT_YET {
        if parsed.bool(flag) {
            return Err(format!("--{flag} is not supported by this version; leave it out"));
        }
    }
    if !parsed.string("proxy-endpoint").is_empty() {
        return Err("--proxy-endpoint is not supported by this version; leave it out".to_owned());
    }
    let accepted = "accepted-mutable-parameter-names";
    let config = Config {
        driver_name: parsed.string("drivername").to_owned(),
        version: VERSION.to_owned(),
        node_id: parsed.string("nodeid").to_owned(),
        state_dir: parsed.string("statedir").into(),
        ephemeral: parsed.bool("ephemeral"),
        max_volumes_per_node: parsed.int("maxvolumespernode"),
        capacity: capacity(parsed)?,
        check_volume_lifecycle: parsed.bool("check-volume-lifecycle"),
        max_volume_size: parsed.int("max-volume-size"),
        enable_topology: parsed.bool("enable-topology"),
        enable_modify: parsed.bool("enable-controller-modify-volume"),
        accepted_mutable_parameters: parsed.is_set(accepted).then(|| parsed.list(accepted).to_vec()),
        attach_limit: parsed.int("attach-limit"),
    };
    // Upstream's order: name and node are checked before the endpoint.
    config.check().map_err(str::to_owned)?;
    if parsed.string("endpoint").is_empty() {
        return Err("no driver endpoint provided".to_owned());
    }
    let endpoint = parsed.string("endpoint").parse::<Endpoint>().map_err(|error| error.to_string())?;
    Ok((config, endpoint))
}

fn capacity(parsed: &Parsed) -> Result<std::collections::BTreeMap<String, i64>, String> {
    let pools = parsed.labels("capacity").into_iter().map(|(kind, text)| {
        let quantity =
            Quantity::parse(&text).map_err(|error| format!("--capacity {kind}={text}: {error}"))?;
        Ok((kind, quantity.value()))
    });
    pools.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sidecar_core::context::Variables;
    use sidecar_core::flags::{Binary, parse};

    fn read_line(line: &str) -> Result<(Config, Endpoint), String> {
        let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let parsed = parse(Binary::Hostpath, "hostpathplugin", &arguments, &Variables::default());
        read(&parsed.map_err(|exit| exit.message)?)
    }

    #[test]
    fn defaults_are_upstreams() {
        let (config, endpoint) = read_line("--nodeid=n").unwrap();
        assert_eq!(config.driver_name, "hostpath.csi.k8s.io");
        assert_eq!(config.state_dir, std::path::Path::new("/csi-data-dir"));
        assert_eq!(config.max_volume_size, 1 << 40);
        assert!(config.enable_topology && !config.enable_modify && !config.check_volume_lifecycle);
        assert_eq!(config.accepted_mutable_parameters, None);
        assert_eq!(endpoint, Endpoint::Unix("/tmp/csi.sock".into()));
    }

    #[test]
    fn everything_given() {
        let line = "-nodeid=n -drivername d -endpoint tcp://:9000 --statedir=/s --capacity=slow=10Gi \
                    --capacity=fast=1T --capacity=slow=1Ki --enable-topology=false -maxvolumespernode=7 \
                    --enable-controller-modify-volume=true --accepted-mutable-parameter-names=a,b";
        let (config, endpoint) = read_line(line).unwrap();
        assert_eq!(config.capacity["slow"], 1024);
        assert_eq!(config.capacity["fast"], 1_000_000_000_000);
        assert_eq!(config.accepted_mutable_parameters, Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(config.max_volumes_per_node, 7);
        assert!(!config.enable_topology);
        assert_eq!(endpoint, Endpoint::Tcp(":9000".into()));
    }

    #[test]
    fn what_is_missing_or_not_there_yet_is_named() {
        for (line, text) in [
            ("", "no node id provided"),
            ("--nodeid=n --drivername=", "no driver name provided"),
            ("--nodeid=n --endpoint=", "no driver endpoint provided"),
            ("--nodeid=n --endpoint=unix://", "Invalid endpoint: unix://"),
            ("--nodeid=n --enable-attach=true", "--enable-attach is not supported"),
            ("--nodeid=n --enable-snapshot-metadata", "--enable-snapshot-metadata is not supported"),
            ("--nodeid=n --proxy-endpoint=tcp://:1", "--proxy-endpoint is not supported"),
        ] {
            let error = read_line(line).unwrap_err();
            assert!(error.starts_with(text), "{line}: {error}");
        }
    }
}
