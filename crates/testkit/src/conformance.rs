//! What an API server does as far as sidecars can tell, as a list of scenarios over a [`kube::Client`].
//!
//! The list runs on the in-process server in this crate's tests and on a real kube-apiserver in the lab. When
//! the two disagree the in-process server is wrong.

#![expect(clippy::indexing_slicing, reason = "a missing field of a JSON value is null, not a panic")]

mod custom;
mod deletes;
mod lists;
mod patches;
pub mod rules;
mod subject;
mod validation;
mod watches;
mod writes;

use std::pin::Pin;

pub use subject::{Answer, Subject};

/// One scenario; the error says what was different.
pub type Scenario = fn(Subject) -> Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>>;

/// Makes a list of scenarios from async functions.
macro_rules! scenarios {
    ($(#[$doc:meta])* $list:ident: $($module:ident :: $name:ident),* $(,)?) => {
        $(#[$doc])*
        pub const $list: &[(&str, Scenario)] = &[
            $((stringify!($name), |subject| Box::pin($module::$name(subject)))),*
        ];
    };
}

scenarios![
    /// Every scenario about the kinds that a server has by itself, with its name.
    ALL:
    writes::create_fills_in_what_the_server_owns,
    writes::create_twice_already_exists,
    writes::create_in_a_missing_namespace_is_not_found,
    writes::generated_names_differ,
    writes::update_with_an_old_version_conflicts,
    writes::update_that_changes_nothing_keeps_the_version,
    writes::update_of_a_lease_needs_a_version,
    writes::update_creates_a_missing_lease,
    writes::main_resource_ignores_status,
    writes::status_subresource_ignores_spec,
    writes::attachment_status_ignores_metadata,
    writes::get_of_nothing_is_not_found,
    writes::versions_increase_over_kinds,
    deletes::delete_answers_with_the_volume,
    deletes::delete_answers_with_a_status_for_other_kinds,
    deletes::finalizers_hold_an_object_until_the_last_one_goes,
    deletes::finalizers_cannot_be_added_while_going,
    deletes::deleting_twice_is_not_found,
    deletes::preconditions_guard_a_delete,
    patches::merge_patch_removes_with_null,
    patches::merge_patch_with_an_old_version_conflicts,
    patches::a_patch_with_another_uid_is_invalid,
    patches::json_patch_test_guards,
    patches::strategic_patch_adds_a_finalizer,
    patches::strategic_patch_removes_a_finalizer,
    patches::strategic_patch_orders_finalizers,
    patches::strategic_patch_merges_conditions_by_type,
    patches::strategic_patch_counts_an_event,
    patches::patch_of_nothing_is_not_found,
    patches::unknown_patch_type_is_refused,
    lists::list_is_ordered_and_versioned,
    lists::list_in_pages,
    lists::page_sees_the_first_pages_version,
    lists::label_selectors,
    lists::field_selectors,
    lists::unknown_field_selector_is_refused,
    lists::event_field_selectors,
    lists::metadata_only,
    lists::discovery_names_the_kinds,
    lists::unknown_path_is_not_found,
    lists::version_must_be_a_number,
    lists::collections_cannot_be_replaced,
    watches::watch_from_a_version_replays,
    watches::watch_without_a_version_shows_the_state,
    watches::watch_with_a_selector_turns_leaving_into_deleted,
    watches::streaming_list_ends_with_a_bookmark,
    watches::streaming_list_needs_a_match,
    watches::watch_ends_after_its_timeout,
    validation::volume_source_is_immutable,
    validation::volume_needs_a_handle,
    validation::volume_needs_capacity_modes_and_a_source,
    validation::volume_defaults,
    validation::claim_defaults,
    validation::claim_spec_is_immutable,
    validation::claim_may_be_bound_once,
    validation::class_is_immutable,
    validation::attachment_spec_is_immutable,
    validation::names_are_subdomains,
    validation::annotations_have_a_limit,
    validation::events_live_with_their_object,
    validation::lease_duration_is_positive,
    validation::finalizers_are_qualified,
];

scenarios![
    /// Scenarios about custom resources; they need the definitions of the snapshot kinds, as [`rules::rows`] does.
    CUSTOM:
    custom::unknown_fields_and_nulls_are_dropped,
    custom::generations_count_what_is_wanted,
    custom::status_of_a_snapshot_is_written_apart,
    custom::a_rule_says_what_is_broken,
    custom::a_reference_without_a_name_has_no_answer,
    custom::rules_wait_for_shapes,
    custom::shapes_in_a_status_are_named_from_there,
    custom::strategic_patches_are_refused,
    custom::json_patch_replace_makes_an_absent_member,
    custom::finalizers_may_be_plain_words,
    custom::objects_are_listed_by_kind_and_group,
];
