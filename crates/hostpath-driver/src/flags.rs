//! From the command line to [`Config`].

use csi_driver_kit::endpoint::Endpoint;
use sidecar_core::entry::VERSION;
use sidecar_core::flags::Parsed;
use sidecar_core::quantity::Quantity;

use crate::config::Config;

/// The settings and the place to listen, or what is wrong.
pub fn read(parsed: &Parsed) -> Result<(Config, Endpoint), String> {
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
        enable_volume_health: parsed.bool("enable-volume-health"),
        log_secrets: parsed.bool("log-secrets"),
        enable_list_snapshots: parsed.bool("enable-list-snapshots"),
        enable_snapshot_metadata: parsed.bool("enable-snapshot-metadata"),
        merge_metadata_blocks: merge_blocks(parsed.string("snapshot-metadata-block-type"))?,
        enable_attach: parsed.bool("enable-attach"),
        attach_limit: parsed.int("attach-limit"),
        list_published_nodes: parsed.bool("list-volumes-published-nodes"),
        enable_expansion: parsed.bool("enable-volume-expansion"),
        disable_controller_expansion: parsed.bool("disable-controller-expansion"),
        disable_node_expansion: parsed.bool("disable-node-expansion"),
        max_volume_size_node: parsed.int("max-volume-size-node"),
    };
    // Upstream's order: name and node are checked before the endpoint.
    config.check().map_err(str::to_owned)?;
    if parsed.string("endpoint").is_empty() {
        return Err("no driver endpoint provided".to_owned());
    }
    let endpoint = parsed.string("endpoint").parse::<Endpoint>().map_err(|error| error.to_string())?;
    Ok((config, endpoint))
}

/// Upstream takes UNKNOWN as well, by mistake.
fn merge_blocks(text: &str) -> Result<bool, String> {
    match text {
        "FIXED_LENGTH" => Ok(false),
        "VARIABLE_LENGTH" => Ok(true),
        _ => Err(format!("invalid --snapshot-metadata-block-type {text}: FIXED_LENGTH or VARIABLE_LENGTH")),
    }
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
            ("--nodeid=n --snapshot-metadata-block-type=X", "invalid --snapshot-metadata-block-type X"),
        ] {
            let error = read_line(line).unwrap_err();
            assert!(error.starts_with(text), "{line}: {error}");
        }
    }
}
