//! Interface `access`: lets peers in and keeps the tokens of other sites.

use super::Capabilities;
use super::limits::{MAX_ADDRESS, MAX_ID, MAX_SECRET, check, check_length};
use crate::bindings::Refusal;
use crate::bindings::access::{Admission, Host, Scope};
use crate::bindings::state::Lifetime;
use crate::resources::Patterns;

/// Sessions end with the process, and so do the tokens that belong to them.
const SESSION: Lifetime = Lifetime::Process;

/// The patterns of a scope together, in bytes.
const MAX_SCOPE: usize = 64 << 10;

impl Host for Capabilities {
    async fn admit(&mut self, scope: Scope, owner: String) -> Result<Admission, Refusal> {
        check("an owner", &owner, MAX_ID)?;
        let length = scope.tables.iter().map(String::len).sum();
        check_length("a scope", length, MAX_SCOPE, "bytes")?;
        // A scope that cannot be read must fail now, not when the peer asks for rows.
        Patterns::new(&scope.tables)?;
        let access = self.resources.access();
        let (id, token) = access.admit(scope, owner, SESSION).await?;
        Ok(Admission { id, token })
    }

    async fn revoke(&mut self, admission: String) -> Result<(), Refusal> {
        check("an admission", &admission, MAX_ID)?;
        Ok(self.resources.revoke(&admission).await?)
    }

    async fn release(&mut self, admission: String, run: String) -> Result<(), Refusal> {
        check("an admission", &admission, MAX_ID)?;
        check("a run", &run, MAX_ID)?;
        self.resources.snapshots().release_run(&admission, &run);
        Ok(())
    }

    async fn keep_credential(
        &mut self,
        base_url: String,
        secret: String,
    ) -> Result<String, Refusal> {
        check("a base address", &base_url, MAX_ADDRESS)?;
        check("a token", &secret, MAX_SECRET)?;
        let access = self.resources.access();
        Ok(access.keep_credential(base_url, secret, SESSION).await?)
    }
}
