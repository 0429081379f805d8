//! The election record: what a Lease says, and how client-go writes it.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::LeaseSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

/// A Lease's claim to leadership. Absent fields read as empty or zero.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) holder: String,
    pub(super) duration_seconds: i32,
    pub(super) acquired: Option<Timestamp>,
    pub(super) renewed: Option<Timestamp>,
    pub(super) transitions: i32,
}

impl Record {
    /// Reads a Lease.
    pub(super) fn read(spec: Option<&LeaseSpec>) -> Self {
        let Some(spec) = spec else { return Self::default() };
        Self {
            holder: spec.holder_identity.clone().unwrap_or_default(),
            duration_seconds: spec.lease_duration_seconds.unwrap_or_default(),
            acquired: spec.acquire_time.as_ref().map(|time| time.0),
            renewed: spec.renew_time.as_ref().map(|time| time.0),
            transitions: spec.lease_transitions.unwrap_or_default(),
        }
    }

    /// The whole spec, as client-go replaces it: `strategy` and `preferredHolder` are dropped.
    pub(super) fn to_spec(&self) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(self.holder.clone()),
            lease_duration_seconds: Some(self.duration_seconds),
            acquire_time: self.acquired.map(MicroTime),
            renew_time: self.renewed.map(MicroTime),
            lease_transitions: Some(self.transitions),
            ..LeaseSpec::default()
        }
    }

    /// How long others honour it after they saw it change.
    pub(super) fn duration(&self) -> Duration {
        Duration::from_secs(u64::try_from(self.duration_seconds).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_go_writes_them() {
        for (nanos, expected) in [
            (0, "\"2026-11-21T05:09:10.000000Z\""),
            (530_784_000, "\"2026-11-21T05:09:10.530784Z\""),
            (999_999_999, "\"2026-11-21T05:09:10.999999Z\""),
        ] {
            let second: Timestamp = "2026-11-21T05:09:10Z".parse().unwrap();
            let time = Timestamp::new(second.as_second(), nanos).unwrap();
            assert_eq!(serde_json::to_string(&MicroTime(time)).unwrap(), expected);
        }
    }

    #[test]
    fn a_released_record_keeps_all_fields_as_client_go_writes_them() {
        let now: Timestamp = "2026-11-21T05:09:10.5Z".parse().unwrap();
        let record = Record {
            holder: String::new(),
            duration_seconds: 1,
            acquired: Some(now),
            renewed: Some(now),
            transitions: 3,
        };
        assert_eq!(
            serde_json::to_value(record.to_spec()).unwrap(),
            serde_json::json!({
                "holderIdentity": "",
                "leaseDurationSeconds": 1,
                "acquireTime": "2026-11-21T05:09:10.500000Z",
                "renewTime": "2026-11-21T05:09:10.500000Z",
                "leaseTransitions": 3,
            })
        );
        assert_eq!(Record::read(Some(&record.to_spec())), record);
    }

    #[test]
    fn absent_fields_read_as_zero() {
        assert_eq!(Record::read(None), Record::default());
        assert_eq!(Record::read(Some(&LeaseSpec::default())).duration(), Duration::ZERO);
        let negative = LeaseSpec { lease_duration_seconds: Some(-5), ..LeaseSpec::default() };
        assert_eq!(Record::read(Some(&negative)).duration(), Duration::ZERO);
    }
}
