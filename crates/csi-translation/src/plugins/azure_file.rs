//! Azure's file shares.

use serde::{Deserialize, Serialize};

use super::attribute;
use crate::class::StorageClass;
use crate::plugin::Translate;
use crate::volume::is_false;
use crate::{CsiSource, CsiVolume, InTreeVolume, SecretRef, TranslationError};

pub(crate) struct AzureFile;

const SHARE_NAME: &str = "sharename";
const SECRET_NAME: &str = "secretname";
const SECRET_NAMESPACE: &str = "secretnamespace";
const DEFAULT_NAMESPACE: &str = "default";
const RESOURCE_GROUP: &str = "kubernetes.io/azure-file-resource-group";
/// Around the name of the storage account in the name of its secret.
const SECRET_PREFIX: &str = "azure-storage-account-";
const SECRET_SUFFIX: &str = "-secret";

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Source {
    secret_name: String,
    share_name: String,
    #[serde(skip_serializing_if = "is_false")]
    read_only: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_namespace: Option<String>,
}

impl AzureFile {
    pub(crate) const DRIVER: &str = "file.csi.azure.com";
    pub(crate) const SOURCE: &str = "azureFile";
}

impl Translate for AzureFile {
    fn to_csi(&self, volume: &InTreeVolume) -> Result<CsiVolume, TranslationError> {
        let share: Source = volume.read()?;
        let object = volume.object.clone();
        let namespace = share
            .secret_namespace
            .or_else(|| object.claim_namespace.clone())
            .filter(|namespace| !namespace.is_empty())
            .ok_or(TranslationError::NoSecretNamespace)?;
        let group = object.annotations.get(RESOURCE_GROUP).map_or("", String::as_str);
        let account = account(&share.secret_name);
        let volume_handle = [group, account, &share.share_name, &object.name, &namespace].join("#");
        let source = CsiSource {
            driver: Self::DRIVER.to_owned(),
            volume_handle,
            read_only: share.read_only,
            volume_attributes: attribute(SHARE_NAME, share.share_name),
            node_stage_secret_ref: Some(SecretRef { name: share.secret_name, namespace }),
            ..CsiSource::default()
        };
        Ok(CsiVolume { source, object })
    }

    fn to_in_tree(&self, volume: &CsiVolume) -> Result<InTreeVolume, TranslationError> {
        let csi = &volume.source;
        let mut share = Source {
            secret_name: csi.attribute(SECRET_NAME).unwrap_or_default(),
            share_name: csi.attribute(SHARE_NAME).unwrap_or_default(),
            read_only: csi.read_only,
            secret_namespace: csi.attribute(SECRET_NAMESPACE),
        };
        if let Some(secret) = csi.node_stage_secret_ref.as_ref().filter(|secret| !secret.name.is_empty()) {
            share.secret_name.clone_from(&secret.name);
            share.secret_namespace = Some(secret.namespace.clone());
        }
        let mut object = volume.object.clone();
        if share.share_name.is_empty() || share.secret_name.is_empty() {
            let handle = Handle::read(&csi.volume_handle)?;
            if share.share_name.is_empty() {
                handle.share.clone_into(&mut share.share_name);
            }
            if share.secret_name.is_empty() {
                share.secret_name = format!("{SECRET_PREFIX}{}{SECRET_SUFFIX}", handle.account);
            }
            if !handle.group.is_empty() {
                object.annotations.insert(RESOURCE_GROUP.to_owned(), handle.group.to_owned());
            }
        }
        share.secret_namespace.get_or_insert_with(|| DEFAULT_NAMESPACE.to_owned());
        InTreeVolume::with(Self::SOURCE, &share, object)
    }

    fn class(&self, class: StorageClass) -> Result<StorageClass, TranslationError> {
        Ok(class)
    }
}

/// The storage account whose secret this is; a secret of another name stands for itself.
fn account(secret: &str) -> &str {
    secret
        .split_once(SECRET_PREFIX)
        .and_then(|(_, rest)| rest.rsplit_once(SECRET_SUFFIX))
        .map(|(account, _)| account)
        .filter(|account| !account.is_empty())
        .unwrap_or(secret)
}

/// The parts of a handle: resource group, account, share, and more that the plugin has no use for.
struct Handle<'h> {
    group: &'h str,
    account: &'h str,
    share: &'h str,
}

impl<'h> Handle<'h> {
    fn read(text: &'h str) -> Result<Self, TranslationError> {
        match text.split('#').collect::<Vec<_>>().as_slice() {
            [group, account, share, ..] => Ok(Self { group, account, share }),
            _ => Err(TranslationError::AzureFileHandle(text.to_owned())),
        }
    }
}
