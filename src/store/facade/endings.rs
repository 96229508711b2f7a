//! The port's methods about endings.

use async_trait::async_trait;

use super::{Backend, SqlStore};
use crate::domain::ids::SessionId;
use crate::domain::names::ProviderName;
use crate::domain::time::Timestamp;
use crate::engine::ports::{
    ClaimOutbox, CloseOutbox, Endings, LateTokens, Live, LoggedOut, OutboxEntry, PostponeOutbox, StoreError,
    SwitchedOff, TakeLogoutToken,
};
use crate::store::{late, logout, outbox};

#[async_trait]
impl<B: Backend> Endings for SqlStore<B> {
    async fn late_tokens(&self, tokens: LateTokens) -> Result<bool, StoreError> {
        self.write("late_tokens", tokens, |db, context, input| Box::pin(late::late(db, context, input))).await
    }

    async fn outbox_due(&self, now: Timestamp) -> Result<Vec<ProviderName>, StoreError> {
        self.read("outbox_due", now, |db, _, input| Box::pin(outbox::due(db, input))).await
    }

    async fn claim_outbox(&self, claim: ClaimOutbox) -> Result<Vec<OutboxEntry>, StoreError> {
        self.write("claim_outbox", claim, |db, context, input| Box::pin(outbox::claim(db, context, input)))
            .await
    }

    async fn postpone_outbox(&self, postpone: PostponeOutbox) -> Result<bool, StoreError> {
        self.write("postpone_outbox", postpone, |db, _, input| Box::pin(outbox::postpone(db, input))).await
    }

    async fn close_outbox(&self, close: CloseOutbox) -> Result<bool, StoreError> {
        self.write("close_outbox", close, |db, context, input| Box::pin(outbox::close(db, context, input)))
            .await
    }

    async fn take_logout_token(&self, take: TakeLogoutToken) -> Result<Option<Timestamp>, StoreError> {
        self.write("take_logout_token", take, |db, context, input| {
            Box::pin(logout::take_token(db, context, input))
        })
        .await
    }

    async fn logged_out(&self, whom: LoggedOut, limit: u32) -> Result<Vec<Live>, StoreError> {
        self.read("logged_out", (whom, limit), |db, context, input| {
            Box::pin(logout::logged_out(db, context, input))
        })
        .await
    }

    async fn switched_off(&self, what: SwitchedOff, limit: u32) -> Result<Vec<SessionId>, StoreError> {
        self.read("switched_off", (what, limit), |db, _, input| Box::pin(logout::switched_off(db, input)))
            .await
    }

    async fn surplus_sessions(&self, session_id: SessionId, most: u32) -> Result<Vec<SessionId>, StoreError> {
        self.read("surplus_sessions", (session_id, most), |db, _, input| Box::pin(logout::surplus(db, input)))
            .await
    }
}
