//! Scenarios of leader election on paused time.
