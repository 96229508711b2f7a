use super::*;

#[test]
fn the_software_is_read_from_what_was_said_at_the_start() {
    let said = r#"{"software":{"name":"Médical +","version":"12","id":"LPS-77"},"workstation":"PC-3"}"#;
    let software = software_of(Some(said));
    assert_eq!(software.name.as_deref(), Some("Médical +"));
    assert_eq!(software.version.as_deref(), Some("12"));
    assert_eq!(software.id.as_deref(), Some("LPS-77"));
    assert_eq!(software_of(Some(r#"{"software":{"name":"A"}}"#)).version, None);
    for nothing in [None, Some("{}"), Some(r#"{"seat":"2"}"#), Some("no JSON")] {
        assert!(software_of(nothing) == Software::default());
    }
}

#[test]
fn a_server_that_asks_for_time_gets_it_within_bounds() {
    let wait = |retry_after: Option<u64>| {
        cool_down(&Failure::Unavailable { retry_after: retry_after.map(Duration::from_secs) }).as_secs()
    };
    assert_eq!([wait(None), wait(Some(1)), wait(Some(30)), wait(Some(3600))], [5, 5, 30, 60]);
    assert_eq!(cool_down(&Failure::Refused).as_secs(), 5);
    assert!(cool_down(&Failure::Over).is_zero());
}
