//! Interface `access`: lets peers in and keeps the tokens of other sites.

use super::Capabilities;
use crate::bindings::Refusal;
use crate::bindings::access::{Admission, Host, Scope};
use crate::bindings::state::Lifetime;
use crate::resources::Patterns;

/// Sessions end with the process, and so do the tokens that belong to them.
const SESSION: Lifetime = Lifetime::Process;

impl Host for Capabilities {
    async fn admit(&mut self, scope: Scope, owner: String) -> Result<Admission, Refusal> {
        // A scope that cannot be read must fail now, not when the peer asks for rows.
        Patterns::new(&scope.tables)?;
        let access = self.resources.access();
        let (id, token) = access.admit(scope, owner, SESSION).await?;
        Ok(Admission { id, token })
    }

    async fn revoke(&mut self, admission: String) -> Result<(), Refusal> {
        Ok(self.resources.revoke(&admission).await?)
    }

    async fn keep_credential(
        &mut self,
        base_url: String,
        secret: String,
    ) -> Result<String, Refusal> {
        let access = self.resources.access();
        Ok(access.keep_credential(base_url, secret, SESSION).await?)
    }
}
