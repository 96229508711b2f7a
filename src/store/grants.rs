//! What a grant holds, for the calls that need it.

use super::conn::{Context, Db, Fault, Row, args};
use super::vault::{Vault, Whose};
use crate::crypto::seal::Place;
use crate::domain::grant::{GrantClaims, Tokens};
use crate::domain::ids::GrantId;
use crate::domain::names::{RegistrationName, TenantName};
use crate::domain::secret::Secret;
use crate::engine::ports::GrantSecrets;

/// A grant's row, still sealed.
struct Sealed {
    tenant: TenantName,
    registration: RegistrationName,
    wraps: Option<String>,
    row: Row,
}

impl Sealed {
    async fn read(db: &mut Db, grant_id: GrantId) -> Result<Option<Self>, Fault> {
        let row = db
            .fetch_first(
                "SELECT tenant, registration, wraps, tokens, claims, userinfo FROM grants WHERE grant_id = $1",
                args![grant_id],
            )
            .await?;
        let Some(row) = row else { return Ok(None) };
        let (tenant, registration): (String, String) =
            (row.get("grants", "tenant")?, row.get("grants", "registration")?);
        Ok(Some(Self {
            tenant: tenant.parse().map_err(|_| Fault::Inconsistent { table: "grants", column: "tenant" })?,
            registration: registration
                .parse()
                .map_err(|_| Fault::Inconsistent { table: "grants", column: "registration" })?,
            wraps: row.get("grants", "wraps")?,
            row,
        }))
    }

    fn vault<'c>(&self, context: &'c Context, grant_id: GrantId) -> Result<Option<Vault<'c>>, Fault> {
        let place = Place::grant(grant_id);
        let whose = Whose { place, tenant: &self.tenant, registration: &self.registration };
        self.wraps.as_deref().map(|wraps| Vault::open(context, &whose, wraps)).transpose()
    }

    fn column(&self, column: &'static str) -> Result<Option<Vec<u8>>, Fault> {
        self.row.get("grants", column)
    }
}

/// Opens a grant.
pub(super) async fn open(
    db: &mut Db,
    context: &Context,
    grant_id: GrantId,
) -> Result<Option<GrantSecrets>, Fault> {
    let Some(sealed) = Sealed::read(db, grant_id).await? else { return Ok(None) };
    let Some(vault) = sealed.vault(context, grant_id)? else {
        return Ok(Some(GrantSecrets { tokens: None, claims: None, userinfo: None }));
    };
    Ok(Some(GrantSecrets {
        tokens: sealed.column("tokens")?.map(|column| vault.open_tokens(&column)).transpose()?,
        claims: sealed.column("claims")?.map(|column| vault.open_claims(&column)).transpose()?,
        userinfo: sealed
            .column("userinfo")?
            .map(|column| vault.open_text("userinfo", &column))
            .transpose()?,
    }))
}

/// Userinfo and the completed claims of one grant.
pub(super) struct Completion {
    pub grant_id: GrantId,
    pub claims: GrantClaims,
    pub document: Secret,
}

/// Seals them where the grant still has its tokens.
pub(super) async fn complete(db: &mut Db, context: &Context, completion: &Completion) -> Result<bool, Fault> {
    let grant_id = completion.grant_id;
    let Some(sealed) = Sealed::read(db, grant_id).await? else { return Ok(false) };
    let Some(vault) = sealed.vault(context, grant_id)? else { return Ok(false) };
    let written = db
        .execute(
            "UPDATE grants SET claims = $2, userinfo = $3 WHERE grant_id = $1 AND tokens IS NOT NULL",
            args![
                grant_id,
                vault.seal_claims(&completion.claims)?,
                vault.seal_text("userinfo", &completion.document)?
            ],
        )
        .await?;
    Ok(written > 0)
}

/// Seals other tokens into a grant that still has some; `false` where it has not.
pub(super) async fn replace_tokens(
    db: &mut Db,
    context: &Context,
    grant_id: GrantId,
    tokens: &Tokens,
) -> Result<bool, Fault> {
    let Some(sealed) = Sealed::read(db, grant_id).await? else { return Ok(false) };
    let Some(vault) = sealed.vault(context, grant_id)? else { return Ok(false) };
    let written = db
        .execute(
            "UPDATE grants SET tokens = $2 WHERE grant_id = $1 AND tokens IS NOT NULL",
            args![grant_id, vault.seal_tokens(tokens)?],
        )
        .await?;
    Ok(written > 0)
}
