//! Scenarios of the common library sheet that belong to the CSI client, one file per table.

mod generated;
