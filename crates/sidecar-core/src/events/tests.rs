//! Scenarios of event recording on paused time.
