//! `migrate`: bring the database's schema up to date, or say whether it is.

use std::path::Path;
use std::sync::Arc;

use clap::Args;

use super::End;
use super::output::{data, failed, say};
use super::serve::load;
use crate::app::clock::SystemClock;
use crate::app::schema::{self, MigrationState};

#[derive(Args)]
pub(super) struct Arguments {
    /// Change nothing; fail where a migration is missing
    #[arg(long)]
    check: bool,
}

pub(super) async fn run(file: Option<&Path>, arguments: Arguments) -> End {
    let clock = Arc::new(SystemClock::start());
    let Some(config) = load(file, &*clock) else { return End::Usage };
    let url = &config.store.url;
    if !arguments.check
        && let Err(error) = schema::migrate(url).await
    {
        return failed(&error);
    }
    match schema::state(url).await {
        Ok(MigrationState::Current) => data("the schema is up to date"),
        Ok(state) => {
            say(format_args!("relais: {state}"));
            End::Failed
        }
        Err(error) => failed(&error),
    }
}
