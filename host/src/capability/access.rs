use super::Capabilities;
use crate::bindings::access::{Admission, Host, Scope};
use crate::refusal::Refusal;
use crate::tenant::Patterns;

impl Host for Capabilities {
    async fn admit(&mut self, scope: Scope, owner: String) -> Result<Admission, Refusal> {
        // A scope that cannot be read must fail now, not when the peer asks for rows.
        Patterns::new(&scope.tables)?;
        let (admission, token) = self.tenant.access().admit(scope, owner)?;
        Ok(Admission {
            id: admission.id,
            token,
        })
    }

    async fn revoke(&mut self, admission: String) -> Result<(), Refusal> {
        self.tenant.revoke(&admission);
        Ok(())
    }

    async fn keep_credential(
        &mut self,
        base_url: String,
        secret: String,
    ) -> Result<String, Refusal> {
        Ok(self.tenant.access().keep_credential(base_url, secret)?)
    }
}
