//! What a `CreateVolume` answer is worth (sheet 6.3).

use csi_client::csi::CreateVolumeResponse;

use crate::policy::volume::Created;

/// Why an answer cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rejected {
    /// There is nothing in it that could be cleaned up; asking again may give a better answer.
    Unusable(&'static str),
    /// The volume is there, but is not what was asked for: it has to be deleted.
    CleanUp {
        /// What to delete.
        volume_id: String,
        /// Why.
        reason: String,
        /// How the text goes on when that fails.
        orphan_prefix: &'static str,
    },
}

/// Reads an answer to a request for `required` bytes and, if `filled`, for content.
pub(crate) fn read(response: CreateVolumeResponse, required: i64, filled: bool) -> Result<Created, Rejected> {
    let Some(volume) = response.volume else {
        return Err(Rejected::Unusable("driver answered CreateVolume without a volume"));
    };
    if volume.volume_id.is_empty() {
        return Err(Rejected::Unusable("driver answered CreateVolume with an empty volume id"));
    }
    let capacity = if volume.capacity_bytes == 0 { required } else { volume.capacity_bytes };
    if capacity < required {
        let reason = format!("created volume capacity {capacity} less than requested capacity {required}");
        return Err(Rejected::CleanUp {
            volume_id: volume.volume_id,
            reason,
            orphan_prefix: ". Cleanup of volume ",
        });
    }
    // Which content it is, the driver need not say in our words.
    if filled && volume.content_source.is_none() {
        return Err(Rejected::CleanUp {
            volume_id: volume.volume_id,
            reason: "volume content source missing".to_owned(),
            orphan_prefix: ". cleanup of volume ",
        });
    }
    Ok(Created { volume_id: volume.volume_id, capacity, context: volume.volume_context })
}

/// The text for the user after the clean-up of a volume that is of no use: `failure` says why that failed.
pub(crate) fn clean_up_message(
    reason: &str,
    orphan_prefix: &str,
    volume_name: &str,
    failure: Option<&str>,
) -> String {
    match failure {
        None => reason.to_owned(),
        Some(failure) => {
            format!("{reason}{orphan_prefix}{volume_name} failed, volume is orphaned: {failure}")
        }
    }
}

#[cfg(test)]
mod tests {
    use csi_client::csi::Volume;

    use super::*;

    fn answer(volume_id: &str, capacity_bytes: i64) -> CreateVolumeResponse {
        CreateVolumeResponse {
            volume: Some(Volume { volume_id: volume_id.into(), capacity_bytes, ..Volume::default() }),
        }
    }

    #[test]
    fn response_capacity_0_is_the_requested_size() {
        assert_eq!(read(answer("id", 0), 100, false).unwrap().capacity, 100);
        assert_eq!(read(answer("id", 120), 100, false).unwrap().capacity, 120);
    }

    #[test]
    fn response_capacity_80_of_100() {
        let Err(Rejected::CleanUp { volume_id, reason, orphan_prefix }) = read(answer("id", 80), 100, false)
        else {
            panic!("accepted")
        };
        assert_eq!(volume_id, "id");
        assert_eq!(reason, "created volume capacity 80 less than requested capacity 100");
        assert_eq!(clean_up_message(&reason, orphan_prefix, "pv", None), reason);
        assert_eq!(
            clean_up_message(&reason, orphan_prefix, "pv", Some("boom")),
            format!("{reason}. Cleanup of volume pv failed, volume is orphaned: boom")
        );
    }

    #[test]
    fn response_without_content_source() {
        let Err(Rejected::CleanUp { reason, orphan_prefix, .. }) = read(answer("id", 100), 100, true) else {
            panic!("accepted")
        };
        assert_eq!(
            clean_up_message(&reason, orphan_prefix, "pv", Some("boom")),
            "volume content source missing. cleanup of volume pv failed, volume is orphaned: boom"
        );
        assert!(read(answer("id", 100), 100, false).is_ok(), "none was asked for");
    }

    #[test]
    fn no_volume_or_empty_id_is_unusable() {
        assert!(matches!(read(CreateVolumeResponse { volume: None }, 1, false), Err(Rejected::Unusable(_))));
        assert!(matches!(read(answer("", 1), 1, false), Err(Rejected::Unusable(_))));
    }
}
