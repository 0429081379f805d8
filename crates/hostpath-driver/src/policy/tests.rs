use super::*;

fn config(pools: &[(&str, i64)]) -> Config {
    let capacity = pools.iter().map(|(kind, size)| ((*kind).to_owned(), *size)).collect();
    Config { capacity, ..Config::default() }
}

fn state(volumes: &[(&str, i64)]) -> State {
    let mut state = State::default();
    for (index, (kind, size)) in volumes.iter().enumerate() {
        let id = format!("v{index}");
        state.put(Volume {
            name: id.clone(),
            id,
            kind: (*kind).to_owned(),
            size: *size,
            ..Volume::default()
        });
    }
    state
}

fn code(error: &Error) -> tonic::Code {
    error.code()
}

#[test]
fn a_pool_is_found_or_refused() {
    use tonic::Code;
    let pools = config(&[("fast", 100), ("slow", 10)]);
    let used = state(&[("fast", 95)]);
    assert_eq!(place(&used, &pools, 5, "fast").unwrap(), "fast");
    assert_eq!(place(&used, &pools, 8, "").unwrap(), "slow");
    let full = place(&used, &pools, 6, "fast").unwrap_err();
    assert_eq!(code(&full), Code::ResourceExhausted);
    assert_eq!(
        full.to_string(),
        "requested capacity 6 exceeds remaining capacity for \"fast\", 95 out of 100 already used"
    );
    let none = place(&used, &pools, 50, "").unwrap_err();
    assert_eq!(none.to_string(), "requested capacity 50 of arbitrary storage exceeds all remaining capacity");
    assert_eq!(place(&used, &pools, 0, "unknown").unwrap(), "unknown");
    assert_eq!(code(&place(&used, &pools, 1, "unknown").unwrap_err()), Code::ResourceExhausted);
    assert_eq!(code(&place(&used, &config(&[]), 1, "fast").unwrap_err()), Code::InvalidArgument);
    assert_eq!(place(&used, &config(&[]), 1 << 40, "").unwrap(), "");
    assert_eq!(code(&place(&used, &config(&[]), (1 << 40) + 1, "").unwrap_err()), Code::OutOfRange);
}

#[test]
fn available_capacity_is_never_negative() {
    assert_eq!(available(&state(&[("fast", 95)]), &config(&[("fast", 100)]), "fast"), 5);
    assert_eq!(available(&state(&[("fast", 195)]), &config(&[("fast", 100)]), "fast"), 0);
    assert_eq!(available(&state(&[]), &config(&[("fast", 100)]), "other"), 0);
    assert_eq!(available(&state(&[]), &config(&[]), ""), 1 << 40);
}

#[test]
fn images_are_rounded_up_within_the_limit() {
    assert_eq!(image_size(0, 0).unwrap(), 1 << 20);
    assert_eq!(image_size(1, 0).unwrap(), 4096);
    assert_eq!(image_size(4096, 4096).unwrap(), 4096);
    assert_eq!(image_size(4097, 0).unwrap(), 8192);
    assert_eq!(code(&image_size(1000, 1000).unwrap_err()), tonic::Code::OutOfRange);
    assert_eq!(code(&image_size(i64::MAX, 0).unwrap_err()), tonic::Code::OutOfRange);
}

#[test]
fn list_volumes_page_2() {
    let cut = |token, max| page(5, token, max).map(|page| (page.start, page.count, page.next));
    assert_eq!(cut("", 0).unwrap(), (0, 5, String::new()));
    assert_eq!(cut("", 2).unwrap(), (0, 2, "3".into()));
    assert_eq!(cut("3", 2).unwrap(), (2, 2, "5".into()));
    assert_eq!(cut("5", 2).unwrap(), (4, 1, String::new()));
    assert_eq!(cut("1", 5).unwrap(), (0, 5, String::new()));
    assert_eq!(cut("9", 2).unwrap(), (8, 0, String::new()));
}

#[test]
fn token_0_and_others_that_are_not_ours() {
    for token in ["0", "-1", "-9223372036854775808", "invalid-token", "1.5", "99999999999999999999"] {
        assert_eq!(code(&page(5, token, 0).unwrap_err()), tonic::Code::Aborted, "{token}");
    }
}

#[test]
fn the_same_name_must_mean_the_same_volume() {
    let wanted = Wanted {
        name: "n".into(),
        size: 10,
        limit: 20,
        access_type: AccessType::Mount,
        filesystem: None,
        source: None,
        parameters: BTreeMap::from([("a".into(), "b".into())]),
    };
    let existing = Volume { size: 10, parameters: Some(wanted.parameters.clone()), ..Volume::default() };
    check_same(&existing, &wanted).unwrap();
    check_same(&Volume { size: 20, ..existing.clone() }, &wanted).unwrap();
    check_same(&Volume { parameters: None, ..existing.clone() }, &wanted).unwrap();
    let different = [
        Volume { size: 9, ..existing.clone() },
        Volume { size: 21, ..existing.clone() },
        Volume { access_type: AccessType::Block, ..existing.clone() },
        Volume { parameters: Some(BTreeMap::new()), ..existing.clone() },
        Volume { ephemeral: true, ..existing },
    ];
    for other in different {
        let error = check_same(&other, &wanted).unwrap_err();
        assert_eq!(code(&error), tonic::Code::AlreadyExists, "{error}");
    }
}
